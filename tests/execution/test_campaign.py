"""kill -9 at every arrow of the state machine, again and again: effects at most 1, the outcome never lost."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import asyncpg
import grpc
import pytest

from server.gen.patchbay.v1 import executor_pb2, failure_pb2
from tests.support.postgres import Fresh
from tests.support.served import Caller, Lab, Replica, Replicas, set_up

pytestmark = [pytest.mark.anyio, pytest.mark.campaign, pytest.mark.timeout(600)]

RUNNING = executor_pb2.EXECUTION_STATE_RUNNING
SUCCEEDED = executor_pb2.EXECUTION_STATE_SUCCEEDED
FAILED = executor_pb2.EXECUTION_STATE_FAILED
UNKNOWN = executor_pb2.EXECUTION_STATE_UNKNOWN
ROUNDS = 8
ACTION = "lab.things.post_slowly"


@dataclass
class Scene:
    """What a window may look at and hold up."""

    lab: Lab
    owner: asyncpg.Connection
    other: asyncpg.Connection
    key: str

    async def row(self) -> asyncpg.Record | None:
        """The execution's row."""
        sql = "SELECT status, sent_at FROM workflow_action_invocations WHERE idempotency_key = $1"
        return await self.other.fetchrow(sql, self.key)

    def posted(self) -> int:
        """Effects of the key at the vendor."""
        items = self.lab.control.effects(kind="post", target=self.key).items
        return len(items)

    async def until(self, condition: Callable[[], Awaitable[object]]) -> None:
        """Waits for a condition, at most 20 s."""
        async with asyncio.timeout(20):
            while not await condition():
                await asyncio.sleep(0.005)

    async def claimed(self) -> bool:
        """True when the key has its row."""
        return await self.row() is not None

    async def sent(self) -> bool:
        """True when the send mark is recorded."""
        row = await self.row()
        return row is not None and row["sent_at"] is not None

    async def done(self) -> bool:
        """True when the outcome is recorded."""
        row = await self.row()
        return row is not None and row["status"] != "RUNNING"

    async def effect(self) -> bool:
        """True when the vendor has done it."""
        return self.posted() > 0

    async def waiting(self) -> bool:
        """True when a statement of the server waits for our lock."""
        sql = """SELECT count(*) FROM pg_stat_activity
            WHERE wait_event_type = 'Lock' AND datname = current_database() AND query ILIKE '%invocations%'"""
        return bool(await self.other.fetchval(sql))


@dataclass
class Strike:
    """One call at a victim, and the victim's death."""

    scene: Scene
    victim: Replica
    caller: Caller
    call: asyncio.Task[executor_pb2.Execution] | None = None

    def begin(self) -> None:
        """Starts the call."""
        key = self.scene.key
        self.call = asyncio.create_task(self.caller.execute(ACTION, {"name": key}, key))

    async def kill(self) -> None:
        """Kills the victim with -9."""
        await asyncio.to_thread(self.victim.kill)

    async def end(self) -> None:
        """Takes the broken answer, or the one that came just in time."""
        if self.call is not None:
            with suppress(grpc.RpcError):
                await self.call
        await self.caller.close()


async def before_the_claim(scene: Scene, strike: Strike) -> None:
    """(none) --claim-->: the INSERT waits for a lock."""
    async with scene.owner.transaction():
        await scene.owner.execute("LOCK TABLE workflow_action_invocations IN SHARE MODE")
        strike.begin()
        await scene.until(scene.waiting)
        await strike.kill()


async def claimed_not_sent(scene: Scene, strike: Strike) -> None:
    """RUNNING/not sent: the handler still looks."""
    scene.lab.control.add_fault("hang", method="GET", path_regex="^/things", after=False)
    strike.begin()
    await scene.until(scene.claimed)
    await strike.kill()


async def before_the_send_mark(scene: Scene, strike: Strike) -> None:
    """--"sent" recorded-->: the send mark waits for a lock on its row."""
    let_go = scene.lab.hold("GET")
    strike.begin()
    await scene.until(scene.claimed)
    async with scene.owner.transaction():
        await scene.owner.execute(LOCK_ROW, scene.key)
        let_go()
        await scene.until(scene.waiting)
        await strike.kill()


async def sent_before_the_effect(scene: Scene, strike: Strike) -> None:
    """RUNNING/sent: the request is on its way, the vendor has not begun."""
    scene.lab.control.add_fault("hang", method="POST", path_regex="^/things", after=False)
    strike.begin()
    await scene.until(scene.sent)
    await strike.kill()


async def after_the_effect(scene: Scene, strike: Strike) -> None:
    """RUNNING/sent: the vendor has done it and has not answered."""
    scene.lab.control.add_fault("hang", method="POST", path_regex="^/things", after=True)
    strike.begin()
    await scene.until(scene.effect)
    await strike.kill()


async def before_the_outcome(scene: Scene, strike: Strike) -> None:
    """RUNNING/sent --> terminal: the answer is there, its recording waits for a lock on the row."""
    let_go = scene.lab.hold("POST")
    strike.begin()
    await scene.until(scene.effect)
    async with scene.owner.transaction():
        await scene.owner.execute(LOCK_ROW, scene.key)
        let_go()
        await scene.until(scene.waiting)
        await strike.kill()


async def after_the_outcome(scene: Scene, strike: Strike) -> None:
    """Terminal: recorded, perhaps not yet answered."""
    strike.begin()
    await scene.until(scene.done)
    await strike.kill()


async def any_time(_scene: Scene, strike: Strike) -> None:
    """Wherever it happens to be."""
    strike.begin()
    await asyncio.sleep(random.uniform(0.0, 0.1))
    await strike.kill()


LOCK_ROW = "SELECT FROM workflow_action_invocations WHERE idempotency_key = $1 FOR UPDATE"
WINDOWS: list[Callable[[Scene, Strike], Awaitable[None]]] = [
    before_the_claim,
    claimed_not_sent,
    before_the_send_mark,
    sent_before_the_effect,
    after_the_effect,
    before_the_outcome,
    after_the_outcome,
    any_time,
]
NEVER_SENT = {before_the_claim, claimed_not_sent}
ALWAYS_DONE = {after_the_effect, before_the_outcome, after_the_outcome}


class Fleet:
    """Victims, the next of which starts while the survivor is asked about the last."""

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas
        self._spare = self._start()

    def _start(self) -> "asyncio.Task[Replica]":
        return asyncio.create_task(asyncio.to_thread(self._replicas.start, lease_seconds=1, pool_size=3))

    async def victim(self) -> Replica:
        """Returns a process to kill; another one starts meanwhile."""
        replica = await self._spare
        self._spare = self._start()
        return replica

    async def close(self) -> None:
        """Waits for the last start."""
        await self._spare


async def ask(survivor: Caller, key: str) -> executor_pb2.Execution:
    """Calls again under the key, as an engine does, until the execution is over."""
    async with asyncio.timeout(60):
        while True:
            execution = await survivor.execute(ACTION, {"name": key}, key)
            if execution.state != RUNNING and not execution.failure.retryable:
                return execution
            await asyncio.sleep(0.05)


@pytest.fixture
async def owners(fresh: Fresh) -> AsyncIterator[tuple[asyncpg.Connection, asyncpg.Connection]]:
    """Two connections that may look at everything."""
    owner, other = await asyncpg.connect(fresh.dsn), await asyncpg.connect(fresh.dsn)
    yield owner, other
    await owner.close()
    await other.close()


@pytest.mark.parametrize("window", WINDOWS, ids=[window.__name__ for window in WINDOWS])
async def test_killed_at(
    window: Callable[[Scene, Strike], Awaitable[None]],
    replicas: Replicas,
    lab: Lab,
    owners: tuple[asyncpg.Connection, asyncpg.Connection],
) -> None:
    """Eight kills in one window: at most one effect under each key, and another replica tells the outcome."""
    survivor = Caller((await asyncio.to_thread(replicas.start, lease_seconds=1)).target)
    await set_up(survivor, "lab", lab.settings)
    fleet, found = Fleet(replicas), Counter[tuple[str, int]]()
    for number in range(ROUNDS):
        victim = await fleet.victim()
        scene = Scene(lab, *owners, key=f"{window.__name__}-{number}")
        strike = Strike(scene, victim, Caller(victim.target))
        await window(scene, strike)
        lab.control.clear_faults()
        await strike.end()
        execution = await ask(survivor, scene.key)
        found[executor_pb2.ExecutionState.Name(execution.state), scene.posted()] += 1
        check(window, execution, scene.posted())
    await fleet.close()
    await survivor.close()
    print(f"{window.__name__}: {dict(found)}")


def check(window: object, execution: executor_pb2.Execution, effects: int) -> None:
    """What must hold after any kill."""
    assert effects <= 1
    assert execution.state in {SUCCEEDED, UNKNOWN}
    if execution.state == SUCCEEDED:
        assert effects == 1
    if execution.state == UNKNOWN:
        assert execution.failure.effect == failure_pb2.EFFECT_UNKNOWN
        assert execution.send_time.seconds
    if window in NEVER_SENT:
        assert execution.state == SUCCEEDED
    if window in ALWAYS_DONE:
        assert effects == 1
