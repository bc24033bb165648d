"""60 requests a minute for the whole account: four server processes, all actions, and a vendor that counts."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from server.gen.patchbay.v1 import executor_pb2
from tests.modules.huntress.world import KEYS, READY, TILL
from tests.support.served import Caller, Replicas, set_up

pytestmark = pytest.mark.anyio

PROCESSES, LIMIT, HELD_UP = 4, 60, 1.0
BULK, INTERACTIVE = executor_pb2.URGENCY_BULK, executor_pb2.URGENCY_INTERACTIVE

CALLS: list[tuple[str, dict[str, Any]]] = [
    ("huntress.incidents.find", {"status": "sent"}),
    ("huntress.incidents.get", {"incident_id": READY}),
    ("huntress.organizations.list", {"limit": 2}),
    ("huntress.agents.get", {"agent_id": TILL}),
]
"""Reads that make one request each."""


@dataclass
class Fleet:
    """Callers of four servers, and what their calls came to: seconds as the caller measured, and the execution."""

    callers: list[Caller]
    made: list[tuple[float, executor_pb2.Execution]] = field(default_factory=list)

    async def call(self, number: int, urgency: int, timeout: float) -> None:
        """Makes one call at the next server with the next action."""
        caller = self.callers[number % PROCESSES]
        action, wanted = CALLS[number // PROCESSES % len(CALLS)]
        began = time.monotonic()
        execution = await caller.execute(action, wanted, timeout=timeout, urgency=urgency)
        self.made.append((time.monotonic() - began, execution))

    async def calls(self, count: int, urgency: int, *, timeout: float, apart: float = 0.0) -> dict[str, int]:
        """Makes calls, each one a while after the one before; counts them by reason, `` for a success."""
        self.made.clear()
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(self.call(number, urgency, timeout))
                await asyncio.sleep(apart)
        reasons = [execution.failure.reason for _, execution in self.made]
        return {reason: reasons.count(reason) for reason in set(reasons)}


@asynccontextmanager
async def fleet(replicas: Replicas, vendor: SandboxControl, url: str, **started: Any) -> AsyncIterator[Fleet]:
    """Starts the processes, connects, and has each process make one call, so that all have open connections."""
    async with AsyncExitStack() as stack:
        callers = []
        for _ in range(PROCESSES):
            replica = await asyncio.to_thread(replicas.start, **started)
            callers.append(Caller(replica.target))
            stack.push_async_callback(callers[-1].close)
        await set_up(callers[0], "huntress", {"instance_url": url, **KEYS["user"]})
        vendor.reset()
        made = Fleet(callers)
        assert await made.calls(PROCESSES, INTERACTIVE, timeout=30) == {"": PROCESSES}
        yield made


def arrivals(vendor: SandboxControl) -> list[float]:
    """When each request came; none was refused for coming too soon."""
    seen = vendor.requests(10_000)
    assert {one["status"] for one in seen} == {200}
    return [one["at"] for one in seen]


def fullest(times: list[float], window: float) -> int:
    """Returns the most requests that any window of that length holds."""
    return max(sum(begin <= one < begin + window for one in times) for begin in times)


async def test_four_processes_share_the_contracts_minute(
    replicas: Replicas, vendor: SandboxControl, server: SandboxServer
) -> None:
    """Of more calls than a minute allows exactly 60 reach Huntress, whichever process and action they come from.

    Bulk callers stop at four fifths, interactive ones get the rest, and everybody else is told when to come back.
    """
    async with fleet(replicas, vendor, server.url) as callers:
        vendor.patch_state(settings={"rate_limit": LIMIT})
        bulk = await callers.calls(LIMIT, BULK, timeout=10)
        assert bulk == {"": LIMIT * 4 // 5 - PROCESSES, "BUDGET_EXHAUSTED": LIMIT // 5 + PROCESSES}
        interactive = await callers.calls(LIMIT // 2, INTERACTIVE, timeout=10)
        assert interactive == {"": LIMIT // 5, "BUDGET_EXHAUSTED": LIMIT // 2 - LIMIT // 5}
        refused = [execution.failure for _, execution in callers.made if execution.failure.reason]
        assert all(one.retryable and 0 < one.retry_after.ToSeconds() <= 61 for one in refused)
        assert len(arrivals(vendor)) == LIMIT


async def test_no_window_holds_more_than_the_limit_and_waits_are_told(
    replicas: Replicas, vendor: SandboxControl, server: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """200 calls over four processes, in minutes of 8 s: all succeed, and no span of the vendor ever holds more than 60.

    The vendor's spans are a second shorter: a request may be held up by a busy machine between its turn and its
    arrival, for which the contract's own minute leaves a second. No execution tells of a longer wait than its caller
    had, and together they tell of most of it.
    """
    minute, count = 8.0, 200
    monkeypatch.setenv("MINUTE", str(minute))
    async with fleet(replicas, vendor, server.url, program="tests.modules.huntress.serve_short_minute") as callers:
        vendor.patch_state(settings={"rate_limit": LIMIT, "rate_window": minute - HELD_UP})
        assert await callers.calls(count, INTERACTIVE, timeout=60, apart=0.02) == {"": count}
        times = arrivals(vendor)
        assert len(times) == count + PROCESSES
        assert fullest(times, minute - HELD_UP) <= LIMIT
        waits = [execution.budget_wait.ToMilliseconds() / 1000 for _, execution in callers.made]
        spent = [seconds for seconds, _ in callers.made]
        assert all(wait <= seconds for wait, seconds in zip(waits, spent, strict=True))
        assert sum(waits) > 0.8 * sum(spent)
        assert sum(wait > 0.5 for wait in waits) >= count - LIMIT
