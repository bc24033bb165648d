"""Several replicas deliver the events of one board; some of them die, and so does the database."""

import asyncio
from collections import Counter

import pytest

from server.store.embedded import EmbeddedPostgres
from tests.operations.load import kill, restart
from tests.outbox.desk import Desk, until
from tests.outbox.receiver import receiver_url
from tests.support.postgres import Fresh
from tests.support.served import Caller, Replicas

__all__ = ["receiver_url"]

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

SHORT = {"delivery_seconds": 2.0}


async def test_two_replicas_deliver_each_event_once_in_order(
    replicas: Replicas, fresh: Fresh, receiver_url: str
) -> None:
    """20 entries, changed five times each through both replicas: the receiver has every event once, in its order."""
    callers = [Caller(replicas.start(**SHORT).target) for _ in range(2)]
    desk = await Desk.open(callers[0], fresh, receiver_url)
    entries = [await desk.book(hour) for hour in range(20)]
    for number in range(1, 6):
        desk.caller = callers[number % 2]
        await asyncio.gather(*(desk.move(entry, 100 * number + at) for at, entry in enumerate(entries)))
    for entry in entries:
        await desk.settled(entry)
        assert desk.told(entry) == [1, 2, 3, 4, 5, 6]
    assert desk.received("again") == []
    await _close(desk, callers)


async def test_a_replica_killed_between_delivery_and_record_loses_nothing(
    replicas: Replicas, fresh: Fresh, receiver_url: str
) -> None:
    """Another replica tells the same id again, then the entry's next event; other entries do not wait for it.

    The receiver has the event, and the replica dies before it knows.
    """
    first = replicas.start(**SHORT)
    caller = Caller(first.target)
    desk = await Desk.open(caller, fresh, receiver_url)
    desk.receiver.add_fault("hang", times=1)
    entry = await desk.book()
    await until(lambda: _taken(desk, 1))
    await desk.move(entry, 2)
    first.kill()
    await caller.close()
    desk.caller = Caller(replicas.start(**SHORT).target)
    other = await desk.book(5)
    await desk.settled(other)
    await desk.settled(entry)
    assert desk.told(entry) == [1, 2]
    assert [one["id"] for one in desk.received("again")] == [desk.received()[0]["id"]]
    assert [one.attempts for one in await desk.sync(entry)] == [2, 1]
    await _close(desk, [desk.caller])


async def _taken(desk: Desk, many: int) -> bool:
    return len(desk.received()) == many


@pytest.mark.parametrize("shake", [restart, kill], ids=lambda one: one.__name__)
async def test_events_survive_the_database(
    own_replicas: Replicas, own_postgres: EmbeddedPostgres, receiver_url: str, shake: object
) -> None:
    """PostgreSQL goes away while events are delivered: each of them arrives, the first copies in their order."""
    assert callable(shake)
    replica = await asyncio.to_thread(own_replicas.start, **SHORT)
    caller = Caller(replica.target)
    desk = await Desk.open(caller, Fresh(own_postgres.dsn, own_postgres.app_dsn), receiver_url)
    desk.receiver.add_fault("delay", seconds=0.2, times=0)
    entries = [await desk.book(hour) for hour in range(10)]
    for entry in entries:
        await desk.move(entry, 50 + entries.index(entry))
    await desk.owner.close()
    await shake(own_postgres)
    await until(lambda: _taken(desk, 20))
    for entry in entries:
        assert desk.told(entry) == [1, 2]
    ids = Counter(one["id"] for one in desk.received())
    assert set(ids.values()) == {1}
    assert replica.process.poll() is None
    await caller.close()


async def test_a_replica_that_stops_hands_over_what_it_was_telling(
    replicas: Replicas, fresh: Fresh, receiver_url: str
) -> None:
    """SIGTERM while a receiver hangs: the process ends in order, and the event is told by the next one."""
    first = replicas.start(delivery_seconds=60, drain_seconds=1)
    caller = Caller(first.target)
    desk = await Desk.open(caller, fresh, receiver_url)
    desk.receiver.add_fault("hang", times=1, after=False)
    entry = await desk.book()
    await until(lambda: _asked(desk))
    await caller.close()
    assert await asyncio.to_thread(first.kill, 15) == 0
    desk.caller = Caller((await asyncio.to_thread(replicas.start, **SHORT)).target)
    await desk.settled(entry)
    assert desk.told(entry) == [1]
    await _close(desk, [desk.caller])


async def _asked(desk: Desk) -> bool:
    return len(desk.receiver.requests()) == 1


async def _close(desk: Desk, callers: list[Caller]) -> None:
    await desk.owner.close()
    for caller in callers:
        await caller.close()
