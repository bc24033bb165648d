"""Row-level security on connections and credentials, against statements that forget or forge the tenant."""

from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from server.store.credentials import CredentialRows
from server.store.database import Database
from server.store.tenants import Tenants
from tests.connections.conftest import House
from tests.connections.vendor import PROVIDER, Vendor

pytestmark = pytest.mark.anyio

TABLES = ("rmm_integrations", "connection_credentials")


@pytest.fixture
async def stranger(database: Database, house: House, vendor: Vendor) -> str:
    """Another tenant, after the first one has connected."""
    await house.connect(vendor)
    return (await Tenants(database).create("stranger")).id


@pytest.mark.parametrize("table", TABLES)
async def test_rows_of_others_are_invisible(database: Database, stranger: str, table: str) -> None:
    """Reading, changing and deleting without a predicate finds nothing."""
    async with database.tenant(stranger) as connection:
        assert await connection.fetch(f"SELECT * FROM {table}") == []
        assert await connection.execute(f"UPDATE {table} SET integration_id = gen_random_uuid()") == "UPDATE 0"
        assert await connection.execute(f"DELETE FROM {table}") == "DELETE 0"
        assert await connection.fetch(f"SELECT * FROM {table} WHERE tenant <> $1 OR true", stranger) == []


async def test_rows_for_others_cannot_be_written(database: Database, house: House, stranger: str) -> None:
    """Inserting for another tenant, and handing a row of one's own over, are refused."""
    insert = "INSERT INTO rmm_integrations (tenant, integration_id, provider) VALUES ($1, gen_random_uuid(), $2)"
    async with database.tenant(stranger) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(insert, house.tenant, "evil")
        await connection.execute(insert, stranger, "own")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("UPDATE rmm_integrations SET tenant = $1", house.tenant)


async def test_credentials_cannot_be_hung_on_a_row_of_others(database: Database, house: House, stranger: str) -> None:
    """The pair of tenant and connection must exist, although the check itself sees every row."""
    connection_id = (await house.connections.list(house.tenant))[0].id
    async with database.tenant(stranger) as connection:
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await connection.execute(
                "INSERT INTO connection_credentials VALUES ($1, $2, 'k', '', '', '', '')", stranger, connection_id
            )


async def test_the_servers_own_secrets_are_for_no_tenant(database: Database, stranger: str) -> None:
    """The wrapped fingerprint key is visible in the system scope only."""
    async with database.system() as connection:
        assert await connection.fetchval("SELECT count(*) FROM system_secrets") == 1
    async with database.tenant(stranger) as connection:
        assert await connection.fetchval("SELECT count(*) FROM system_secrets") == 0
        assert await connection.execute("UPDATE system_secrets SET key_id = 'x'") == "UPDATE 0"


@pytest.mark.parametrize("name", ["load", "deactivate", "list", "integrations"])
async def test_the_store_finds_nothing_for_a_tenant_without_connections(house: House, stranger: str, name: str) -> None:
    """Each of its questions is about the tenant named, with a connection of another one in the table."""
    method: Callable[..., Awaitable[object]] = getattr(house.rows, name)
    arguments = (PROVIDER,) if name in {"load", "deactivate"} else ()
    assert not await method(stranger, *arguments)
    assert await method(house.tenant, *arguments)


async def test_a_deleted_tenant_takes_its_credentials_along(database: Database, house: House, stranger: str) -> None:
    """Nothing encrypted stays behind."""
    async with database.system() as connection:
        await connection.execute("DELETE FROM tenants WHERE tenant = $1", house.tenant)
    assert await CredentialRows(database).wrapped_by_others("none", None, 10) == []
