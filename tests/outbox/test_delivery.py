"""Events arrive: each of them, signed, in the order of their entry, and private ones without details."""

import asyncio

import pytest

from tests.outbox.desk import Desk, until

pytestmark = pytest.mark.anyio


async def test_every_change_of_an_entry_arrives_in_order(desk: Desk) -> None:
    """Booking, two moves and the record of them: three events under three ids, numbered from 1."""
    entry = await desk.book()
    await desk.move(entry, 3)
    await desk.move(entry, 5)
    await desk.settled(entry)
    assert await desk.states(entry) == ["delivered"] * 3
    events = desk.received()
    assert desk.told(entry) == [1, 2, 3]
    assert [one["type"].rpartition(".")[2] for one in events] == ["created", "updated", "updated"]
    assert [one["id"] for one in events] == [one.event_id for one in await desk.sync(entry)]
    assert events[-1]["data"]["scheduled_start"] == "2027-03-01T14:00:00+00:00"


async def test_details_of_private_entries_do_not_leave(desk: Desk) -> None:
    """A receiver is no assignee: it is told that somebody is busy, and when."""
    entry = await desk.book(is_private=True, title="Dentist", notes="left molar")
    await desk.settled(entry)
    data = desk.received()[0]["data"]
    assert (data["title"], data["notes"], data["is_private"]) == ("Busy", None, True)
    assert "Dentist" not in str(desk.received())


async def test_entries_do_not_wait_for_each_other(desk: Desk) -> None:
    """Events of other entries arrive while one of an entry is refused again and again."""
    desk.receiver.add_fault("status", status=400, times=1)
    first = await desk.book(0)
    await until(lambda: _tried(desk, first))
    others = [await desk.book(hour) for hour in range(1, 6)]
    for entry in (*others, first):
        await desk.settled(entry)
        assert await desk.states(entry) == ["delivered"]


async def _tried(desk: Desk, entry: str) -> bool:
    found = (await desk.sync(entry))[0]
    return found.HasField("last_failure") or found.state == "delivered"


async def test_order_holds_under_faults(desk: Desk) -> None:
    """Whatever the receiver does meanwhile, the first copies of an entry's events arrive in their order."""
    for kind, more in (
        ("status", {"status": 500}),
        ("reset_after", {}),
        ("status", {"status": 302}),
        ("reset_before", {}),
    ):
        desk.receiver.add_fault(kind, skip=1, times=1, **more)
    entries = [await desk.book(hour) for hour in range(3)]
    for number in range(4):
        await asyncio.gather(*(desk.move(entry, 10 + 10 * number + at) for at, entry in enumerate(entries)))
    for entry in entries:
        await desk.settled(entry)
        assert desk.told(entry) == [1, 2, 3, 4, 5]
