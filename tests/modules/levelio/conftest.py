"""The simulated account, connections to it, and what it saw."""

from collections.abc import Iterator

import pytest

from sandbox.client import SandboxControl
from sandbox.levelio import create_app
from sandbox.serving import SandboxServer
from server.modules.levelio import MODULE
from server.sdk.polling import doubling
from tests.modules.harness import Connect, Connected, Connecting
from tests.modules.levelio.world import API_KEY, SEED, by_key
from tests.modules.openapi import described

DOCUMENT = described("level/openapi.yaml")


@pytest.fixture(scope="session")
def server() -> Iterator[SandboxServer]:
    """The simulated account of all these tests."""
    with SandboxServer(create_app(SEED)) as running:
        yield running


@pytest.fixture
def vendor(vendor: SandboxControl) -> Iterator[SandboxControl]:
    """Control over the simulated account, back at its seed; afterwards every request must fit Level's document."""
    yield vendor
    DOCUMENT.check(vendor.requests(limit=10_000))


@pytest.fixture
def connect(connecting: Connecting, server: SandboxServer) -> Connect:
    """Makes a connection with the key that may write, or another one; runs are watched at the tests' pace."""

    def made(key: str = API_KEY) -> Connected:
        connected = connecting(MODULE, by_key(server.url, key))
        connected.client.pauses = lambda: doubling(0.01, 0.02)
        return connected

    return made
