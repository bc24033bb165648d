"""The simulated account, connections to it, and what it saw."""

from collections.abc import Callable, Iterator

import pytest

from sandbox.client import SandboxControl
from sandbox.levelio import create_app
from sandbox.serving import SandboxServer
from server.modules.levelio import MODULE
from server.sdk.http import HttpPool
from server.sdk.polling import doubling
from server.store.database import Database
from tests.modules.harness import Connected
from tests.modules.levelio.world import API_KEY, SEED, by_key
from tests.modules.openapi import described

DOCUMENT = described("level/openapi.yaml")

Connect = Callable[..., Connected]


@pytest.fixture(scope="session")
def server() -> Iterator[SandboxServer]:
    """The simulated account of all these tests."""
    with SandboxServer(create_app(SEED)) as running:
        yield running


@pytest.fixture
def vendor(server: SandboxServer) -> Iterator[SandboxControl]:
    """Control over the simulated account, back at its seed; afterwards every request must fit Level's document."""
    control = SandboxControl(server.url)
    control.reset()
    yield control
    control.clear_faults()
    DOCUMENT.check(control.requests(limit=10_000))


@pytest.fixture
def connect(
    vendor: SandboxControl, server: SandboxServer, pool: HttpPool, modules_database: Database, tenant: str
) -> Connect:
    """Makes a connection with the key that may write, or another one; runs are watched at the tests' pace."""

    def made(key: str = API_KEY) -> Connected:
        connected = Connected(MODULE, by_key(server.url, key), pool, modules_database, tenant)
        connected.client.pauses = lambda: doubling(0.01, 0.02)
        return connected

    return made


@pytest.fixture
async def connected(connect: Connect) -> Connected:
    """A connection with the key that may write."""
    return connect()
