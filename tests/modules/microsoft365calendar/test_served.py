"""The module through real servers: booked over gRPC, told by the dispatcher, and what happens to it when they die."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import asyncpg
import grpc
import pytest

from sandbox.microsoft365calendar import demo_connection
from server.gen.patchbay.v1 import connections_pb2, directory_pb2, dispatch_pb2, executor_pb2
from tests.modules.microsoft365calendar.world import DANA, KIM, Vendor
from tests.outbox.desk import hours, until
from tests.support.grpc_errors import fields
from tests.support.postgres import Fresh
from tests.support.served import LOOPBACK, TENANT, Caller, Replicas, Served, set_up, struct

pytestmark = pytest.mark.anyio

PROVIDER = "microsoft365calendar"
_HIRE = """
    WITH hired AS (
        INSERT INTO users (tenant, user_id, username) VALUES ($1, $2, $2::uuid::text)
    ), known AS (
        INSERT INTO roles (tenant, role_name) VALUES ($1, 'technician')
        ON CONFLICT (tenant, role_name) DO UPDATE SET role_name = 'technician' RETURNING role_id
    )
    INSERT INTO user_roles (tenant, user_id, role_id) SELECT $1, $2, role_id FROM known
"""
_LINK = """
    INSERT INTO user_auth_accounts (tenant, user_id, provider, provider_account_id)
    VALUES ($1, $2::uuid::text, 'microsoft', $3)
"""
_CALENDAR = "INSERT INTO calendar_providers (tenant, user_id, provider_type) VALUES ($1, $2, 'microsoft')"


@dataclass
class Desk:
    """One tenant's board, as a caller sees it."""

    caller: Caller
    owner: "asyncpg.Connection[Any]"
    tenant: str

    async def technician(self, account: str) -> str:
        """Adds a technician with a linked account and a connected calendar."""
        user = str(uuid4())
        await self.owner.execute(_HIRE, self.tenant, user)
        await self.owner.execute(_LINK, self.tenant, user, account)
        await self.owner.execute(_CALENDAR, self.tenant, user)
        return user

    async def set_calendar(self, user: str, *, connected: bool) -> None:
        """Connects or disconnects a technician's calendar."""
        request = directory_pb2.SetCalendarRequest(tenant=TENANT, user_id=user, connected=connected)
        await self.caller("Directory/SetCalendar", request)

    async def done(self, action: str, **wanted: Any) -> Any:
        """Executes an action of scheduling."""
        made = await self.caller.execute(f"scheduling.{action}", wanted, str(uuid4()))
        assert made.state == executor_pb2.EXECUTION_STATE_SUCCEEDED, made.failure
        return made.output.json

    async def book(self, user: str, **more: Any) -> str:
        """Books an hour; returns the entry's id."""
        wanted = {"assigned_user_ids": [user], "title": "Replace switch", "window": hours(0), **more}
        return str((await self.done("create_entry", **wanted))["entry_id"])

    async def sync(self, entry: str) -> dispatch_pb2.GetSyncResponse:
        """Where the entry's events have arrived."""
        request = dispatch_pb2.GetSyncRequest(tenant=TENANT, entry_id=entry)
        answer: dispatch_pb2.GetSyncResponse = await self.caller("Dispatch/GetSync", request)
        return answer

    async def arrived(self, entry: str) -> None:
        """Waits until all events of an entry have arrived."""

        async def all_have() -> bool:
            return {one.state for one in (await self.sync(entry)).deliveries} == {"delivered"}

        await until(all_have)


Open = Callable[[Caller], Awaitable[Desk]]


@pytest.fixture
async def opened(fresh: Fresh, vendor: Vendor) -> AsyncIterator[Open]:
    """Opens the desk of a connected tenant over a channel."""
    owner = await asyncpg.connect(fresh.dsn)

    async def open_desk(caller: Caller) -> Desk:
        await set_up(caller, PROVIDER, demo_connection(vendor.url, vendor.control.credentials()))
        await owner.execute("SELECT set_config('patchbay.tenant', '*', false)")
        tenant = str(await owner.fetchval("SELECT tenant FROM tenants WHERE slug = $1", TENANT))
        return Desk(caller, owner, tenant)

    yield open_desk
    await owner.close()


async def test_a_calendar_connected_later_is_filled_and_one_disconnected_is_emptied(
    served: Served, opened: Open, vendor: Vendor
) -> None:
    """What is to come is written when somebody connects their calendar, removed when they disconnect it, and again."""
    desk = await opened(served.caller)
    user = await desk.technician(DANA)
    await desk.set_calendar(user, connected=False)
    entry = await desk.book(user)
    await desk.arrived(entry)
    assert vendor.events(DANA) == []
    await desk.set_calendar(user, connected=True)
    await until(lambda: _async(vendor.events(DANA)))
    await desk.arrived(entry)
    assert vendor.only(DANA)["content"]["subject"] == "Replace switch"
    await desk.set_calendar(user, connected=False)
    await until(lambda: _async(not vendor.events(DANA)))
    await desk.arrived(entry)
    await desk.set_calendar(user, connected=True)
    await until(lambda: _async(vendor.events(DANA)))
    await desk.arrived(entry)
    assert len((await desk.sync(entry)).calendar_events) == len(vendor.events(DANA)) == 1


async def _async(value: object) -> bool:
    return bool(value)


async def test_a_booking_goes_its_way_through_the_calendar(served: Served, opened: Open, vendor: Vendor) -> None:
    """Created, moved and cancelled on the board, it is so in the calendar; where it stands can be asked."""
    desk = await opened(served.caller)
    entry = await desk.book(await desk.technician(DANA))
    await desk.arrived(entry)
    (shown,) = (await desk.sync(entry)).calendar_events
    assert (shown.external_event_id, shown.sequence) == (vendor.only(DANA)["id"], 1)
    await desk.done("reschedule", entry_id=entry, window=hours(5))
    await desk.arrived(entry)
    assert vendor.only(DANA)["content"]["start"]["dateTime"] == "2027-03-01T14:00:00"
    await desk.done("cancel", entry_id=entry)
    await desk.arrived(entry)
    assert vendor.events() == []
    assert vendor.counted() == {"create_event": 1, "update_event": 1, "delete_event": 1}


async def test_kill_9_between_the_event_and_our_row_makes_no_second_one(
    replicas: Replicas, opened: Open, vendor: Vendor
) -> None:
    """The replica dies while Graph has the event and we do not know of it; another one finds it."""
    first = replicas.start(delivery_seconds=2)
    desk = await opened(Caller(first.target))
    vendor.control.add_fault("hang", method="POST", path_regex="/calendar/events$")
    entry = await desk.book(await desk.technician(DANA))
    while not vendor.events(DANA):
        await asyncio.sleep(0.01)
    await asyncio.to_thread(first.kill)
    await desk.caller.close()
    vendor.control.clear_faults()
    desk.caller = Caller(replicas.start(delivery_seconds=2).target)
    await desk.arrived(entry)
    assert vendor.counted() == {"create_event": 1}
    assert [one.external_event_id for one in (await desk.sync(entry)).calendar_events] == [vendor.only(DANA)["id"]]
    await desk.caller.close()


async def test_what_was_given_up_arrives_when_it_is_tried_again(served: Served, opened: Open, vendor: Vendor) -> None:
    """Without a licence the event is a dead letter at once, with the remedy; with one a retry writes it."""
    desk = await opened(served.caller)
    entry = await desk.book(await desk.technician(KIM))

    async def given_up() -> bool:
        return {one.state for one in (await desk.sync(entry)).deliveries} == {"dead"}

    await until(given_up)
    (dead,) = (await desk.sync(entry)).deliveries
    assert (dead.attempts, dead.last_failure.reason) == (1, "MAILBOX_NOT_FOUND")
    vendor.control.patch_state(people={KIM: {"mailbox": "exchange"}})
    request = dispatch_pb2.RetryDeadLetterRequest(tenant=TENANT, event_id=dead.event_id, consumer=PROVIDER)
    await desk.caller("Dispatch/RetryDeadLetter", request)
    await desk.arrived(entry)
    assert len(vendor.events(KIM)) == 1


async def test_no_secret_is_stored_or_told(served: Served, opened: Open, fresh: Fresh, vendor: Vendor) -> None:
    """A vendor that repeats the client secret: it is in no row of connections, deliveries or calendars."""
    desk = await opened(served.caller)
    secret = vendor.control.credentials()["client_secret"]
    body = {"error": {"code": "ErrorAccessDenied", "message": f"secret {secret}"}}
    vendor.control.add_fault("status", path_regex="/graph/", status=403, body=body, times=0)
    entry = await desk.book(await desk.technician(DANA))

    async def given_up() -> bool:
        return {one.state for one in (await desk.sync(entry)).deliveries} == {"dead"}

    await until(given_up)
    assert secret not in str(await desk.sync(entry))
    tables = ("outbox_dead_letters", "outbox_deliveries", "calendar_providers", "rmm_integrations", "audit_log")
    for table in tables:
        rows = await desk.owner.fetch(f"SELECT t::text FROM {table} t")
        assert secret not in str(rows), table


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"entra_tenant_id": "acme"}, "settings.entra_tenant_id"),
        ({"app_id": ""}, "settings.app_id"),
        ({"client_secret": ""}, "settings.client_secret"),
        ({"cloud": "moon"}, "settings.cloud"),
    ],
)
async def test_bad_settings_are_refused_by_their_field(
    served: Served, vendor: Vendor, changes: dict[str, str], field: str
) -> None:
    """Connecting names what is wrong and stores nothing."""
    settings = {**demo_connection(vendor.url, vendor.control.credentials()), **changes}
    request = connections_pb2.ConnectRequest(
        tenant=TENANT, provider=PROVIDER, settings=struct(settings), grant=LOOPBACK
    )
    with pytest.raises(grpc.RpcError) as caught:
        await served.caller("Connections/Connect", request)
    assert fields(caught.value) == [field]


async def test_refused_credentials_are_not_stored(served: Served, vendor: Vendor) -> None:
    """A wrong secret is told as such; afterwards there is no connection."""
    settings = {**demo_connection(vendor.url, vendor.control.credentials()), "client_secret": "wrong"}
    request = connections_pb2.ConnectRequest(
        tenant=TENANT, provider=PROVIDER, settings=struct(settings), grant=LOOPBACK
    )
    answer = await served.caller("Connections/Connect", request)
    assert answer.failure.reason == "CREDENTIALS_REFUSED"
    listed = await served.caller("Connections/ListConnections", connections_pb2.ListConnectionsRequest(tenant=TENANT))
    assert PROVIDER not in {one.provider for one in listed.connections}
