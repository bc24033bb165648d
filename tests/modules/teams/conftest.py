"""The simulated services, connections to them, and what they saw."""

from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from sandbox.teams import create_app
from server.modules.teams import MODULE
from tests.modules.harness import Connect, Connected, Connecting
from tests.modules.teams.world import connection


@pytest.fixture(scope="session")
def server() -> Iterator[SandboxServer]:
    """The simulated services of all these tests."""
    with SandboxServer(create_app()) as running:
        yield running


@pytest.fixture
def connect(connecting: Connecting, vendor: SandboxControl, server: SandboxServer) -> Connect:
    """Makes a connection, with some settings changed."""

    def made(**changes: Any) -> Connected:
        return connecting(MODULE, connection(server.url, vendor.credentials()["client_secret"], **changes))

    return made
