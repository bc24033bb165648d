"""The life of a process that the benchmarks start: one JSON line when ready, the end when the parent has left."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop

Job = Callable[[dict[str, Any]], Awaitable[None]]


def say(facts: dict[str, Any]) -> None:
    """Tells the parent one line."""
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


async def orders() -> asyncio.StreamReader:
    """Returns what the parent writes, line by line; its end is the parent's."""
    reader = asyncio.StreamReader(limit=64 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def until_parent_leaves() -> None:
    """Returns when the parent closes its end."""
    reader = await orders()
    await reader.read()


def run(job: Job) -> None:
    """Runs a child's job with the configuration that the parent wrote as first argument."""

    async def main() -> None:
        await job(json.loads(sys.argv[1]))

    uvloop.run(main())
