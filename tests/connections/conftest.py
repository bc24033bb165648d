"""Connections over a real database, a real HTTP client and a vendor on loopback."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf.struct_pb2 import Struct

from server.core.caller import Caller
from server.core.connection_tokens import ConnectionTokens
from server.core.connections import Connections, StoredConnection
from server.core.master_keys import MasterKeys, new_key
from server.core.registry import Registry
from server.core.vault import Vault
from server.gen.patchbay.v1 import connections_pb2
from server.sdk.http import HttpPool
from server.store.credentials import SystemSecretRows
from server.store.database import Database
from server.store.integrations import IntegrationRows
from server.store.locks import Locks
from server.store.tenants import Tenants
from server.store.tokens import TokenRows
from tests.connections.vendor import KEY, LOOPBACK, PROVIDER, Vendor, module, running

OPERATOR = Caller(name="key:operator", tenants=None, permissions=("*",))


def settings(vendor: Vendor, **changes: Any) -> Struct:
    """Returns settings that the vendor accepts, with changes; None removes one."""
    good = {"instance_url": vendor.url, "api_key": KEY, **changes}
    struct = Struct()
    struct.update({name: value for name, value in good.items() if value is not None})
    return struct


class House:
    """Connections and their surroundings, for one tenant."""

    def __init__(self, database: Database, vault: Vault, http: HttpPool, tenant: str) -> None:
        self.tenant = tenant
        self.registry = Registry()
        self.registry.add(module())
        self.vault = vault
        self.http = http
        self.rows = IntegrationRows(database)
        self.tokens = ConnectionTokens(TokenRows(database), vault, Locks(database))
        self.connections = Connections(self.registry, self.rows, vault, http, self.tokens)

    @property
    def module(self) -> Any:
        """The registered module."""
        return self.registry.provider(PROVIDER)

    @property
    def clients(self) -> Any:
        """The class of vendor clients, which counts."""
        return self.module.module.connect

    async def connect(
        self,
        vendor: Vendor,
        *,
        caller: Caller = OPERATOR,
        grant: connections_pb2.EgressGrant = LOOPBACK,
        **changes: Any,
    ) -> StoredConnection:
        """Connects the tenant to the vendor."""
        wanted = settings(vendor, **changes)
        return await self.connections.connect(caller, self.tenant, PROVIDER, wanted, grant)


@pytest.fixture
def master_keys() -> MasterKeys:
    """One master key."""
    return MasterKeys(new_key("first"))


@pytest.fixture
async def vault(database: Database, master_keys: MasterKeys) -> Vault:
    """The vault of the test's database."""
    return await Vault.load(master_keys, SystemSecretRows(database))


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    """A vendor without TLS."""
    async with running() as started:
        yield started


@pytest.fixture
async def http() -> AsyncIterator[HttpPool]:
    """The process's HTTP connections."""
    pool = HttpPool()
    yield pool
    await pool.close()


@pytest.fixture
async def tenant(database: Database) -> str:
    """A tenant's id."""
    return (await Tenants(database).create(f"tenant-{uuid4().hex[:8]}")).id


@pytest.fixture
async def house(database: Database, vault: Vault, http: HttpPool, tenant: str) -> AsyncIterator[House]:
    """Connections of the tenant."""
    made = House(database, vault, http, tenant)
    yield made
    await made.connections.aclose()
