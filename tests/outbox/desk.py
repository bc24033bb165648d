"""A tenant with a technician whose bookings are told to a receiver of webhooks."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg

from sandbox.client import SandboxControl
from sandbox.webhook import demo_connection
from server.gen.patchbay.v1 import connections_pb2, dispatch_pb2, executor_pb2
from tests.support.postgres import Fresh
from tests.support.served import Caller, set_up

FIRST = datetime(2027, 3, 1, 9, 0, tzinfo=UTC)
PATIENCE = 60.0  # only a defect reaches it


@dataclass
class Desk:
    """One tenant's board as a caller and the database see it, and the receiver of its events."""

    caller: Caller
    owner: "asyncpg.Connection[Any]"
    tenant: str
    technician: str
    url: str
    receiver: SandboxControl
    slug: str = "acme"
    hook: str = "demo"

    @classmethod
    async def open(cls, caller: Caller, fresh: Fresh, url: str, *, slug: str = "acme", hook: str = "demo") -> "Desk":
        """Creates the tenant, its technician and the connection to a hook of the receiver at `url`."""
        receiver = SandboxControl(url)
        await set_up(caller, "webhook", settings(receiver, url, hook), slug)
        owner = await asyncpg.connect(fresh.dsn)
        await owner.execute("SELECT set_config('patchbay.tenant', '*', false)")
        tenant = str(await owner.fetchval("SELECT tenant FROM tenants WHERE slug = $1", slug))
        desk = cls(caller, owner, tenant, str(uuid4()), url, receiver, slug, hook)
        await desk._hire()
        receiver.reset()  # the event that tested the connection
        return desk

    async def _hire(self) -> None:
        await self.owner.execute(
            "INSERT INTO users (tenant, user_id, username) VALUES ($1, $2, 'mina')", self.tenant, self.technician
        )
        await self.owner.execute("INSERT INTO roles (tenant, role_name) VALUES ($1, 'Technician')", self.tenant)
        await self.owner.execute(
            "INSERT INTO user_roles (tenant, user_id, role_id) SELECT tenant, $2, role_id FROM roles WHERE tenant = $1",
            self.tenant,
            self.technician,
        )

    async def book(self, hour: int = 0, **more: Any) -> str:
        """Books an hour and returns the id of the entry."""
        wanted = {"assigned_user_ids": [self.technician], "title": f"Visit {hour}", "window": hours(hour), **more}
        return str((await self._done("create_entry", wanted))["entry_id"])

    async def move(self, entry: str, hour: int) -> None:
        """Moves an entry."""
        await self._done("reschedule", {"entry_id": entry, "window": hours(hour)})

    async def _done(self, action: str, wanted: dict[str, Any]) -> Any:
        made = await self.caller.execute(f"scheduling.{action}", wanted, str(uuid4()), tenant=self.slug)
        assert made.state == executor_pb2.EXECUTION_STATE_SUCCEEDED, made.failure
        return made.output.json

    async def disconnect(self) -> None:
        """Switches the connection off."""
        request = connections_pb2.DisconnectRequest(tenant=self.slug, provider="webhook")
        await self.caller("Connections/Disconnect", request)

    async def connect(self) -> None:
        """Connects again."""
        await set_up(self.caller, "webhook", settings(self.receiver, self.url, self.hook), self.slug)

    async def sync(self, entry: str) -> list[dispatch_pb2.EventDelivery]:
        """Returns the deliveries of an entry."""
        request = dispatch_pb2.GetSyncRequest(tenant=self.slug, entry_id=entry)
        return list((await self.caller("Dispatch/GetSync", request)).deliveries)

    async def states(self, entry: str) -> list[str]:
        """Returns where the events of an entry stand, in their order."""
        return [one.state for one in await self.sync(entry)]

    async def dead(self) -> list[dispatch_pb2.EventDelivery]:
        """Returns what was given up."""
        request = dispatch_pb2.ListDeadLettersRequest(tenant=self.slug)
        return list((await self.caller("Dispatch/ListDeadLetters", request)).dead_letters)

    async def retry(self, event: str) -> dispatch_pb2.EventDelivery:
        """Has an event that was given up delivered once more."""
        request = dispatch_pb2.RetryDeadLetterRequest(tenant=self.slug, event_id=event, consumer="webhook")
        answer = await self.caller("Dispatch/RetryDeadLetter", request)
        delivery: dispatch_pb2.EventDelivery = answer.delivery
        return delivery

    async def settled(self, entry: str) -> None:
        """Waits until no event of an entry is pending."""
        await until(lambda: self._none_pending(entry))

    async def _none_pending(self, entry: str) -> bool:
        return "pending" not in await self.states(entry)

    def received(self, kind: str = "event") -> list[dict[str, Any]]:
        """Returns the events of entries that the hook has taken, in its order; `again`: those that it had already."""
        items = self.receiver.effects(kind=kind, target=self.hook).items
        return [item["detail"] for item in items if item["detail"]["data"]]

    def told(self, entry: str, kind: str = "event") -> list[int]:
        """Returns the numbers of the events of an entry that the hook has taken."""
        return [one["data"]["sequence"] for one in self.received(kind) if one["data"]["entry_id"] == entry]


def settings(receiver: SandboxControl, url: str, hook: str) -> dict[str, Any]:
    """Settings of a connection to a hook."""
    credentials = receiver.credentials()
    return demo_connection(url, {"hooks": {hook: credentials["hooks"][hook]}})


def hours(hour: int) -> dict[str, str]:
    """Returns a window of one hour."""
    start = FIRST + timedelta(hours=hour)
    return {"start": start.isoformat(), "end": (start + timedelta(hours=1)).isoformat()}


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Waits until something holds."""
    deadline = time.monotonic() + PATIENCE
    while not await true():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.05)
