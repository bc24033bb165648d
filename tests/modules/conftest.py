"""One database for the tests of modules, where each test is a tenant of its own, and connections to simulated vendors.

A module's conftest adds `server`, its vendor for the whole run, and `connect`, which makes a connection to it.
"""

from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from server.sdk.http import HttpPool
from server.store.database import Database
from server.store.embedded import EmbeddedPostgres
from server.store.tenants import Tenants
from tests.modules.harness import Connect, Connected, Connecting
from tests.support.postgres import apart, named, statement

_NAME = "modules"


@pytest.fixture(scope="session")
def modules_dsn(postgres: EmbeddedPostgres, template: str) -> Iterator[str]:
    """The connection string of the migrated database, as the server uses it."""
    apart(statement(postgres.dsn, f"CREATE DATABASE {_NAME} TEMPLATE {template}"))
    yield named(postgres.app_dsn, _NAME)
    apart(statement(postgres.dsn, f"DROP DATABASE {_NAME} WITH (FORCE)"))


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


@pytest.fixture
def vendor(server: SandboxServer) -> Iterator[SandboxControl]:
    """Control over the simulated vendor, back at its seed."""
    control = SandboxControl(server.url)
    control.reset()
    yield control
    control.clear_faults()


@pytest.fixture
def connecting(vendor: SandboxControl, pool: HttpPool, modules_database: Database, tenant: str) -> Connecting:
    """Connects this test's tenant by a module and its settings."""
    return lambda module, settings: Connected(module, settings, pool, modules_database, tenant)


@pytest.fixture
async def connected(connect: Connect) -> Connected:
    """The connection that `connect` makes by itself."""
    return connect()
