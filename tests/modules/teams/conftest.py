"""The simulated services, connections to them, and what they saw."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from sandbox.teams import create_app
from server.modules.teams import MODULE
from server.sdk.http import HttpPool
from server.store.database import Database
from tests.modules.harness import Connected
from tests.modules.teams.world import connection

Connect = Callable[..., Connected]


@pytest.fixture(scope="session")
def server() -> Iterator[SandboxServer]:
    """The simulated services of all these tests."""
    with SandboxServer(create_app()) as running:
        yield running


@pytest.fixture
def vendor(server: SandboxServer) -> Iterator[SandboxControl]:
    """Control over them, back at their seed."""
    control = SandboxControl(server.url)
    control.reset()
    yield control
    control.clear_faults()


@pytest.fixture
def connect(
    vendor: SandboxControl, server: SandboxServer, pool: HttpPool, modules_database: Database, tenant: str
) -> Connect:
    """Makes a connection, with some settings changed."""

    def made(**changes: Any) -> Connected:
        settings = connection(server.url, vendor.credentials()["client_secret"], **changes)
        return Connected(MODULE, settings, pool, modules_database, tenant)

    return made


@pytest.fixture
async def connected(connect: Connect) -> Connected:
    """A connection that may do everything."""
    return connect()
