"""Callers that behave as workflow engines do while the ground shakes, and the shaking."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import asyncpg
import grpc

from server.gen.patchbay.v1 import executor_pb2
from server.store.embedded import EmbeddedPostgres
from server.store.embedded_files import EmbeddedPostgresFailed
from tests.support.served import Caller, Lab

RUNNING = executor_pb2.EXECUTION_STATE_RUNNING
SUCCEEDED = executor_pb2.EXECUTION_STATE_SUCCEEDED
FAILED = executor_pb2.EXECUTION_STATE_FAILED
UNKNOWN = executor_pb2.EXECUTION_STATE_UNKNOWN
PASSING = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}

Shake = Callable[[EmbeddedPostgres], Awaitable[None]]


async def restart(postgres: EmbeddedPostgres) -> None:
    """An orderly restart, as for a new version of PostgreSQL."""
    await asyncio.to_thread(postgres.stop)
    await asyncio.sleep(0.5)
    await _start(postgres)


async def outage(postgres: EmbeddedPostgres) -> None:
    """A stop for longer than anything is kept in memory."""
    await asyncio.to_thread(postgres.stop)
    await asyncio.sleep(7.0)
    await _start(postgres)


async def kill(postgres: EmbeddedPostgres) -> None:
    """kill -9 of PostgreSQL's main process, and a start that has to recover."""
    assert postgres.pid is not None
    os.kill(postgres.pid, signal.SIGKILL)
    await asyncio.sleep(0.5)
    await _start(postgres)


async def _start(postgres: EmbeddedPostgres) -> None:
    # Changing the user forks this process, and a fork while gRPC is at work now and then dies before it is PostgreSQL.
    for _ in range(20):
        with suppress(EmbeddedPostgresFailed):
            return await asyncio.to_thread(postgres.start)
    raise AssertionError("PostgreSQL does not start")


async def kill_backend(postgres: EmbeddedPostgres) -> None:
    """kill -9 of one connection's process: PostgreSQL ends every connection and recovers by itself."""
    connection = await asyncpg.connect(postgres.dsn)
    victim = await connection.fetchval(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'patchbay' ORDER BY random() LIMIT 1"
    )
    connection.terminate()
    os.kill(victim, signal.SIGKILL)


async def connected(postgres: EmbeddedPostgres) -> asyncpg.Connection:
    """Connects to a PostgreSQL that may still recover."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await asyncpg.connect(postgres.dsn)
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(0.1)


async def backends(postgres: EmbeddedPostgres) -> set[int]:
    """Returns the processes that serve the server's connections."""
    connection = await connected(postgres)
    rows = await connection.fetch("SELECT pid FROM pg_stat_activity WHERE application_name = 'patchbay'")
    await connection.close()
    return {row["pid"] for row in rows}


@dataclass
class Engine:
    """One caller: one execution after the other, each called again by its key until it is over.

    Attributes:
        caller: Its connection.
        name: Begins its keys.
        actions: What it executes, in turn.
        ended: The last answer by key.
        setbacks: How often it was told to try again, and why.
    """

    caller: Caller
    name: str
    actions: tuple[str, ...]
    ended: dict[str, executor_pb2.Execution] = field(default_factory=dict)
    setbacks: Counter[str] = field(default_factory=Counter)

    async def work(self, over: asyncio.Event, most: int = 200) -> None:
        """Works until it is over; what was begun is finished."""
        number = 0
        while not over.is_set() and number < most:
            key = f"{self.name}-{number}"
            action = self.actions[number % len(self.actions)]
            self.ended[key] = await self.finish(action, key)
            number += 1

    async def finish(self, action: str, key: str, seconds: float = 90.0) -> executor_pb2.Execution:
        """Calls until the execution is over."""
        given = {"text": key} if action == "run_raw" else {"name": key}
        async with asyncio.timeout(seconds):
            while True:
                try:
                    told = await self.caller.execute(f"lab.things.{action}", given, key)
                except grpc.RpcError as error:
                    if error.code() not in PASSING:
                        raise
                    self.setbacks[str(error.code())] += 1
                else:
                    if told.state != RUNNING and not told.failure.retryable:
                        return told
                    self.setbacks[told.failure.reason or "RUNNING"] += 1
                await asyncio.sleep(0.1)


def effects_by_key(lab: Lab) -> Counter[str]:
    """Counts what was really posted for each key."""
    return Counter(item["detail"]["key"] for item in lab.control.effects(kind="post").items)
