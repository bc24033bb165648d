"""The simulated server, connections to it, and what it saw."""

from collections.abc import Callable, Iterator

import pytest
from google.protobuf.message import Message

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from sandbox.tacticalrmm import create_app
from server.modules.tacticalrmm import MODULE
from server.modules.tacticalrmm.connection import Pace
from server.sdk.http import HttpPool
from server.store.database import Database
from tests.modules.harness import Connected
from tests.modules.tacticalrmm.world import SEED, by_key

QUICK = Pace(settle=0.4, grace=0.0, first=0.02, longest=0.1)

Connect = Callable[..., Connected]


@pytest.fixture(scope="session")
def server() -> Iterator[SandboxServer]:
    """The simulated server of all these tests."""
    with SandboxServer(create_app(SEED)) as running:
        yield running


@pytest.fixture
def vendor(server: SandboxServer) -> Iterator[SandboxControl]:
    """Control over the simulated server, back at its seed."""
    control = SandboxControl(server.url)
    control.reset()
    yield control
    control.clear_faults()


@pytest.fixture
def connect(
    vendor: SandboxControl, server: SandboxServer, pool: HttpPool, modules_database: Database, tenant: str
) -> Connect:
    """Makes a connection, by API key unless settings are given; histories are watched at the tests' pace."""

    def made(settings: Message | None = None) -> Connected:
        connected = Connected(MODULE, settings or by_key(server.url), pool, modules_database, tenant)
        connected.client.pace = QUICK
        return connected

    return made


@pytest.fixture
async def connected(connect: Connect) -> Connected:
    """A connection by API key."""
    return connect()
