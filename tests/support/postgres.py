"""PostgreSQL for tests: one embedded server for each process of tests, a fresh migrated database for each test.

`postgres`        the server; what breaks it must put it back.
`fresh`           an empty migrated database of this test alone, as `Fresh(dsn, app_dsn)`.
`database`        the same one, opened as the server opens it.
`own_postgres`    a server of this test alone, to be stopped, killed and restarted.
"""

import asyncio
import os
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
_MEMORY = Path("/dev/shm")
_ROOM = 2_000_000_000  # bytes; containers often have a small one
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
def folder_for_postgres() -> Iterator[Path]:
    """Makes a folder that PostgreSQL's user can reach, in memory when there is room: 10 times faster."""
    beside = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))  # processes that make theirs at the same time
    roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > beside * _ROOM
    folder = Path(tempfile.mkdtemp(prefix="patchbay-test-", dir=_MEMORY if roomy else None))
    try:
        yield folder / "pg"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running_postgres() -> Iterator[EmbeddedPostgres]:
    """Starts a server and removes it afterwards."""
    with folder_for_postgres() as folder:
        server = EmbeddedPostgres(folder, _FAST)
        try:
            server.start()
            yield server
        finally:
            server.stop()


def named(dsn: str, name: str) -> str:
    """Returns the connection string of another database of the same server."""
    return dsn.replace(f"/{DATABASE}?", f"/{name}?")


async def statement(dsn: str, sql: str) -> None:
    """Runs one statement on a connection of its own."""
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
    apart(statement(postgres.dsn, f"CREATE DATABASE {_TEMPLATE}"))
    apart(migrate(named(postgres.dsn, _TEMPLATE)))
    return _TEMPLATE


@pytest.fixture
def fresh(postgres: EmbeddedPostgres, template: str) -> Iterator[Fresh]:
    """A migrated database of this test alone."""
    name = f"test_{next(_numbers)}"
    apart(statement(postgres.dsn, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"))
    yield Fresh(named(postgres.dsn, name), named(postgres.app_dsn, name))
    apart(statement(postgres.dsn, f"DROP DATABASE {name} WITH (FORCE)"))


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
