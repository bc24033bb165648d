"""Rows that nobody waits for, written together."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from random import uniform
from typing import Final, Generic, TypeVar

import structlog

from server.errors import DatabaseUnavailable

_FIRST_DELAY: Final = 0.05
_LONGEST_DELAY: Final = 2.0

_log = structlog.get_logger(__name__)

T = TypeVar("T")


class Batcher(Generic[T]):
    """Collects items and hands them to `flush` in order, many at a time.

    Nothing is lost while the process lives: a batch is tried again until PostgreSQL takes it, and `add` waits when too
    many items have not been written yet. A batch may be handed over again after it was written (the answer was lost),
    always with the same items, so `flush` must make a repeat harmless. An item that cannot be written for another
    reason is found by halving its batch, logged without its content and dropped, so that it stops nobody else.

    Args:
        flush: Writes a batch; raises DatabaseUnavailable when it should be tried again.
        name: For the log.
        max_items: Rows of one batch.
        max_wait: Seconds that the first item of a batch waits for company.
        capacity: Items that may be waiting or on their way.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[T]], Awaitable[None]],
        *,
        name: str = "batch",
        max_items: int = 200,
        max_wait: float = 0.2,
        capacity: int = 10_000,
    ) -> None:
        self._write = flush
        self._name = name
        self._max_items = max_items
        self._max_wait = max_wait
        self._capacity = capacity
        self._items: deque[T] = deque()
        self._added = 0
        self._settled = 0
        self._wanted = 0  # number of items that somebody waits for in `flush`
        self._arrived = asyncio.Event()
        self._due = asyncio.Event()
        self._progress = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0

    async def add(self, item: T) -> None:
        """Queues an item; returns at once unless `capacity` items are unwritten."""
        while self._added - self._settled >= self._capacity:
            async with self._progress:
                await self._progress.wait()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"batcher {self._name}")
        self._items.append(item)
        self._added += 1
        self._arrived.set()
        if len(self._items) >= self._max_items:
            self._due.set()

    async def flush(self) -> None:
        """Returns when everything that was added before is written."""
        wanted = self._added
        if self._settled >= wanted:
            return
        self._wanted = max(self._wanted, wanted)
        self._due.set()
        async with self._progress:
            await self._progress.wait_for(lambda: self._settled >= wanted)

    async def close(self, patience: float = 10.0) -> None:
        """Writes what is left and stops; what PostgreSQL does not take within `patience` seconds is lost and logged."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.flush(), patience)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        if self._settled < self._added:
            _log.error("batch_lost_at_shutdown", batch=self._name, items=self._added - self._settled)

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._due.wait(), self._max_wait)
            batch = self._take()
            await self._deliver(batch)
            self._settled += len(batch)
            async with self._progress:
                self._progress.notify_all()

    def _take(self) -> Sequence[T]:
        batch = tuple(self._items.popleft() for _ in range(min(self._max_items, len(self._items))))
        if not self._items:
            self._arrived.clear()
        in_a_hurry = self._settled + len(batch) < self._wanted
        if len(self._items) < self._max_items and not in_a_hurry:
            self._due.clear()
        return batch

    async def _deliver(self, batch: Sequence[T]) -> None:
        delay = _FIRST_DELAY
        while True:
            try:
                return await self._write(batch)
            except DatabaseUnavailable:
                _log.warning("batch_delayed", batch=self._name, items=len(batch), waiting=len(self._items))
                await asyncio.sleep(uniform(delay / 2, delay))  # noqa: S311 - jitter, no secret
                delay = min(delay * 2, _LONGEST_DELAY)
            except Exception as error:  # noqa: BLE001 - whatever an item's content provokes
                return await self._halve(batch, error)

    async def _halve(self, batch: Sequence[T], error: Exception) -> None:
        if len(batch) == 1:
            self.dropped += 1
            _log.error("batch_item_dropped", batch=self._name, error=type(error).__name__)
            return
        middle = len(batch) // 2
        await self._deliver(batch[:middle])
        await self._deliver(batch[middle:])
