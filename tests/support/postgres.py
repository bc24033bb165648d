"""PostgreSQL for tests: one embedded server for the whole run, a fresh migrated database for each test that asks.

`postgres`        the server; what breaks it must put it back.
`fresh`           an empty migrated database of this test alone, as `Fresh(dsn, app_dsn)`.
`database`        the same one, opened as the server opens it.
`own_postgres`    a server of this test alone, to be stopped, killed and restarted.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from server.store.database import Database
from server.store.embedded import DATABASE, EmbeddedPostgres
from server.store.migrate import migrate

_TEMPLATE = "patchbay_template"
_FAST = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "64MB"}
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Fresh:
    """One database: `dsn` is its owner's, `app_dsn` the server's own."""

    dsn: str
    app_dsn: str


def apart(work: Coroutine[Any, Any, Any]) -> Any:
    """Runs a coroutine on a loop of its own, in a thread of its own."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


@contextmanager
def running_postgres() -> Iterator[EmbeddedPostgres]:
    """Starts a server in a short path that PostgreSQL's user can reach, and removes it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="patchbay-test-"))
    server = EmbeddedPostgres(folder / "pg", _FAST)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def named(dsn: str, name: str) -> str:
    """Returns the connection string of another database of the same server."""
    return dsn.replace(f"/{DATABASE}?", f"/{name}?")


async def _statement(dsn: str, sql: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The server that the tests share."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def template(postgres: EmbeddedPostgres) -> str:
    """The name of a migrated database that nobody is connected to."""
    apart(_statement(postgres.dsn, f"CREATE DATABASE {_TEMPLATE}"))
    apart(migrate(named(postgres.dsn, _TEMPLATE)))
    return _TEMPLATE


@pytest.fixture
def fresh(postgres: EmbeddedPostgres, template: str) -> Iterator[Fresh]:
    """A migrated database of this test alone."""
    name = f"test_{next(_numbers)}"
    apart(_statement(postgres.dsn, f"CREATE DATABASE {name} TEMPLATE {template}"))
    yield Fresh(named(postgres.dsn, name), named(postgres.app_dsn, name))
    apart(_statement(postgres.dsn, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
async def database(fresh: Fresh) -> AsyncIterator[Database]:
    """The database of this test, opened as the server opens it."""
    opened = await Database.open(fresh.app_dsn, min_size=1, max_size=5)
    yield opened
    await opened.close()


@pytest.fixture
def own_postgres() -> Iterator[EmbeddedPostgres]:
    """A migrated server of this test alone."""
    with running_postgres() as server:
        apart(migrate(server.dsn))
        yield server
