"""Calendars of people and the events in them: who is written, what is remembered, never across tenants."""

from typing import Any
from uuid import uuid4

import pytest

from server.sdk.accounts import Account
from server.sdk.events import Calendar, CalendarEvent
from server.store.accounts import Accounts
from server.store.calendars import Calendars
from server.store.database import Database
from server.store.tenants import Tenants

pytestmark = pytest.mark.anyio

DANA = "7d9f3b54-3333-4444-8555-666677778881"


class Msp:
    """A tenant."""

    def __init__(self, database: Database, id: str) -> None:
        self.database = database
        self.id = id
        self.book = Calendars(database, id, "microsoft")

    async def sql(self, statement: str, *arguments: Any) -> list[Any]:
        """Runs a statement in the tenant's scope."""
        async with self.database.tenant(self.id) as connection:
            return list(await connection.fetch(statement, self.id, *arguments))

    async def user(self, provider: str = "microsoft", **columns: Any) -> str:
        """Adds a user with a linked account and a calendar."""
        user = str(uuid4())
        await self.sql("INSERT INTO users (tenant, user_id, username) VALUES ($1, $2, $3)", user, user)
        await Accounts(self.database, self.id).link(provider, Account(user_id=user, account_id=DANA))
        names = ["user_id", "provider_type", *columns]
        values = ", ".join(f"${number}" for number in range(1, len(names) + 2))
        sql = f"INSERT INTO calendar_providers (tenant, {', '.join(names)}) VALUES ({values})"
        await self.sql(sql, user, provider, *columns.values())
        return user

    async def entry(self) -> str:
        """Adds an entry."""
        sql = """INSERT INTO schedule_entries (tenant, title, work_item_type, status) VALUES ($1, 'x', 'ad_hoc', 'new')
            RETURNING entry_id::text"""
        return str((await self.sql(sql))[0][0])

    async def state(self) -> tuple[str, str | None]:
        """Status and note of the tenant's one calendar."""
        ((status, note),) = await self.sql("SELECT status, error_message FROM calendar_providers WHERE tenant = $1")
        return status, note


@pytest.fixture
async def msp(database: Database) -> Msp:
    """A tenant."""
    return Msp(database, (await Tenants(database).create(f"t-{uuid4().hex}")).id)


@pytest.fixture
async def rival(database: Database) -> Msp:
    """Another one."""
    return Msp(database, (await Tenants(database).create(f"t-{uuid4().hex}")).id)


@pytest.mark.parametrize(
    ("columns", "written"),
    [
        ({}, True),
        ({"status": "error"}, True),
        ({"sync_direction": "bidirectional"}, True),
        ({"is_active": False}, False),
        ({"status": "disconnected"}, False),
        ({"status": "configuring"}, False),
        ({"sync_direction": "from_external"}, False),
        ({"provider": "google"}, False),
    ],
)
async def test_calendars_that_are_written(msp: Msp, columns: dict[str, Any], written: bool) -> None:
    """Active, connected or in trouble, outwards, of this provider."""
    user = await msp.user(**columns)
    found = [(one.user_id, one.account_id) for one in await msp.book.connected([user, str(uuid4())])]
    assert found == ([(user, DANA)] if written else [])


async def test_an_event_is_remembered_until_it_is_dropped(msp: Msp) -> None:
    """It comes back as it was kept last, also when the calendar is switched off."""
    (calendar,) = await msp.book.connected([await msp.user(calendar_id="AAMk=")])
    entry = await msp.entry()
    for sequence, external_id in ((0, ""), (3, "AAMk-event=")):
        kept = CalendarEvent(calendar=calendar, external_id=external_id, sequence=sequence)
        await msp.book.keep(entry, kept)
        await msp.sql("UPDATE calendar_providers SET is_active = false WHERE tenant = $1")
        assert await msp.book.events_of(entry) == [kept]
    await msp.book.drop(entry, calendar)
    assert await msp.book.events_of(entry) == []


async def test_a_refusal_is_noted_until_an_event_is_kept(msp: Msp) -> None:
    """What was only to be created takes no note away."""
    (calendar,) = await msp.book.connected([await msp.user()])
    entry = await msp.entry()
    await msp.book.refused(calendar, "no mailbox\0")
    assert await msp.state() == ("error", "no mailbox\N{SYMBOL FOR NULL}")
    await msp.book.keep(entry, CalendarEvent(calendar=calendar, external_id="", sequence=0))
    assert (await msp.state())[0] == "error"
    await msp.book.keep(entry, CalendarEvent(calendar=calendar, external_id="AAMk=", sequence=1))
    assert await msp.state() == ("connected", None)


async def test_tenants_and_providers_do_not_see_each_other(msp: Msp, rival: Msp) -> None:
    """Another tenant, and another provider, that names the same ids finds, changes and forgets nothing."""
    user, entry = await msp.user(), await msp.entry()
    (calendar,) = await msp.book.connected([user])
    kept = CalendarEvent(calendar=calendar, external_id="AAMk=", sequence=1)
    await msp.book.keep(entry, kept)
    for other in (rival.book, Calendars(msp.database, msp.id, "google")):
        assert await other.connected([user]) == []
        assert await other.events_of(entry) == []
        await other.drop(entry, calendar)
        await other.refused(calendar, "theirs")
        moved = Calendar(id=calendar.id, user_id=user, account_id="theirs", calendar_id=None)
        await other.keep(entry, CalendarEvent(calendar=moved, external_id="theirs", sequence=9))
    assert await rival.book.entry(entry) is None
    assert await msp.book.events_of(entry) == [kept]
    assert await msp.state() == ("connected", None)
