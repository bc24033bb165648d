"""One database for the tests of modules: each test is a tenant of its own in it."""

from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import asyncpg
import pytest

from server.sdk.http import HttpPool
from server.store.database import Database
from server.store.embedded import EmbeddedPostgres
from server.store.tenants import Tenants
from tests.support.postgres import apart, named

_NAME = "modules"


async def _statement(dsn: str, sql: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def modules_dsn(postgres: EmbeddedPostgres, template: str) -> Iterator[str]:
    """The connection string of the migrated database, as the server uses it."""
    apart(_statement(postgres.dsn, f"CREATE DATABASE {_NAME} TEMPLATE {template}"))
    yield named(postgres.app_dsn, _NAME)
    apart(_statement(postgres.dsn, f"DROP DATABASE {_NAME} WITH (FORCE)"))


@pytest.fixture
async def modules_database(modules_dsn: str) -> AsyncIterator[Database]:
    """The database, open."""
    opened = await Database.open(modules_dsn, min_size=1, max_size=5)
    yield opened
    await opened.close()


@pytest.fixture
async def tenant(modules_database: Database) -> str:
    """Id of this test's tenant."""
    return (await Tenants(modules_database).create(f"t-{uuid4().hex}")).id


@pytest.fixture
async def pool() -> AsyncIterator[HttpPool]:
    """HTTP connections of this test."""
    opened = HttpPool()
    yield opened
    await opened.close()
