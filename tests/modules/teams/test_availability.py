"""Teams is available to tenants that are connected, have it installed and have its add-on."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest

from server.core.connection_records import AcceptedConnection, StoredConnection
from server.core.vault import Sealed
from server.gen.patchbay.v1.connections_pb2 import EgressGrant
from server.sdk import Integration, Verdict, installed_addon
from server.store.database import Database
from server.store.integrations import IntegrationRows

pytestmark = pytest.mark.anyio

RESOLVE = installed_addon("teams", "Microsoft Teams")


class Seen:
    """What a resolver looks at: the rows of one tenant."""

    def __init__(self, tenant: str, rows: Mapping[str, Integration]) -> None:
        self.tenant = tenant
        self._rows = rows

    async def integration(self, provider: str) -> Integration | None:
        """Returns the row of a provider."""
        return self._rows.get(provider)


async def connect(database: Database, tenant: str, provider: str = "teams") -> None:
    """Stores a connection as Connect does."""
    connection = StoredConnection(
        tenant=tenant,
        id=str(uuid4()),
        provider=provider,
        instance_url="",
        is_active=True,
        connected_at=None,
        settings={},
        grant=EgressGrant(),
        revision=0,
    )
    sealed = Sealed(key_id="k", key_nonce=b"n", wrapped_key=b"w", nonce=b"n", ciphertext=b"c")
    await IntegrationRows(database).save(AcceptedConnection(connection=connection, seal=lambda _id: sealed))


async def verdict(database: Database, tenant: str) -> Verdict:
    """Resolves for a tenant from what the database holds."""
    return await RESOLVE(Seen(tenant, await IntegrationRows(database).integrations(tenant)))


async def change(database: Database, tenant: str, sql: str) -> Any:
    """Changes the tenant's rows as the system around us would."""
    async with database.tenant(tenant) as connection:
        return await connection.execute(sql, tenant)


async def test_connecting_installs_and_grants_the_add_on(modules_database: Database, tenant: str) -> None:
    """Before: NOT_CONNECTED; after: available. Connecting something else installs nothing."""
    await connect(modules_database, tenant, "levelio")
    assert (await verdict(modules_database, tenant)).reason == "NOT_CONNECTED"
    await connect(modules_database, tenant)
    assert (await verdict(modules_database, tenant)).available


@pytest.mark.parametrize("status", ["not_configured", "install_pending", "error"])
async def test_only_an_active_installation_counts(modules_database: Database, tenant: str, status: str) -> None:
    """Every other status is INTEGRATION_INACTIVE with a remedy."""
    await connect(modules_database, tenant)
    await change(
        modules_database, tenant, f"UPDATE teams_integrations SET install_status = '{status}' WHERE tenant = $1"
    )
    told = await verdict(modules_database, tenant)
    assert (told.reason, status in told.message) == ("INTEGRATION_INACTIVE", True)
    assert told.remedy


async def test_the_add_on_ends_by_the_database_s_clock(modules_database: Database, tenant: str) -> None:
    """One that ends later counts, one that has ended does not, and connecting again does not renew it."""
    await connect(modules_database, tenant)
    ends = "UPDATE tenant_addons SET expires_at = now() + interval '{}' WHERE tenant = $1"
    await change(modules_database, tenant, ends.format("1 hour"))
    assert (await verdict(modules_database, tenant)).available
    await change(modules_database, tenant, ends.format("-1 second"))
    await connect(modules_database, tenant)
    told = await verdict(modules_database, tenant)
    assert (told.reason, "add-on" in told.message) == ("INTEGRATION_INACTIVE", True)
    assert told.remedy == "Activate or renew the add-on for this tenant."


async def test_disconnecting_uninstalls(modules_database: Database, tenant: str) -> None:
    """The connection's own reason comes first; connecting again makes it available."""
    await connect(modules_database, tenant)
    await IntegrationRows(modules_database).deactivate(tenant, "teams")
    assert (await verdict(modules_database, tenant)).reason == "INTEGRATION_INACTIVE"
    rows = await IntegrationRows(modules_database).integrations(tenant)
    assert rows["teams"].install_status == "not_configured"
    await connect(modules_database, tenant)
    assert (await verdict(modules_database, tenant)).available
