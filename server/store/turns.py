"""Queues inside one process, so that of many waiters only the first asks the database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from server.sdk.context import Deadline


class TurnMissedError(Exception):
    """The deadline came first. Never leaves this room."""


class Turns:
    """One first-come-first-served queue per name."""

    def __init__(self) -> None:
        self._queues: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def take(self, tenant: str, name: str, deadline: Deadline) -> AsyncIterator[None]:
        """Waits for the turn and keeps it for the block; raises TurnMissedError when the deadline comes first."""
        queue = self._queues.setdefault((tenant, name), asyncio.Lock())
        try:
            async with asyncio.timeout(deadline.remaining()):
                await queue.acquire()
        except TimeoutError:
            raise TurnMissedError from None
        try:
            yield
        finally:
            queue.release()
