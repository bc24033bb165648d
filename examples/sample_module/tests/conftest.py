"""A server with the module, on an embedded database; each test has a tenant and a small Statusboard of its own."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import vendor
from patchbay_client import AsyncPatchbay
from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from server.app import running_server
from server.settings import Settings

from patchbay_statusboard import register


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The server runs on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session")
async def target() -> AsyncIterator[str]:
    """The address of a server that has this module and nothing else."""
    with tempfile.TemporaryDirectory(prefix="statusboard-") as folder:
        settings = Settings(listen="127.0.0.1:0", data_dir=Path(folder))
        async with running_server(settings, register) as running:
            yield running.target


@pytest.fixture
async def patchbay(target: str) -> AsyncIterator[AsyncPatchbay]:
    """A client for a tenant that nothing is connected to."""
    tenant = f"test-{uuid4().hex[:12]}"
    async with AsyncPatchbay(target, tenant=tenant) as client:
        await client.tenants.create(tenant)
        yield client


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    """The vendor."""
    with SandboxServer(vendor.create_app()) as running:
        yield running


@pytest.fixture
def statusboard(server: SandboxServer) -> SandboxControl:
    """The vendor's control plane: faults, effects, requests."""
    return SandboxControl(server.url)


@pytest.fixture
async def connected(patchbay: AsyncPatchbay, server: SandboxServer, statusboard: SandboxControl) -> AsyncPatchbay:
    """The same client, its tenant connected."""
    await patchbay.connections.connect(
        "statusboard",
        {"instance_url": server.url, "token": statusboard.credentials()["token"]},
        private_networks=["127.0.0.0/8"],
        plain_http=True,
    )
    return patchbay
