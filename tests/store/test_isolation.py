"""Row-level security: what a statement that forgets its tenant, or is hostile, can reach."""

from uuid import uuid4

import asyncpg
import pytest

from server.store.database import Database
from tests.support.postgres import Fresh

pytestmark = pytest.mark.anyio

ALPHA, BETA = str(uuid4()), str(uuid4())


@pytest.fixture
async def tenants(database: Database) -> Database:
    """A database with two tenants."""
    async with database.system() as connection:
        await connection.execute("INSERT INTO tenants VALUES ($1, 'alpha'), ($2, 'beta')", ALPHA, BETA)
    return database


async def _slugs(database: Database, tenant: str) -> list[str]:
    async with database.tenant(tenant) as connection:
        return [row["slug"] for row in await connection.fetch("SELECT slug FROM tenants")]


async def test_a_query_without_a_predicate_sees_one_tenant(tenants: Database) -> None:
    """SELECT without WHERE returns the rows of the tenant in scope, whichever connection serves it."""
    for _ in range(3):
        assert await _slugs(tenants, ALPHA) == ["alpha"]
        assert await _slugs(tenants, BETA) == ["beta"]


async def test_the_system_scope_sees_every_tenant(tenants: Database) -> None:
    """Sweeper and retention reach all tenants."""
    async with tenants.system() as connection:
        assert await connection.fetchval("SELECT count(*) FROM tenants") == 2


async def test_rows_of_others_cannot_be_changed(tenants: Database) -> None:
    """UPDATE and DELETE of another tenant's row, or of all rows, touch nothing foreign."""
    async with tenants.tenant(ALPHA) as connection:
        assert await connection.execute("UPDATE tenants SET slug = 'x' WHERE tenant = $1", BETA) == "UPDATE 0"
        assert await connection.execute("DELETE FROM tenants WHERE tenant = $1", BETA) == "DELETE 0"
        assert await connection.execute("DELETE FROM tenants") == "DELETE 1"
    assert await _slugs(tenants, BETA) == ["beta"]


async def test_rows_cannot_be_planted_in_another_tenant(tenants: Database) -> None:
    """INSERT for another tenant, and moving an own row to it, are refused."""
    async with tenants.tenant(ALPHA) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await connection.execute("INSERT INTO tenants VALUES ($1, 'gamma')", str(uuid4()))
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await connection.execute("UPDATE tenants SET tenant = $1", BETA)


@pytest.mark.parametrize("setting", ["", "nonsense", "%", "00000000-0000-0000-0000-000000000000", "**"])
async def test_a_strange_scope_shows_nothing(tenants: Database, setting: str) -> None:
    """A setting that is no tenant hides every row, without an error."""
    async with tenants.system() as connection, connection.transaction():
        await connection.execute("SELECT set_config('patchbay.tenant', $1, true)", setting)
        assert await connection.fetch("SELECT * FROM tenants") == []


async def test_without_a_scope_nothing_is_visible(tenants: Database, fresh: Fresh) -> None:
    """A connection that never named a tenant sees no row and can write none."""
    connection = await asyncpg.connect(fresh.app_dsn)
    try:
        assert await connection.fetch("SELECT * FROM tenants") == []
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("INSERT INTO tenants VALUES ($1, 'gamma')", str(uuid4()))
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "ALTER TABLE tenants DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE tenants NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY patchbay_tenant ON tenants",
        "TRUNCATE tenants",
        "CREATE TABLE copy AS SELECT * FROM tenants",
        "ALTER ROLE patchbay_app BYPASSRLS",
        "SELECT patchbay_isolate('tenants')",
        "SELECT pg_read_file('postgresql.conf')",
        "COPY tenants TO PROGRAM 'cat'",
    ],
)
async def test_the_role_cannot_free_itself(tenants: Database, statement: str) -> None:
    """The role of the server can neither become another nor switch isolation off."""
    async with tenants.tenant(ALPHA) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)


async def test_switching_row_security_off_is_an_error_not_a_leak(tenants: Database) -> None:
    """`row_security = off` makes queries fail instead of showing foreign rows."""
    async with tenants.tenant(ALPHA) as connection, connection.transaction():
        await connection.execute("SET LOCAL row_security = off")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT * FROM tenants")


async def test_the_scope_is_a_setting_and_therefore_no_wall_against_injected_sql(tenants: Database) -> None:
    """Known limit: whoever can run arbitrary SQL can name another tenant. The wall is against forgotten predicates."""
    async with tenants.tenant(ALPHA) as connection, connection.transaction():
        await connection.execute("SELECT set_config('patchbay.tenant', '*', true)")
        assert await connection.fetchval("SELECT count(*) FROM tenants") == 2
    assert await _slugs(tenants, ALPHA) == ["alpha"]


async def test_every_table_with_a_tenant_is_isolated(fresh: Fresh) -> None:
    """No table that has a column `tenant` was forgotten, and none of them belongs to the role of the server."""
    connection = await asyncpg.connect(fresh.dsn)
    try:
        rows = await connection.fetch("""
            SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity AS forced,
                pg_get_userbyid(c.relowner) AS owner,
                (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid AND p.polpermissive) AS policies
            FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant'
            WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
        """)
    finally:
        await connection.close()
    assert {"tenants", "workflow_action_invocations"} <= {row["relname"] for row in rows}
    assert [row["relname"] for row in rows if not row["forced"] or row["policies"] != 1] == []
    assert {row["owner"] for row in rows} == {"postgres"}
