"""The simulated account, connections to it, and what it saw."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.protobuf.message import Message

from sandbox.client import SandboxControl
from sandbox.huntress import create_app
from sandbox.serving import SandboxServer
from server.gen.patchbay.v1.failure_pb2 import Failure
from server.modules.huntress import MODULE
from server.sdk import ActionFailure
from server.sdk.http import HttpPool
from server.store.database import Database
from tests.modules.harness import Connected
from tests.modules.huntress.world import SEED, by_key
from tests.modules.openapi import described

DOCUMENT = described("huntress/openapi.yaml")

Connect = Callable[..., Connected]


@pytest.fixture(scope="session")
def server() -> Iterator[SandboxServer]:
    """The simulated account of all these tests."""
    with SandboxServer(create_app(SEED)) as running:
        yield running


@pytest.fixture
def vendor(server: SandboxServer) -> Iterator[SandboxControl]:
    """Control over the simulated account, back at its seed; afterwards every request must fit the vendor's document."""
    control = SandboxControl(server.url)
    control.reset()
    yield control
    control.clear_faults()
    DOCUMENT.check(control.requests(limit=10_000))


@pytest.fixture
def connect(
    vendor: SandboxControl, server: SandboxServer, pool: HttpPool, modules_database: Database, tenant: str
) -> Connect:
    """Makes a connection, with the key of the user unless settings are given."""

    def made(settings: Message | None = None) -> Connected:
        return Connected(MODULE, settings or by_key(server.url), pool, modules_database, tenant)

    return made


@pytest.fixture
async def connected(connect: Connect) -> Connected:
    """A connection with the key of the user."""
    return connect()


async def failing(connected: Connected, handler: Any, request: Message, *, seconds: float = 30.0) -> Failure:
    """Calls a handler that must fail and returns how."""
    with pytest.raises(ActionFailure) as caught:
        await connected.run(handler, request, seconds=seconds)
    return caught.value.failure


def asked(vendor: SandboxControl) -> list[str]:
    """Method, path and query of every request so far."""
    return [f"{one['method']} {one['path']}?{one['query']}".rstrip("?") for one in vendor.requests(10_000)]
