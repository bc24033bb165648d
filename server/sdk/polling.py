"""Waiting for something at the vendor, with pauses that grow."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TypeVar

from server.sdk.context import Deadline, Sleep

T = TypeVar("T")


def doubling(first: float, longest: float) -> Iterator[float]:
    """Yields pauses in seconds: each twice as long as the one before, up to the longest, without end."""
    pause = first
    while True:
        yield pause
        pause = min(pause * 2, longest)


async def awaited(
    look: Callable[[], Awaitable[T | None]],
    limit: Deadline,
    pauses: Iterable[float],
    sleep: Sleep = asyncio.sleep,
) -> T | None:
    """Looks at once, then after each pause, until there is something. None: the limit or the last pause is over."""
    for pause in pauses:
        found = await look()
        if found is not None or limit.remaining() <= 0:
            return found
        await sleep(limit.within(pause))
    return None


async def watched(
    look: Callable[[], Awaitable[T]],
    over: Callable[[T], bool],
    limit: Deadline,
    pauses: Iterable[float],
    sleep: Sleep = asyncio.sleep,
) -> T:
    """Looks at once, then after each pause, until what is seen is over, or the limit is. Returns what was seen last."""
    seen: list[T] = []

    async def looked() -> T | None:
        seen[:] = [await look()]
        return seen[0] if over(seen[0]) else None

    await awaited(looked, limit, pauses, sleep)
    return seen[0]
