"""Statements that must happen, however long the database is away."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from server.errors import DatabaseUnavailable

T = TypeVar("T")
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0


async def persist(statement: Callable[[], Awaitable[T]]) -> T:
    """Repeats a statement until PostgreSQL answers. The statement must be harmless when it is repeated."""
    pause = _FIRST_PAUSE
    while True:
        try:
            return await statement()
        except DatabaseUnavailable:
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
            pause = min(_LONGEST_PAUSE, pause * 2)
