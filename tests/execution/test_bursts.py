"""Executions that arrive together: their claims, marks and outcomes share commits, and each is still on its own."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import uuid4

import asyncpg
import pytest

from server.core.decisions import OwnClaims
from server.core.ids import new_id
from server.core.records import Claimed, NewClaim, Outcome, State
from server.gen.patchbay.v1 import executor_pb2
from server.store.database import Database
from server.store.invocations import Invocations
from tests.execution.test_decisions import CLAIM
from tests.support.postgres import Fresh
from tests.support.served import Served

pytestmark = pytest.mark.anyio

SUCCEEDED = executor_pb2.EXECUTION_STATE_SUCCEEDED
TENANT, OWNER = str(uuid4()), str(uuid4())
DONE = Outcome(state=State.SUCCEEDED, output={"done": True})
judge = OwnClaims().judge(None)


def claim(key: str, owner: str = OWNER) -> NewClaim:
    """A claim of a key."""
    return replace(CLAIM, tenant=TENANT, id=new_id(), key=key, owner=owner)


async def granted(store: Invocations, *keys: str) -> list[Claimed]:
    """Claims keys together."""
    answers = await asyncio.gather(*(store.claim(claim(key), judge) for key in keys))
    return [one for one, _ in answers if one is not None]


@pytest.fixture
async def owner(fresh: Fresh) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the database's owner, who sees everything."""
    connection = await asyncpg.connect(fresh.dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def store(database: Database) -> Invocations:
    """The executions of one process, whose lease is alive."""
    async with database.system() as connection:
        await connection.execute("INSERT INTO server_leases VALUES ($1, now() + interval '1 hour')", OWNER)
    return Invocations(database)


async def test_rule_4_what_is_lost_in_a_burst_is_lost_alone(store: Invocations, owner: asyncpg.Connection) -> None:
    """Of marks and outcomes that arrive together, those whose fence is gone are refused, the others recorded."""
    claims = await granted(store, *"abcdef")
    assert len(claims) == 6
    lost = "UPDATE workflow_action_invocations SET fence = fence + 1 WHERE idempotency_key IN ('b', 'e')"
    await owner.execute(lost)
    await owner.execute(
        "UPDATE workflow_action_invocations SET cancel_requested_at = now() WHERE idempotency_key = 'c'"
    )
    marks = await asyncio.gather(*(store.mark_sent(one, {}) for one in claims))
    assert [mark is not None for mark in marks] == [True, False, False, True, False, True]
    outcomes = await asyncio.gather(*(store.complete(one, DONE) for one in claims))
    assert [time is not None for time in outcomes] == [True, False, True, True, False, True]
    found = await owner.fetch("SELECT status, completed_at FROM workflow_action_invocations ORDER BY idempotency_key")
    assert [row["status"] for row in found] == [
        "SUCCEEDED",
        "RUNNING",
        "SUCCEEDED",
        "SUCCEEDED",
        "RUNNING",
        "SUCCEEDED",
    ]
    assert [row["completed_at"] for row in found] == outcomes


async def test_an_outcome_is_recorded_once_in_a_burst(store: Invocations) -> None:
    """The same outcome twice in one batch: the first is told that it was recorded, the second that it was not."""
    first, *others = await granted(store, *"abc")
    again = [first, *others, others[0]]
    times = await asyncio.gather(*(store.complete(one, DONE) for one in again))
    assert [time is not None for time in times] == [True, True, True, False]


async def test_rule_7_one_key_twice_in_a_burst_is_claimed_once(store: Invocations) -> None:
    """Claims of one key in one batch: one is granted, the others find it running."""
    answers = await asyncio.gather(*(store.claim(claim(key), judge) for key in "xababab"))
    assert [one is not None for one, _ in answers] == [True, True, True, False, False, False, False]
    followed = [known for _, known in answers if known is not None]
    assert {(known.state, known.owner_alive) for known in followed} == {(State.RUNNING, True)}
    assert sorted(known.key or "" for known in followed) == ["a", "a", "b", "b"]


async def test_a_lost_grant_is_recognized_in_a_burst(store: Invocations) -> None:
    """Claims that were committed while their answers were lost are tried again together, and granted as before."""
    claims = OwnClaims()
    asked = [claim(key) for key in "abcdef"]
    first = await asyncio.gather(*(store.claim(one, claims.judge(None)) for one in asked))
    again = await asyncio.gather(*(store.claim(one, claims.judge(None)) for one in asked))
    assert first == again
    assert all(one is not None for one, _ in first)


async def test_replicas_that_claim_the_same_keys_share_them(
    store: Invocations, fresh: Fresh, owner: asyncpg.Connection
) -> None:
    """Two replicas claim, mark and complete the same keys in opposite orders: each key is run by one."""
    other = await Database.open(fresh.app_dsn, min_size=1, max_size=5)
    for number in range(20):
        keys = [f"{number}-{letter}" for letter in "abcdefghijklmnop"]
        mine, theirs = await asyncio.gather(granted(store, *keys), granted(Invocations(other), *reversed(keys)))
        assert len(mine) + len(theirs) == len(keys)
        assert len({one.id for one in (*mine, *theirs)}) == len(keys)
        stores = ((store, [*mine, *theirs]), (Invocations(other), [*theirs[::-1], *mine[::-1]]))
        marks = await asyncio.gather(*(one.mark_sent(mark, {}) for one, order in stores for mark in order))
        assert None not in marks
        times = await asyncio.gather(*(one.complete(end, DONE) for one, order in stores for end in order))
        assert len([time for time in times if time is not None]) == len(keys)
    await other.close()
    assert await owner.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0
    assert await owner.fetchval("SELECT count(*) FROM workflow_action_invocations WHERE status <> 'SUCCEEDED'") == 0


async def test_a_frozen_replica_keeps_nobody_else_waiting(store: Invocations, owner: asyncpg.Connection) -> None:
    """Another replica holds the lock of one execution: the outcomes beside it are recorded, its own when it lets go."""
    claims = await granted(store, *"abcdef")
    async with owner.transaction():
        await owner.execute("SELECT FROM workflow_action_invocations WHERE idempotency_key = 'a' FOR UPDATE")
        held = asyncio.create_task(store.complete(claims[0], DONE))
        others = await asyncio.gather(*(store.complete(one, DONE) for one in claims[1:]))
        assert None not in others
        assert not held.done()
    assert await held is not None


async def test_rule_3_a_burst_is_claimed_marked_and_recorded_in_order(
    served: Served, owner: asyncpg.Connection
) -> None:
    """Two dozen calls at once: one effect and one outcome each, in fewer commits than outcomes."""
    calls = (served.execute("post_slowly", {"name": f"n{number}"}, f"k{number}") for number in range(24))
    done = await asyncio.gather(*calls)
    assert {one.state for one in done} == {SUCCEEDED}
    assert served.lab.posts() == 24
    sql = "SELECT count(*) FROM workflow_action_invocations WHERE created_at < sent_at AND sent_at < completed_at"
    assert await owner.fetchval(sql) == 24
    assert await owner.fetchval("SELECT count(DISTINCT xmin::text) FROM workflow_action_invocations") < 24


async def test_an_outcome_that_is_refused_spoils_no_other(store: Invocations, owner: asyncpg.Connection) -> None:
    """PostgreSQL takes no NaN in JSON: the outcome that has one is refused, those beside it are recorded."""
    claims = await granted(store, *"abcdef")
    spoiled = replace(DONE, output={"number": float("nan")})
    outcomes = [spoiled if number == 3 else DONE for number in range(6)]
    waiting = (store.complete(one, outcome) for one, outcome in zip(claims, outcomes, strict=True))
    times = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(times[3], asyncpg.InvalidTextRepresentationError)
    running = await owner.fetch("SELECT idempotency_key k FROM workflow_action_invocations WHERE status = 'RUNNING'")
    assert [row["k"] for row in running] == ["d"]


async def test_claims_that_break_with_the_connection_are_made_again(served: Served, owner: asyncpg.Connection) -> None:
    """PostgreSQL ends every connection that claims: all claims are made again, and each call has its effect once."""
    async with owner.transaction():
        await owner.execute("LOCK TABLE workflow_action_invocations IN SHARE MODE")
        calls = [asyncio.create_task(served.execute("run_raw", {"text": "a"}, f"k{number}")) for number in range(12)]
        for _ in range(2):  # the first claim, then the others behind it
            async with asyncio.timeout(20):
                while not await owner.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                    await asyncio.sleep(0.01)
            await owner.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted")
            await asyncio.sleep(0.1)
    assert {(await call).state for call in calls} == {SUCCEEDED}
    assert served.lab.posts() == 12
