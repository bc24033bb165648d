"""The book of alerts: what vendors told, by connection, never across tenants."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from server.sdk.alert_book import Alert
from server.sdk.inventory import Device
from server.store.alerts import Alerts, prune_alerts
from server.store.database import Database
from server.store.inventory import Assets

pytestmark = pytest.mark.anyio

ALPHA, BETA, LINK = str(uuid4()), str(uuid4()), str(uuid4())
THEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DISK = Alert(
    external_alert_id="a1",
    severity="MAJOR",
    priority="HIGH",
    title="Disk",
    message="C: is full",
    device_id="31",
    source_type="CONDITION",
    created_at=THEN,
    updated_at=THEN,
    details={"subject": "Disk", "count": 3},
)
OTHER = Alert(external_alert_id="a2", device_id="40", created_at=THEN + timedelta(hours=1))


@pytest.fixture
def book(database: Database) -> Alerts:
    """The book of one connection."""
    return Alerts(database, ALPHA, "vendor", LINK)


async def _active(book: Alerts, **wanted: object) -> list[str]:
    return [one.external_alert_id for one in await book.active(limit=10, **wanted)]  # type: ignore[arg-type]


async def test_an_alert_comes_back_as_it_was_told(book: Alerts, database: Database) -> None:
    """Every attribute survives, with the asset of its device, and it is found by either id."""
    assets = await Assets(database, ALPHA, "vendor").refresh([Device(device_id="31")], complete=False)
    (told,) = await book.refresh([DISK], complete=False)
    assert told == replace(DISK, alert_id=told.alert_id, asset_id=assets["31"])
    assert str(UUID(told.alert_id)) == told.alert_id
    assert await book.get("a1") == await book.get(told.alert_id) == told
    assert await book.get("missing") is None


async def test_active_alerts_are_listed_newest_first_and_by_device(book: Alerts) -> None:
    """The order is that of their beginning; a device narrows the list; the limit cuts it."""
    await book.refresh([DISK, OTHER], complete=False)
    assert await _active(book) == ["a2", "a1"]
    assert await _active(book, device_id="31") == ["a1"]
    assert [one.external_alert_id for one in await book.active(limit=1)] == ["a2"]


async def test_only_a_complete_answer_is_fresh_and_only_for_a_minute(book: Alerts, database: Database) -> None:
    """A part of the alerts freshens nothing; a complete answer does, until it is a minute old by the database."""
    await book.refresh([DISK], complete=False)
    assert not await book.fresh()
    await book.refresh([DISK], complete=True)
    assert await book.fresh()
    for age in ("61 seconds", "-1 hour"):
        async with database.system() as connection:
            await connection.execute("UPDATE rmm_alert_fills SET filled_at = now() - $1::text::interval", age)
        assert not await book.fresh()


async def test_alerts_that_a_complete_answer_lacks_are_over(book: Alerts) -> None:
    """They become resolved and leave the list; told again they are active with the same id."""
    (first, _) = await book.refresh([DISK, OTHER], complete=True)
    await book.refresh([OTHER], complete=True)
    assert await _active(book) == ["a2"]
    over = await book.get("a1")
    assert over is not None
    assert over.status == "resolved"
    (again,) = await book.refresh([DISK], complete=False)
    assert (again.alert_id, again.status) == (first.alert_id, "active")


async def test_what_is_not_told_keeps_its_last_value(book: Alerts) -> None:
    """A poorer answer about an alert deletes nothing that was known."""
    await book.refresh([DISK], complete=False)
    (told,) = await book.refresh([Alert(external_alert_id="a1", details={"count": 4})], complete=False)
    assert (told.severity, told.message, told.created_at) == ("MAJOR", "C: is full", THEN)
    assert told.details == {"subject": "Disk", "count": 4}


async def test_an_alert_that_is_told_twice_counts_once(book: Alerts) -> None:
    """The last one counts, in the place of the first."""
    told = await book.refresh([DISK, OTHER, replace(DISK, severity="MINOR")], complete=True)
    assert [(one.external_alert_id, one.severity) for one in told] == [("a1", "MINOR"), ("a2", None)]
    assert await book.refresh([], complete=False) == []


async def test_closing_takes_it_off_the_list(book: Alerts) -> None:
    """A status reached at the vendor is kept; an alert that the book lacks is None."""
    await book.refresh([DISK], complete=False)
    closed = await book.close("a1", "resolved")
    assert closed is not None
    assert closed.status == "resolved"
    assert await _active(book) == []
    assert await book.close("missing", "resolved") is None


async def test_books_of_other_tenants_and_connections_are_apart(book: Alerts, database: Database) -> None:
    """Equal ids elsewhere are neither seen nor changed."""
    theirs = Alerts(database, BETA, "vendor", LINK)
    other = Alerts(database, ALPHA, "vendor", str(uuid4()))
    await theirs.refresh([DISK], complete=True)
    await other.refresh([DISK], complete=True)
    assert await _active(book) == []
    assert not await book.fresh()
    await book.refresh([], complete=True)
    assert await _active(theirs) == ["a1"]
    assert await _active(other) == ["a1"]


async def test_texts_that_postgresql_cannot_hold_are_stored_all_the_same(book: Alerts) -> None:
    """Zero bytes and halves of characters, in texts, ids and details, are replaced."""
    (told,) = await book.refresh(
        [replace(DISK, external_alert_id="a\0", message="b\ud800", details={"c\0": ["d\0"]})], complete=True
    )
    assert told.message == "b?"
    assert await book.get("a\0") == told
    assert await book.close("a\0", "resolved") is not None


async def test_refreshes_at_the_same_time_do_not_block_each_other(book: Alerts) -> None:
    """Sixteen complete answers in different orders all end."""
    many = [replace(DISK, external_alert_id=f"a{number}") for number in range(50)]
    tellings = [many, many[::-1], many[:30], many[20:]] * 4
    async with asyncio.timeout(60):
        await asyncio.gather(*(book.refresh(told, complete=True) for told in tellings))


async def test_alerts_that_have_long_been_over_are_forgotten(book: Alerts, database: Database) -> None:
    """Ninety days after its end an alert leaves the book; active ones stay however old they are."""
    await book.refresh([DISK, OTHER], complete=False)
    await book.close("a2", "resolved")
    await prune_alerts(database)
    assert await book.get("a2") is not None
    async with database.system() as connection:
        await connection.execute(
            "UPDATE rmm_alerts SET resolved_at = now() - interval '91 days' WHERE status <> 'active'"
        )
    await prune_alerts(database)
    assert await book.get("a2") is None
    assert await book.get("a1") is not None
