"""`patchbay serve --workers 2`: what happens when a worker, the supervisor or PostgreSQL dies."""

import asyncio
import os
import signal
import stat
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import pytest

from server.gen.patchbay.v1 import executor_pb2
from tests.modules.tacticalrmm.world import LINUX, MAC, ONLINE
from tests.operations.service import Apart, Service, alive, service
from tests.operations.tactical import PROVIDER, RUN, Tactical, script, until
from tests.support.ports import free_port
from tests.support.served import set_up

pytestmark = pytest.mark.anyio

SUCCEEDED = executor_pb2.EXECUTION_STATE_SUCCEEDED
RUNNING = executor_pb2.EXECUTION_STATE_RUNNING
GET = "tacticalrmm.agents.get"
LONG = "sleep=75"  # simulated seconds that a script takes; 1.5 real ones
AGENTS = (ONLINE, LINUX, MAC)
LEAST, MOST = 6, 30


@pytest.fixture
async def pair(folder: Path, tactical: Tactical) -> AsyncIterator[Service]:
    """Two workers on one port, with a connected tenant."""
    listen = f"127.0.0.1:{free_port()}"
    with service(folder, listen=listen, workers=2, lease_seconds=2, drain_seconds=30) as running:
        caller = Apart(running.serving(2).target, running.key)
        await set_up(caller, PROVIDER, tactical.by_key)
        await caller.close()
        yield running


async def owners(pair: Service, state: str = "%") -> set[str]:
    """Asks the database which processes run or ran executions."""
    connection = await asyncpg.connect(pair.postgres.dsn)
    sql = "SELECT DISTINCT lease_owner FROM workflow_action_invocations WHERE status LIKE $1"
    found = await connection.fetch(sql, state)
    await connection.close()
    return {str(row["lease_owner"]) for row in found if row["lease_owner"]}


class Calls:
    """Calls that run scripts on three agents until both workers run some."""

    def __init__(self, pair: Service, tactical: Tactical, call: Callable[..., Awaitable[Any]], *args: str) -> None:
        self._pair, self._tactical, self._call, self._args = pair, tactical, call, args
        self.tasks: dict[str, asyncio.Task[executor_pb2.Execution]] = {}

    async def begin(self) -> None:
        """Begins at least six; returns when each agent runs a script and each worker has its share."""
        while len(self.tasks) < LEAST or len(await owners(self._pair, "RUNNING")) < 2:
            assert len(self.tasks) < MOST
            key = f"k{len(self.tasks)}"
            order = script(key, *self._args, agent=AGENTS[len(self.tasks) % len(AGENTS)], timeout=200)
            self.tasks[key] = asyncio.create_task(self._call(self._pair, key, order))
            await asyncio.sleep(0.05)
        await until(lambda: self._tactical.control.effects().count("run_script") >= len(AGENTS))

    async def end(self) -> None:
        """Every call succeeds and every script ran once."""
        done = await asyncio.gather(*self.tasks.values())
        assert {one.state for one in done} == {SUCCEEDED}
        assert {one.output.json["exit_code"] for one in done} == {0}
        assert [self._tactical.runs(key) for key in self.tasks] == [1] * len(self.tasks)


async def once(pair: Service, key: str, order: dict[str, Any] | None = None) -> executor_pb2.Execution:
    """Runs a script over a connection of its own."""
    caller = Apart(pair.target, pair.key)
    try:
        return await caller.execute(RUN, order or script(key, timeout=200), key)
    finally:
        await caller.close()


async def at_last(pair: Service, key: str, order: dict[str, Any] | None = None) -> executor_pb2.Execution:
    """Calls by one key, as an engine does, until the execution has succeeded."""
    told: object = None
    give_up = time.monotonic() + 90
    while time.monotonic() < give_up:
        try:
            told = done = await once(pair, key, order)
        except grpc.RpcError as error:
            told = error
        else:
            if done.state == SUCCEEDED:
                return done
        await asyncio.sleep(0.2)
    raise AssertionError(f"{key} has not succeeded: {told}\n{pair.log.read_text()[-3000:]}")


async def test_both_workers_serve(pair: Service) -> None:
    """Connections are spread over both processes, which share one key file, one master key and one database."""
    for number in range(40):
        await once(pair, f"k{number}")
        if len(await owners(pair)) == 2:
            break
    assert len(await owners(pair)) == 2
    assert len(pair.workers()) == 2
    assert stat.S_IMODE(pair.key_file.stat().st_mode) == 0o600
    assert pair.end() == 0
    assert pair.postgres.pid is None


async def test_a_killed_worker_is_replaced_and_nothing_is_lost(pair: Service, tactical: Tactical) -> None:
    """kill -9 of a worker while scripts run: the calls end by the same keys, each script ran once."""
    calls = Calls(pair, tactical, at_last, LONG)
    await calls.begin()
    victim = min(pair.workers())
    os.kill(victim, signal.SIGKILL)
    await calls.end()
    pair.wait_for("serving", 3)
    assert len(pair.workers()) == 2
    assert victim not in pair.workers()
    assert pair.end() == 0


async def test_workers_leave_when_the_supervisor_is_killed(pair: Service) -> None:
    """kill -9 of the supervisor: workers and PostgreSQL end too, and the next start has port and folder."""
    left = {*pair.workers(), pair.postgres.pid or 0}
    pair.end(signal.SIGKILL)
    await until(lambda: not any(alive(pid) for pid in left), 90)
    with service(pair.folder, listen=pair.target, workers=2) as again:
        again.serving(2)
        assert again.end() == 0


async def test_a_killed_postgresql_is_started_again(pair: Service, tactical: Tactical) -> None:
    """kill -9 of the shared PostgreSQL: the supervisor starts it again, the workers live on, records are kept."""
    first = await at_last(pair, "k")
    workers, killed = pair.workers(), pair.postgres.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    again = await at_last(pair, "k")
    assert (again.id, again.replayed, tactical.runs("k")) == (first.id, True, 1)
    assert (await at_last(pair, "k2")).state == SUCCEEDED
    assert pair.workers() == workers
    assert pair.end() == 0


async def test_stopping_drains_all_workers(pair: Service, tactical: Tactical) -> None:
    """SIGTERM while scripts run on both workers: all are answered, the exit code is 0."""
    calls = Calls(pair, tactical, once, LONG)
    await calls.begin()
    ended = asyncio.create_task(asyncio.to_thread(pair.end))
    await calls.end()
    assert await ended == 0


async def test_a_worker_that_dies_again_and_again_does_not_take_the_others_along(pair: Service) -> None:
    """Replacements that cannot start are tried again after pauses and logged; the other worker serves meanwhile."""
    master = pair.data / "master.key"
    kept, healthy = master.read_text(), max(pair.workers())
    master.write_text("no key at all\n")
    os.kill(min(pair.workers()), signal.SIGKILL)
    await until(lambda: len(pair.events("worker died")) >= 3)
    assert "master.key: entry 1 is not" in pair.log.read_text()
    assert healthy in pair.workers()
    caller = Apart(pair.target, pair.key)
    assert (await caller.execute(GET, {"agent_id": ONLINE})).state == SUCCEEDED
    await caller.close()
    master.write_text(kept)
    await asyncio.to_thread(pair.wait_for, "serving", 3)
    assert pair.end() == 0
