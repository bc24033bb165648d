"""The simulated instance, connections to it, and what it saw."""

from collections.abc import Iterator

import pytest
from google.protobuf.message import Message

from sandbox.client import SandboxControl
from sandbox.ninjaone import create_app
from sandbox.serving import SandboxServer
from server.modules.ninjaone import MODULE
from server.sdk.polling import doubling
from tests.modules.harness import Connect, Connected, Connecting
from tests.modules.ninjaone.world import SEED, by_user
from tests.modules.openapi import described

DOCUMENT = described("ninjaone/ninjaone-public-api-2.0.9-draft.2026-07.yaml")


@pytest.fixture(scope="session")
def server() -> Iterator[SandboxServer]:
    """The simulated instance of all these tests."""
    with SandboxServer(create_app(SEED)) as running:
        yield running


@pytest.fixture
def vendor(vendor: SandboxControl) -> Iterator[SandboxControl]:
    """Control over the simulated instance, back at its seed; afterwards every request must fit NinjaOne's document,
    which does not tell of the token endpoint."""
    yield vendor
    DOCUMENT.check(one for one in vendor.requests(limit=10_000) if "/oauth/" not in one["path"])


@pytest.fixture
def connect(connecting: Connecting, server: SandboxServer) -> Connect:
    """Makes a connection, for a user unless settings are given; activities are watched at the tests' pace."""

    def made(settings: Message | None = None) -> Connected:
        connected = connecting(MODULE, settings or by_user(server.url))
        connected.client.pauses = lambda: doubling(0.01, 0.02)
        return connected

    return made
