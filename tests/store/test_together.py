"""Statements that arrive together: one commit, one tenant, each row on its own when something is wrong."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from server.errors import DatabaseUnavailable
from server.store.database import Database
from server.store.together import Together
from tests.support.postgres import Fresh

pytestmark = pytest.mark.anyio

ALPHA, BETA = str(uuid4()), str(uuid4())
ADD = """INSERT INTO drawers (tenant, name, content) VALUES ($1, $2, $3)
    ON CONFLICT (tenant, name) DO NOTHING RETURNING name, content"""
FILL = "UPDATE drawers SET content = $3 WHERE {} RETURNING name, content"
OURS = "tenant = $1 AND name = $2"
FREE = "tenant = $1 AND name = (SELECT name FROM drawers WHERE tenant = $1 AND name = $2 FOR UPDATE SKIP LOCKED)"
TABLE = """
    CREATE TABLE drawers (tenant uuid, name text, content int CHECK (content < 1000), PRIMARY KEY (tenant, name));
    SELECT patchbay_isolate('drawers');
"""


class Drawers:
    """A table of drawers with a tenant, and an owner's connection that sees all of it and can lock it."""

    def __init__(self, database: Database, owner: asyncpg.Connection, fresh: Fresh) -> None:
        self.database = database
        self.owner = owner
        self.fresh = fresh

    async def rows(self) -> dict[tuple[str, str], int]:
        """Contents by tenant and name."""
        found = await self.owner.fetch("SELECT tenant::text, name, content FROM drawers")
        return {(row["tenant"], row["name"]): row["content"] for row in found}

    async def commits(self) -> list[list[str]]:
        """Names, by the transaction that wrote them."""
        found = await self.owner.fetch(
            "SELECT array_agg(name ORDER BY name) n FROM drawers GROUP BY xmin::text ORDER BY n"
        )
        return [list(row["n"]) for row in found]

    async def waiting(self, count: int) -> None:
        """Returns when so many statements wait for a lock."""
        async with asyncio.timeout(20):
            while await self.owner.fetchval("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted") < count:
                await asyncio.sleep(0.01)


@pytest.fixture
async def drawers(database: Database, fresh: Fresh) -> AsyncIterator[Drawers]:
    """The table, empty."""
    owner = await asyncpg.connect(fresh.dsn)
    await owner.execute(TABLE)
    await owner.execute("SELECT set_config('patchbay.tenant', '*', false)")
    yield Drawers(database, owner, fresh)
    await owner.close()


async def asked(together: Together, *rows: Sequence[Any]) -> list[Any]:
    """Asks for rows at the same time; returns contents, None or the error's class."""
    answers = await asyncio.gather(*(together.run(row[1], row) for row in rows), return_exceptions=True)
    return [type(one) if isinstance(one, BaseException) else one and one["content"] for one in answers]


async def test_what_arrives_together_shares_a_commit(drawers: Drawers) -> None:
    """The first goes at once, the others together behind it; each hears its own answer."""
    together = Together(drawers.database, ADD)
    rows = [(ALPHA, f"d{number}", number) for number in range(6)]
    assert await asked(together, *rows) == [0, 1, 2, 3, 4, 5]
    assert await drawers.commits() == [["d0"], ["d1", "d2", "d3", "d4", "d5"]]


async def test_alone_is_alone(drawers: Drawers) -> None:
    """One after the other, each row is a commit; nothing is left behind between them."""
    together = Together(drawers.database, ADD)
    for number in range(3):
        assert await asked(together, (ALPHA, f"d{number}", number)) == [number]
    assert await drawers.commits() == [["d0"], ["d1"], ["d2"]]
    assert not together._lanes


async def test_a_batch_has_a_limit_of_rows(drawers: Drawers) -> None:
    """More than 64 rows are several batches; every row is written."""
    rows = [(ALPHA, f"{number:03}", number) for number in range(150)]
    assert await asked(Together(drawers.database, ADD), *rows) == list(range(150))
    assert [len(names) for names in await drawers.commits()] == [1, 64, 64, 21]


async def test_a_batch_has_a_limit_of_bytes(drawers: Drawers) -> None:
    """More than 64 KiB of texts are several batches; a row that is larger than that goes alone."""
    measure = "INSERT INTO drawers VALUES ($1, $2, length($3::text) / 1000) RETURNING name, content"
    sizes = (1, 30, 30, 30, 90, 30)
    rows = [(ALPHA, f"d{number}", "x" * size * 1000) for number, size in enumerate(sizes)]
    assert await asked(Together(drawers.database, measure), *rows) == list(sizes)
    assert await drawers.commits() == [["d0"], ["d1", "d2"], ["d3"], ["d4"], ["d5"]]


async def test_a_row_that_fails_fails_alone(drawers: Drawers) -> None:
    """One row breaks a rule, one cannot even be sent: they hear why, their neighbours are written."""
    together = Together(drawers.database, ADD)
    rows = [(ALPHA, "a", 1), (ALPHA, "b", 2), (ALPHA, "c", 5000), (ALPHA, "d", "four"), (ALPHA, "e", 5)]
    answers = await asked(together, *rows)
    assert answers == [1, 2, asyncpg.CheckViolationError, asyncpg.DataError, 5]
    assert sorted(await drawers.rows()) == [(ALPHA, "a"), (ALPHA, "b"), (ALPHA, "e")]


async def test_one_name_twice_is_granted_once(drawers: Drawers) -> None:
    """Of two rows of one name in a batch the first that came is written, the other changes nothing."""
    together = Together(drawers.database, ADD)
    rows = [(ALPHA, "z", 0), (ALPHA, "b", 1), (ALPHA, "a", 2), (ALPHA, "b", 3), (ALPHA, "b", 4)]
    assert await asked(together, *rows) == [0, 1, 2, None, None]
    assert (await drawers.rows())[ALPHA, "b"] == 1


async def test_a_locked_row_keeps_nobody_else_waiting(drawers: Drawers) -> None:
    """Somebody holds the lock of one row: its neighbours are answered, later batches too; it waits alone."""
    together = Together(drawers.database, FILL.format(OURS), unlocked=FILL.format(FREE))
    await asked(Together(drawers.database, ADD), *((ALPHA, name, 0) for name in "abcdef"))
    async with drawers.owner.transaction():
        await drawers.owner.execute("SELECT FROM drawers WHERE name = 'b' FOR UPDATE")
        held = asyncio.create_task(asked(together, (ALPHA, "b", 2)))
        assert await asked(together, *((ALPHA, name, 1) for name in "acd")) == [1, 1, 1]
        await drawers.waiting(1)
        assert await asked(together, *((ALPHA, name, 1) for name in "ef")) == [1, 1]
        assert not held.done()
    assert await held == [2]


async def test_what_is_not_there_changes_nothing(drawers: Drawers) -> None:
    """A row that is neither locked nor there is None, alone and in a batch."""
    together = Together(drawers.database, FILL.format(OURS), unlocked=FILL.format(FREE))
    await asked(Together(drawers.database, ADD), (ALPHA, "b", 0))
    assert await asked(together, (ALPHA, "x", 1), (ALPHA, "b", 1), (ALPHA, "y", 1)) == [None, 1, None]


async def hold(drawers: Drawers, together: Together, *names: str) -> list["asyncio.Task[list[Any]]"]:
    """Asks for rows one by one while the first of them waits for a lock that the owner's transaction holds."""
    tasks = [asyncio.create_task(asked(together, (ALPHA, names[0], 1)))]
    await drawers.waiting(1)
    tasks += [asyncio.create_task(asked(together, (ALPHA, name, 1))) for name in names[1:]]
    await asyncio.sleep(0)
    return tasks


@pytest.mark.parametrize("leaver", [0, 1], ids=["on its way", "in the queue"])
async def test_who_leaves_leaves_the_others_alone(drawers: Drawers, leaver: int) -> None:
    """One waiter is cancelled, the others are answered; a row that had not begun is not written."""
    together = Together(drawers.database, ADD)
    async with drawers.owner.transaction():
        await drawers.owner.execute("LOCK TABLE drawers IN SHARE MODE")
        tasks = await hold(drawers, together, "a", "b", "c")
        tasks[leaver].cancel()
        await asyncio.wait({tasks[leaver]})
    stayed = [task for task in tasks if task is not tasks[leaver]]
    assert [await task for task in stayed] == [[1], [1]]
    assert sorted(name for _, name in await drawers.rows()) == [name for name in "abc" if name != "abc"[leaver]]
    assert not together._lanes


async def test_when_postgresql_goes_away_everybody_in_the_batch_is_told(drawers: Drawers) -> None:
    """The connection breaks under a batch: each waiter hears that it may have been committed; the next are served."""
    together = Together(drawers.database, ADD)
    async with drawers.owner.transaction():
        await drawers.owner.execute("LOCK TABLE drawers IN SHARE MODE")
        first = await hold(drawers, together, "a", "b", "c")
        await _terminate(drawers)
        assert await first[0] == [DatabaseUnavailable]
        await drawers.waiting(1)
        await _terminate(drawers)
        errors = await asyncio.gather(*first[1:])
    assert errors == [[DatabaseUnavailable], [DatabaseUnavailable]]
    assert await asked(together, (ALPHA, "b", 1), (ALPHA, "c", 1)) == [1, 1]


async def test_without_a_connection_everybody_is_told_that_nothing_happened(drawers: Drawers) -> None:
    """The database refuses connections: nobody waits for ever, and nobody has to wonder."""
    together = Together(drawers.database, ADD)
    await drawers.database.close()
    answers = await asyncio.gather(*(together.run(name, (ALPHA, name, 1)) for name in "abc"), return_exceptions=True)
    assert [isinstance(one, DatabaseUnavailable) and one.maybe_committed for one in answers] == [False] * 3


async def _terminate(drawers: Drawers) -> None:
    """Ends the connections that wait for a lock."""
    await drawers.owner.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted")


HOSTILE = {
    "no predicate": "UPDATE drawers SET content = $3 WHERE $1::uuid IS NOT NULL RETURNING $2::text, content",
    "another tenant": "UPDATE drawers SET content = $3 WHERE tenant <> $1 RETURNING $2::text, content",
    "planted": "INSERT INTO drawers SELECT '{beta}', $2, $3 WHERE $1::uuid IS NOT NULL RETURNING name, content",
    "moved": "UPDATE drawers SET tenant = '{beta}', content = $3 WHERE tenant = $1 RETURNING $2::text, content",
}


@pytest.mark.parametrize("sql", HOSTILE.values(), ids=HOSTILE)
async def test_a_batch_reaches_no_other_tenant(drawers: Drawers, sql: str) -> None:
    """A statement without its predicate, or a hostile one, ends at the wall in a batch as it does alone."""
    await asked(Together(drawers.database, ADD), (ALPHA, "a", 1), (BETA, "b", 1))
    hostile = Together(drawers.database, sql.format(beta=BETA))
    await asked(hostile, *((ALPHA, f"h{number}", 500) for number in range(5)))
    found = await drawers.rows()
    assert {key: content for key, content in found.items() if key[0] == BETA} == {(BETA, "b"): 1}


async def test_tenants_do_not_share_a_batch(drawers: Drawers) -> None:
    """Rows of two tenants that arrive together are committed apart, each in the scope of its own."""
    together = Together(drawers.database, ADD)
    rows = [(tenant, f"{number}", number) for number in range(6) for tenant in (ALPHA, BETA)]
    assert await asked(together, *rows) == [row[2] for row in rows]
    found = await drawers.owner.fetch("SELECT count(DISTINCT tenant) FROM drawers GROUP BY xmin::text")
    assert {row[0] for row in found} == {1}


async def test_two_replicas_that_batch_the_same_rows_do_not_block_each_other(drawers: Drawers) -> None:
    """The same names in opposite orders from two pools, many times: each is granted once and nobody deadlocks."""
    other = await Database.open(drawers.fresh.app_dsn, min_size=1, max_size=2)
    stores = (Together(drawers.database, ADD), Together(other, ADD))
    orders: tuple[Callable[[list[str]], list[str]], ...] = (list, lambda names: names[::-1])
    for number in range(40):
        names = [f"{number}-{letter}" for letter in "abcdefghijklmnopqrst"]
        both = [
            asked(store, *((ALPHA, name, 1) for name in order(names)))
            for store, order in zip(stores, orders, strict=True)
        ]
        one, two = await asyncio.gather(*both)
        assert [(a, b).count(1) for a, b in zip(one, reversed(two), strict=True)] == [1] * len(names)
    await other.close()
    assert (
        await drawers.owner.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0
    )
