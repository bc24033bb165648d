"""Exactly once (rule 16): whatever is killed or restarted, one entry or none, and the same key then returns it."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from uuid import uuid4

import asyncpg
import grpc
import pytest

from server.gen.patchbay.v1 import executor_pb2, identity_pb2
from tests.scheduling.office import Office, plain, window
from tests.support.postgres import Fresh
from tests.support.served import TENANT, Caller, Replica, Replicas

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

SUCCEEDED = executor_pb2.EXECUTION_STATE_SUCCEEDED


class Strike:
    """One booking at a victim, and the victim's death.

    Args:
        owner, other: Connections that hold locks and look.
    """

    def __init__(self, victim: Replica, office: Office, other: asyncpg.Connection, user: str) -> None:
        self.victim = victim
        self.owner = office.owner
        self.other = other
        self.user = user
        self.key = str(uuid4())
        self.wanted = {"assigned_user_ids": [user], "title": "Visit", "window": window(0, 1)}
        self._caller = Caller(victim.target)
        self._call: asyncio.Task[executor_pb2.Execution] | None = None

    def begin(self) -> None:
        """Starts the call."""
        self._call = asyncio.create_task(self._caller.execute("scheduling.create_entry", self.wanted, self.key))

    async def waits(self, words: str, table: str | None = None) -> None:
        """Returns when a statement of the server waits for a lock, on the table if one is given. Words have to be among
        the first thousand characters: PostgreSQL tells no more of a statement."""
        sql = """
            SELECT count(*) FROM pg_stat_activity a WHERE wait_event_type = 'Lock' AND query ILIKE $1 AND (
                $2::text IS NULL
                OR EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND NOT granted AND relation = $2::regclass))
        """
        async with asyncio.timeout(20):
            while not await self.other.fetchval(sql, f"%{words}%", table):
                await asyncio.sleep(0.005)
                await self.other.execute("SELECT pg_stat_clear_snapshot()")

    async def recorded(self) -> None:
        """Returns when the outcome is committed."""
        sql = "SELECT status FROM workflow_action_invocations WHERE idempotency_key = $1"
        async with asyncio.timeout(20):
            while await self.other.fetchval(sql, self.key) != "SUCCEEDED":
                await asyncio.sleep(0.001)

    async def kill(self) -> None:
        """Kills the victim with -9."""
        await asyncio.to_thread(self.victim.kill)

    async def end(self) -> None:
        """Takes the broken answer, or the one that came just in time."""
        if self._call is not None:
            with suppress(grpc.RpcError):
                await self._call
        await self._caller.close()


async def _at_lock_of(table: str, strike: Strike) -> None:
    async with strike.owner.transaction():
        await strike.owner.execute(f"LOCK TABLE {table} IN SHARE MODE")
        strike.begin()
        await strike.waits("schedule_entries", table)
        await strike.kill()


async def before_the_technician_is_locked(strike: Strike) -> None:
    """Claimed; the transaction waits for the technician."""
    async with strike.owner.transaction():
        await strike.owner.execute("SELECT FROM users WHERE user_id = $1 FOR UPDATE", strike.user)
        strike.begin()
        await strike.waits("FROM users")
        await strike.kill()


async def before_the_entry(strike: Strike) -> None:
    """The technician is locked, the entry not yet written."""
    await _at_lock_of("schedule_entries", strike)


async def before_the_event(strike: Strike) -> None:
    """The entry is written, the event not yet."""
    await _at_lock_of("outbox_events", strike)


async def before_the_audit(strike: Strike) -> None:
    """The event is written, the audit row not yet."""
    await _at_lock_of("audit_log", strike)


async def before_the_outcome(strike: Strike) -> None:
    """All is written but the outcome of the execution."""
    async with strike.other.transaction():
        async with strike.owner.transaction():
            await strike.owner.execute("SELECT FROM users WHERE user_id = $1 FOR UPDATE", strike.user)
            strike.begin()
            await strike.waits("FROM users")
            await strike.other.execute("LOCK TABLE workflow_action_invocations IN SHARE MODE")
        await strike.waits("workflow_action_invocations SET")
        await strike.kill()


async def after_the_commit(strike: Strike) -> None:
    """Committed, perhaps not yet answered."""
    strike.begin()
    await strike.recorded()
    await strike.kill()


async def at_any_time(strike: Strike) -> None:
    """Wherever it happens to be."""
    strike.begin()
    await asyncio.sleep(random.uniform(0.0, 0.03))
    await strike.kill()


WINDOWS: list[Callable[[Strike], Awaitable[None]]] = [
    before_the_technician_is_locked,
    before_the_entry,
    before_the_event,
    before_the_audit,
    before_the_outcome,
    after_the_commit,
    *[at_any_time] * 4,
]


@pytest.fixture
async def other(fresh: Fresh) -> AsyncIterator[asyncpg.Connection]:
    """A second connection of the owner."""
    connection = await asyncpg.connect(fresh.dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def office_of_replicas(fresh: Fresh, replicas: Replicas) -> AsyncIterator[Office]:
    """An office on a server process that survives."""
    survivor = await asyncio.to_thread(replicas.start, lease_seconds=1, pool_size=5)
    owner, caller = await asyncpg.connect(fresh.dsn), Caller(survivor.target)
    answer = await caller("Identity/CreateTenant", identity_pb2.CreateTenantRequest(slug=TENANT))
    await owner.execute("SELECT set_config('patchbay.tenant', '*', false)")
    yield Office(caller, owner, answer.tenant.id)
    await caller.close()
    await owner.close()


@pytest.mark.campaign
async def test_rule_16_kill_9_anywhere_leaves_one_entry_or_none(
    office_of_replicas: Office, replicas: Replicas, other: asyncpg.Connection
) -> None:
    """Rule 16: after kill -9 at each statement and at any time the same key has one entry, one event, one audit row."""
    office = office_of_replicas
    for strike_at in WINDOWS:
        user = await office.hire("Ann")
        victim = await asyncio.to_thread(replicas.start, lease_seconds=1, pool_size=3)
        strike = Strike(victim, office, other, user)
        await strike_at(strike)
        await strike.end()
        left = await _entries(office, user)
        answer = await office.run("create_entry", strike.wanted, strike.key)
        while answer.failure.retryable:  # told by the sweep, which has just come before us
            answer = await office.run("create_entry", strike.wanted, strike.key)
        assert answer.state == SUCCEEDED, (strike_at.__name__, answer.failure)
        entries = await _entries(office, user)
        assert entries == [plain(answer)["entry_id"]], strike_at.__name__
        assert left in ([], entries), strike_at.__name__
        assert left or not strike_at.__name__.startswith("after")
        assert not left or not strike_at.__name__.startswith("before")
        told = await office.owner.fetchrow(
            "SELECT (SELECT count(*) FROM outbox_events WHERE subject = $1) AS events, "
            "(SELECT count(*) FROM audit_log WHERE record = 'schedule_entries/' || $1::uuid) AS audited",
            entries[0],
        )
        assert tuple(told) == (1, 1), strike_at.__name__


async def test_two_replicas_and_one_technician(office_of_replicas: Office, replicas: Replicas) -> None:
    """R16: 32 bookings of one slot over two server processes: one wins, 31 get CONFLICT."""
    office = office_of_replicas
    second = Caller((await asyncio.to_thread(replicas.start, lease_seconds=5, pool_size=5)).target)
    ann = await office.hire("Ann")
    wanted = {"assigned_user_ids": [ann], "title": "Visit", "window": window(0, 1)}
    callers = [office.caller, second] * 16
    answers = await asyncio.gather(
        *(caller.execute("scheduling.create_entry", wanted, str(uuid4())) for caller in callers)
    )
    assert sorted(one.failure.reason for one in answers) == [""] + ["CONFLICT"] * 31
    assert len(await _entries(office, ann)) == 1
    await second.close()


async def test_rule_16_one_key_over_two_replicas_books_once(office_of_replicas: Office, replicas: Replicas) -> None:
    """Rule 16: the same key sent to two processes at the same time gives both the same entry."""
    office = office_of_replicas
    second = Caller((await asyncio.to_thread(replicas.start, lease_seconds=5, pool_size=5)).target)
    ann, key = await office.hire("Ann"), str(uuid4())
    wanted = {"assigned_user_ids": [ann], "title": "Visit", "window": window(0, 1)}
    answers = await asyncio.gather(
        *(caller.execute("scheduling.create_entry", wanted, key) for caller in [office.caller, second] * 8)
    )
    assert {plain(one)["entry_id"] for one in answers} == set(await _entries(office, ann))
    assert len(await _entries(office, ann)) == 1
    await second.close()


async def test_a_connection_that_breaks_in_the_transaction_books_once(
    office: Office, other_of_office: asyncpg.Connection
) -> None:
    """PostgreSQL ends the server's connection before the commit: nothing is written, and the same key books."""
    ann, key = await office.hire("Ann"), str(uuid4())
    wanted = {"assigned_user_ids": [ann], "title": "Visit", "window": window(0, 1)}
    async with office.owner.transaction():
        await office.owner.execute("SELECT FROM users WHERE user_id = $1 FOR UPDATE", ann)
        call = asyncio.create_task(office.run("create_entry", wanted, key))
        waiting = "FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        async with asyncio.timeout(20):
            while not await other_of_office.fetchval(f"SELECT count(*) {waiting}"):
                await asyncio.sleep(0.005)
        await other_of_office.execute(f"SELECT pg_terminate_backend(pid) {waiting}")
    broken = await call
    assert (broken.failure.reason, broken.failure.retryable) == ("INTERRUPTED", True)
    assert await _entries(office, ann) == []
    again = await office.run("create_entry", wanted, key)
    assert await _entries(office, ann) == [plain(again)["entry_id"]]


@pytest.fixture
async def other_of_office(served: object, fresh: Fresh) -> AsyncIterator[asyncpg.Connection]:
    """A second connection of the owner, to the office's database."""
    connection = await asyncpg.connect(fresh.dsn)
    yield connection
    await connection.close()


async def _entries(office: Office, user: str) -> list[str]:
    rows = await office.owner.fetch("SELECT entry_id::text FROM schedule_entry_assignees WHERE user_id = $1", user)
    return [row["entry_id"] for row in rows]
