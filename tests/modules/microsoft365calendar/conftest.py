"""The simulated services, a tenant connected to them, and another one."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from sandbox.client import SandboxControl
from sandbox.microsoft365calendar import create_app
from sandbox.serving import SandboxServer
from server.sdk.http import HttpPool
from server.store.database import Database
from server.store.tenants import Tenants
from tests.modules.microsoft365calendar.world import Tenant, Vendor, tenant_at


@pytest.fixture(scope="session")
def server() -> Iterator[SandboxServer]:
    """The simulated services of all these tests."""
    with SandboxServer(create_app()) as running:
        yield running


@pytest.fixture
def vendor(server: SandboxServer) -> Iterator[Vendor]:
    """What is in them, back at their seed."""
    control = SandboxControl(server.url)
    control.reset()
    yield Vendor(control, server.url)
    control.clear_faults()


@pytest.fixture
async def msp(vendor: Vendor, pool: HttpPool, modules_database: Database, tenant: str) -> Tenant:
    """A tenant that is connected."""
    return tenant_at(tenant, modules_database, pool, vendor.url, vendor.control.credentials())


@pytest.fixture
async def rival(vendor: Vendor, pool: HttpPool, modules_database: Database) -> Tenant:
    """Another one, connected to the same services."""
    id = (await Tenants(modules_database).create(f"t-{uuid4().hex}")).id
    return tenant_at(id, modules_database, pool, vendor.url, vendor.control.credentials())
