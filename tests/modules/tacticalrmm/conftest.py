"""The simulated server, connections to it, and what it saw."""

from collections.abc import Iterator

import pytest
from google.protobuf.message import Message

from sandbox.serving import SandboxServer
from sandbox.tacticalrmm import create_app
from server.modules.tacticalrmm import MODULE
from server.modules.tacticalrmm.connection import Pace
from tests.modules.harness import Connect, Connected, Connecting
from tests.modules.tacticalrmm.world import SEED, by_key

QUICK = Pace(settle=0.4, grace=0.0, first=0.02, longest=0.1)


@pytest.fixture(scope="session")
def server() -> Iterator[SandboxServer]:
    """The simulated server of all these tests."""
    with SandboxServer(create_app(SEED)) as running:
        yield running


@pytest.fixture
def connect(connecting: Connecting, server: SandboxServer) -> Connect:
    """Makes a connection, by API key unless settings are given; histories are watched at the tests' pace."""

    def made(settings: Message | None = None) -> Connected:
        connected = connecting(MODULE, settings or by_key(server.url))
        connected.client.pace = QUICK
        return connected

    return made
