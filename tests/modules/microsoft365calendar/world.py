"""A tenant with technicians, its board, their calendars, and what is in those."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import structlog

from sandbox.client import SandboxControl
from sandbox.microsoft365calendar import demo_connection
from server.core.records import Origin
from server.gen.patchbay.modules.microsoft365calendar.v1.microsoft365calendar_pb2 import Microsoft365CalendarConnection
from server.modules.microsoft365calendar import MODULE
from server.modules.microsoft365calendar.graph import Graph
from server.sdk import Account, ActionFailure, ConnectionScope, Deadline
from server.sdk.events import ConsumerContext, Event
from server.sdk.http import HttpPool
from server.sdk.masking import Masker
from server.sdk.schedule import Change, Entry
from server.sdk.scope import CallScope, entered
from server.store.accounts import Accounts
from server.store.calendars import Calendars
from server.store.database import Database
from server.store.schedule import Board
from tests.modules.harness import LOOPBACK

DANA, LEE, SAM, KIM, BOSS = (f"7d9f3b54-3333-4444-8555-66667777888{number}" for number in range(1, 6))
DISPATCH = "AAMkAGVm-Dispatch="
MONDAY = datetime(2027, 3, 1, 8, tzinfo=UTC)
_ORIGIN = Origin("tests", "", "", "scheduling.create_entry", 1, str(uuid4()), "", "")


def entry(*assignees: str, **more: Any) -> Entry:
    """An entry on a Monday morning."""
    facts = {"title": "Replace switch", "status": "scheduled", "start": MONDAY, "end": MONDAY + timedelta(hours=2)}
    return Entry(**{"id": str(uuid4()), "assignees": tuple(sorted(assignees)), **facts, **more})


@dataclass
class Vendor:
    """What is in the simulated calendars."""

    control: SandboxControl
    url: str

    def events(self, account: str | None = None) -> list[dict[str, Any]]:
        """Events, of one person's mailbox where one is named."""
        found: list[dict[str, Any]] = self.control.state()["events"]
        return [one for one in found if account in {None, one["owner"]}]

    def only(self, account: str) -> dict[str, Any]:
        """The one event of a mailbox."""
        (found,) = self.events(account)
        return found

    def counted(self) -> dict[str, int]:
        """Effects by kind."""
        return self.control.effects().by_kind

    def asked(self) -> list[str]:
        """Methods of the requests for Graph."""
        return [one["method"] for one in self.control.requests(1000) if one["path"].startswith("/graph/")]


@dataclass
class Tenant:
    """One tenant with a connection; `tell` is what the dispatcher does."""

    id: str
    database: Database
    graph: Graph
    secret: str
    told: dict[str, Event] = field(default_factory=dict)

    @property
    def book(self) -> Calendars:
        """The tenant's calendars at Microsoft."""
        return Calendars(self.database, self.id, "microsoft")

    async def technician(self, account: str | None, *, calendar: str | None = None, connected: bool = True) -> str:
        """Adds a user, links the account and connects the calendar; returns the user's id."""
        user = str(uuid4())
        await self.sql("INSERT INTO users (tenant, user_id, username) VALUES ($1, $2, $3)", user, user)
        if account:
            await self.link(user, account)
        if connected:
            sql = "INSERT INTO calendar_providers (tenant, user_id, provider_type, calendar_id) VALUES ($1, $2, $3, $4)"
            await self.sql(sql, user, "microsoft", calendar)
        return user

    async def link(self, user: str, account: str) -> None:
        """Links a user to a Microsoft account."""
        await Accounts(self.database, self.id).link("microsoft", Account(user_id=user, account_id=account))

    async def stored(self, what: Entry, change: Change = "schedule_entry.created") -> Event:
        """Stores an entry, new or changed, and returns the event that tells of it."""
        async with self.database.tenant(self.id) as connection, connection.transaction():
            board = Board(self.database, self.id, transaction=connection, origin=_ORIGIN)
            made = change == "schedule_entry.created"
            now = await (board.add(what, change) if made else board.change(what, change))
        return Event(id=str(uuid4()), type=change, sequence=now.sequence, at=datetime.now(UTC), entry=now)

    async def tell(self, event: Event, *, seconds: float = 20.0, attempt: int = 1) -> None:
        """Delivers an event."""
        assert MODULE.consume is not None
        scope = CallScope(Deadline.after(seconds), Masker([self.secret]))
        context: ConsumerContext[Graph] = ConsumerContext(
            client=self.graph,
            tenant=self.id,
            attempt=attempt,
            deadline=scope.deadline,
            accounts=Accounts(self.database, self.id),
            calendars=lambda provider: Calendars(self.database, self.id, provider),
            log=structlog.get_logger(),
        )
        async with entered(scope):
            await MODULE.consume(event, context)

    async def refused(self, event: Event) -> ActionFailure:
        """Delivers an event that cannot be delivered; returns why."""
        try:
            await self.tell(event)
        except ActionFailure as failure:
            return failure
        raise AssertionError("the event was delivered")

    async def book_in(self, what: Entry) -> Entry:
        """Stores a new entry and tells of it; returns it as it is stored."""
        event = await self.stored(what)
        await self.tell(event)
        return event.entry

    async def changed(self, what: Entry, change: Change = "schedule_entry.updated", **changes: Any) -> Entry:
        """Changes an entry and tells of it; returns it as it is stored."""
        event = await self.stored(replace(what, **changes), change)
        await self.tell(event)
        return event.entry

    async def sql(self, statement: str, *arguments: Any) -> list[Any]:
        """Runs one statement in the tenant's scope; its id is the first argument."""
        async with self.database.tenant(self.id) as connection:
            return list(await connection.fetch(statement, self.id, *arguments))


MakeTenant = Callable[..., Tenant]


def tenant_at(
    id: str, database: Database, pool: HttpPool, url: str, credentials: dict[str, Any], **changes: Any
) -> Tenant:
    """Connects a tenant to the simulated services."""
    settings = Microsoft365CalendarConnection(**{**demo_connection(url, credentials), **changes})
    scope = ConnectionScope(tenant=id, connection_id=str(uuid4()), settings=settings, http=pool.client(LOOPBACK))
    return Tenant(id, database, Graph(scope), settings.client_secret)
