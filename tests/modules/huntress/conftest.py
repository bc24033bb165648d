"""The simulated account, connections to it, and what it saw."""

from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.message import Message

from sandbox.client import SandboxControl
from sandbox.huntress import create_app
from sandbox.serving import SandboxServer
from server.gen.patchbay.v1.failure_pb2 import Failure
from server.modules.huntress import MODULE
from server.sdk import ActionFailure
from tests.modules.harness import Connect, Connected, Connecting
from tests.modules.huntress.world import SEED, by_key
from tests.modules.openapi import described

DOCUMENT = described("huntress/openapi.yaml")


@pytest.fixture(scope="session")
def server() -> Iterator[SandboxServer]:
    """The simulated account of all these tests."""
    with SandboxServer(create_app(SEED)) as running:
        yield running


@pytest.fixture
def vendor(vendor: SandboxControl) -> Iterator[SandboxControl]:
    """Control over the simulated account, back at its seed; afterwards every request must fit the vendor's document."""
    yield vendor
    DOCUMENT.check(vendor.requests(limit=10_000))


@pytest.fixture
def connect(connecting: Connecting, server: SandboxServer) -> Connect:
    """Makes a connection, with the key of the user unless settings are given."""

    def made(settings: Message | None = None) -> Connected:
        return connecting(MODULE, settings or by_key(server.url))

    return made


async def failing(connected: Connected, handler: Any, request: Message, *, seconds: float = 30.0) -> Failure:
    """Calls a handler that must fail and returns how."""
    with pytest.raises(ActionFailure) as caught:
        await connected.run(handler, request, seconds=seconds)
    return caught.value.failure


def asked(vendor: SandboxControl) -> list[str]:
    """Method, path and query of every request so far."""
    return [f"{one['method']} {one['path']}?{one['query']}".rstrip("?") for one in vendor.requests(10_000)]
