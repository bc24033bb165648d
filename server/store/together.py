"""Statements that somebody waits for: those that arrive together share a round trip and a commit."""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from server.errors import DatabaseUnavailable
from server.store.database import Database

_MOST_ROWS: Final = 64
_MOST_BYTES: Final = 64 * 1024
"""Of a batch. asyncpg writes that much in one piece, so no batch is half there when its process hangs."""

Row = Sequence[Any]
_Answer = asyncpg.Record | None


class _TryAlone(Exception):
    """The batch was undone for a reason that only one of its rows may have."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A row that somebody waits for."""

    name: str
    row: Row
    answer: "asyncio.Future[_Answer]"


class Together:
    """Runs one statement for many rows, those of a tenant together.

    A row that comes while no other of its tenant is on its way goes at once. Those that come meanwhile go next, each
    as an execution of the same prepared statement, all in one transaction. Nothing waits for company. A batch is of one
    tenant, in that tenant's scope, so row-level security judges each row as if it came alone.

    When a batch fails because PostgreSQL is away, everybody in it is told so. When it fails for another reason, nothing
    of it has happened, and each row is tried alone: one gets its own error, its neighbours none.

    Batches of several processes never wait for each other in a circle, because rows go in the order of their names.

    Args:
        database: Where.
        statement: Changes a row. Its first parameter is the tenant; what it returns begins with the row's name, which
            stands for everything that the statement may have to wait for.
        unlocked: The same for a row that nobody has locked; leaves out a locked one instead of waiting. What it left
            out is tried by `statement`, alone, so that nobody else waits. None: only batches lock what is waited for.
    """

    def __init__(self, database: Database, statement: str, *, unlocked: str | None = None) -> None:
        self._database = database
        self._statement = statement
        self._unlocked = unlocked
        self._lanes: dict[str, deque[_Asked]] = {}
        self._drains: set[asyncio.Task[None]] = set()

    async def run(self, name: str, row: Row) -> _Answer:
        """Returns what the statement returned for a row; None when it changed nothing.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        try:
            answer = await self._in_lane(name, row)
            if answer is not None or self._unlocked is None:
                return answer
        except _TryAlone:
            pass
        return await self._run_one(self._statement, row)

    async def _in_lane(self, name: str, row: Row) -> _Answer:
        tenant: str = row[0]
        lane = self._lanes.get(tenant)
        if lane is not None:
            asked = _Asked(name, row, asyncio.get_running_loop().create_future())
            lane.append(asked)
            return await asked.answer
        self._lanes[tenant] = lane = deque()
        try:
            return await self._run_one(self._unlocked or self._statement, row)
        finally:
            self._go_on(tenant, lane)

    async def _run_one(self, statement: str, row: Row) -> _Answer:
        async with self._database.tenant(row[0]) as connection:
            return await connection.fetchrow(statement, *row)

    def _go_on(self, tenant: str, lane: deque[_Asked]) -> None:
        """Runs what came meanwhile, in a task of its own: anyone who waits for a row may leave."""
        if not lane:
            del self._lanes[tenant]
            return
        drain = asyncio.create_task(self._drain(tenant, lane), name="statements together")
        self._drains.add(drain)
        drain.add_done_callback(self._drains.discard)

    async def _drain(self, tenant: str, lane: deque[_Asked]) -> None:
        try:
            while lane:
                await self._run_batch(tenant, lane)
        finally:
            del self._lanes[tenant]
            _cancel(lane)

    async def _run_batch(self, tenant: str, lane: deque[_Asked]) -> None:
        batch: list[_Asked] = []
        try:
            async with self._database.tenant(tenant) as connection:
                batch = _take(lane)  # only now: what came while there was no connection goes along
                rows = await connection.fetchmany(self._unlocked or self._statement, [asked.row for asked in batch])
        except DatabaseUnavailable as error:
            for asked in _waiting(batch or _take(lane)):
                asked.answer.set_exception(DatabaseUnavailable(str(error), maybe_committed=error.maybe_committed))
        except Exception:  # noqa: BLE001 - whatever a row's content provokes
            for asked in _waiting(batch):
                asked.answer.set_exception(_TryAlone())
        except BaseException:
            _cancel(batch)
            raise
        else:
            found = {row[0]: row for row in rows}
            for asked in _waiting(batch):
                asked.answer.set_result(found.pop(asked.name, None))


def _take(lane: deque[_Asked]) -> list[_Asked]:
    """Returns the rows of the next batch, by name, without those that nobody waits for any more."""
    batch: list[_Asked] = []
    room = _MOST_BYTES
    while lane and len(batch) < _MOST_ROWS:
        room -= sum(len(value) for value in lane[0].row if isinstance(value, str))
        if room < 0 and batch:
            break
        batch.append(lane.popleft())
    return sorted(_waiting(batch), key=lambda asked: asked.name)


def _waiting(batch: Iterable[_Asked]) -> list[_Asked]:
    return [asked for asked in batch if not asked.answer.done()]


def _cancel(batch: Iterable[_Asked]) -> None:
    for asked in batch:
        asked.answer.cancel()
