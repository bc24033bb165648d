"""Named locks: one holder over all replicas, nobody waits for the dead."""

import asyncio
from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from server.sdk.context import Deadline
from server.sdk.failures import ActionFailure, Effect
from server.store.database import Database
from server.store.embedded import EmbeddedPostgres
from server.store.listen import Listener
from server.store.locks import Locks
from tests.support.postgres import Fresh

pytestmark = pytest.mark.anyio

ALPHA, BETA = str(uuid4()), str(uuid4())


async def _rows(database: Database) -> int:
    async with database.system() as connection:
        count: int = await connection.fetchval("SELECT count(*) FROM named_locks")
    return count


async def _crash_holding(database: Database, name: str, *, expired: bool) -> None:
    """Leaves a lock behind as a process that was killed would."""
    async with database.tenant(ALPHA) as connection:
        await connection.execute(
            "INSERT INTO named_locks VALUES ($1, $2, $3, clock_timestamp() + $4 * interval '1 second')",
            *(ALPHA, name, str(uuid4()), -1 if expired else 3600),
        )


async def test_one_holder_at_a_time_over_all_replicas(database: Database) -> None:
    """Twenty holders from three replicas never overlap, and each gets its turn."""
    replicas, inside, most, turns = [Locks(database) for _ in range(3)], 0, 0, 0

    async def work(locks: Locks) -> None:
        nonlocal inside, most, turns
        async with locks.hold(ALPHA, "agent 1", Deadline.after(60)):
            inside, turns = inside + 1, turns + 1
            most = max(most, inside)
            await asyncio.sleep(0.002)
            inside -= 1

    await asyncio.gather(*(work(replicas[number % 3]) for number in range(20)))
    assert (most, turns, await _rows(database)) == (1, 20, 0)


async def test_names_and_tenants_do_not_hinder_each_other(database: Database) -> None:
    """Other names, and the same name of another tenant, can be held at the same time; so can long odd names."""
    locks, long = Locks(database), "n" * 5000
    async with (
        locks.hold(ALPHA, "a", Deadline.after(5)),
        locks.hold(ALPHA, "b", Deadline.after(5)),
        locks.hold(BETA, "a", Deadline.after(5)),
        locks.hold(ALPHA, f"{long}1\0", Deadline.after(5)),
        locks.hold(ALPHA, f"{long}2\0", Deadline.after(5)),
    ):
        assert await _rows(database) == 5


@pytest.mark.parametrize("replicas", [1, 2])
async def test_waiting_ends_at_the_deadline(database: Database, replicas: int) -> None:
    """A waiter that does not get the lock fails with TIMED_OUT and no effect, in one process and across two."""
    mine = Locks(database)
    theirs = mine if replicas == 1 else Locks(database)
    async with mine.hold(ALPHA, "agent 1", Deadline.after(5)):
        with pytest.raises(ActionFailure) as caught:
            async with theirs.hold(ALPHA, "agent 1", Deadline.after(0.05)):
                pytest.fail("held twice")
        assert (caught.value.failure.reason, caught.value.failure.effect) == ("TIMED_OUT", Effect.EFFECT_NONE)
    async with theirs.hold(ALPHA, "agent 1", Deadline.after(5)):
        pass


async def test_errors_of_the_holder_pass_and_release(database: Database) -> None:
    """What the block raises, a TimeoutError included, comes out unchanged, and the lock is free."""
    locks = Locks(database)
    for error in (TimeoutError("mine"), ValueError("mine")):
        with pytest.raises(type(error), match="mine"):
            async with locks.hold(ALPHA, "a", Deadline.after(5)):
                raise error
    assert await _rows(database) == 0


async def test_a_cancelled_holder_and_a_cancelled_waiter_leave_nothing(database: Database) -> None:
    """Cancelling releases the lock at once; cancelling a waiter disturbs nobody."""
    locks, held = Locks(database), asyncio.Event()

    async def hold() -> None:
        async with locks.hold(ALPHA, "a", Deadline.after(60)):
            held.set()
            await asyncio.sleep(3600)

    holder = asyncio.create_task(hold())
    await held.wait()
    waiter = asyncio.create_task(hold())
    remote = asyncio.create_task(_hold_once(Locks(database)))
    await asyncio.sleep(0.02)
    waiter.cancel()
    holder.cancel()
    assert {type(one) for one in await asyncio.gather(holder, waiter, return_exceptions=True)} == {
        asyncio.CancelledError
    }
    await remote
    assert await _rows(database) == 0


async def _hold_once(locks: Locks) -> None:
    async with locks.hold(ALPHA, "a", Deadline.after(60)):
        pass


async def test_a_dead_holders_lock_can_be_taken_when_its_lease_is_over(database: Database) -> None:
    """An expired lease is taken over; one that has not expired is respected."""
    locks = Locks(database)
    await _crash_holding(database, "expired", expired=True)
    await _crash_holding(database, "alive", expired=False)
    async with locks.hold(ALPHA, "expired", Deadline.after(5)):
        pass
    with pytest.raises(ActionFailure, match="TIMED_OUT"):
        async with locks.hold(ALPHA, "alive", Deadline.after(0.05)):
            pytest.fail("taken from a living holder")


async def test_a_lease_is_renewed_while_it_is_held(database: Database) -> None:
    """The end of the lease moves on while the block runs, so that it may take longer than one lease."""

    async def ends() -> datetime:
        async with database.system() as connection:
            moment: datetime = await connection.fetchval("SELECT expires_at FROM named_locks")
        return moment

    async with Locks(database, lease=0.3).hold(ALPHA, "a", Deadline.after(5)), asyncio.timeout(60):
        first = await ends()
        while await ends() < first + timedelta(seconds=0.3):
            await asyncio.sleep(0.02)


async def test_renewing_goes_on_after_postgresql_was_away(own_postgres: EmbeddedPostgres) -> None:
    """A restart during the block loses neither the lock nor the holder."""
    database = await Database.open(own_postgres.app_dsn, min_size=1, max_size=2)
    async with Locks(database, lease=0.3).hold(ALPHA, "a", Deadline.after(5)), asyncio.timeout(60):
        await asyncio.to_thread(own_postgres.restart)
        async with database.system() as connection:
            first = await connection.fetchval("SELECT clock_timestamp()")
        while True:
            async with database.system() as connection:
                if await connection.fetchval("SELECT expires_at > $1 FROM named_locks", first):
                    break
            await asyncio.sleep(0.02)
    assert await _rows(database) == 0
    await database.close()


async def test_news_wakes_a_waiter(database: Database, fresh: Fresh) -> None:
    """With a listener a release elsewhere reaches the waiter as news, under the key that it waits for."""
    heard: asyncio.Queue[str] = asyncio.Queue()
    listener = Listener(fresh.app_dsn)
    waiting = Locks(database, listener)
    listener.on("patchbay_locks", heard.put_nowait)
    async with listener:
        async with Locks(database).hold(ALPHA, "a", Deadline.after(5)):
            waiter = asyncio.create_task(_hold_once(waiting))
            await asyncio.sleep(0.05)
        await waiter
        assert await asyncio.wait_for(heard.get(), 10) == f"{ALPHA} a"


async def test_what_the_dead_left_is_removed_in_the_end(database: Database) -> None:
    """Pruning removes locks that ended an hour ago and no others."""
    locks = Locks(database)
    await _crash_holding(database, "recent", expired=True)
    async with database.tenant(ALPHA) as connection:
        await connection.execute(
            "INSERT INTO named_locks VALUES ($1, 'old', $1, clock_timestamp() - interval '2 hours')", ALPHA
        )
    await locks.prune()
    assert await _rows(database) == 1
