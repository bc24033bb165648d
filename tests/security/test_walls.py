"""Hostile SQL through the server's own role: no row of another tenant is reached in any table."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from server.store.database import Database
from tests.security.pair import Pair, pair
from tests.support.postgres import Fresh

__all__ = ["pair"]

pytestmark = pytest.mark.anyio

TENANT_TABLES = """SELECT c.relname FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant' AND NOT a.attisdropped
    WHERE c.relkind IN ('r', 'p', 'v', 'm') AND c.relnamespace = 'public'::regnamespace ORDER BY 1"""

ID, OTHER = "'00000000-0000-4000-8000-000000000001'", "'00000000-0000-4000-8000-000000000002'"
CONNECTION = "(SELECT integration_id FROM rmm_integrations WHERE tenant = $1 LIMIT 1)"
FILLED = {
    "rmm_alerts": "($1, gen_random_uuid(), gen_random_uuid(), 'x', NULL, NULL, 'active')",
    "rmm_alert_fills": "($1, gen_random_uuid(), now())",
    "teams_integrations": "($1, 'active')",
    "tenant_addons": "($1, 'teams')",
    "user_auth_accounts": "($1, 'u', 'microsoft', 'a')",
    "teams_bot_activities": "($1, 'b', 'n', 'c')",
    "teams_conversation_references": "($1, 'a:1', 'b', 'personal', 'https://teams.example', 'e')",
    "users": f"($1, {ID}, 'u')",
    "roles": f"($1, {ID}, 'technician')",
    "user_roles": f"($1, {ID}, {ID})",
    "tickets": f"($1, {ID}, 'T-1')",
    "project_tasks": f"($1, {ID}, 'x')",
    "schedule_entries": f"($1, {ID}, 'x', NULL, 'ad_hoc', NULL, NULL, 'new'), "
    f"($1, {OTHER}, 'x', NULL, 'ad_hoc', NULL, NULL, 'new')",
    "schedule_entry_assignees": f"($1, {ID}, {ID})",
    "schedule_conflicts": f"($1, {ID}, {ID}, {OTHER})",
    "schedule_feeds": f"($1, {ID}, {ID}, '', gen_random_uuid()::text::bytea)",
    "calendar_providers": f"({ID}, $1, {ID}, 'microsoft')",
    "calendar_event_mappings": f"($1, {ID}, {ID}, 'e', 'a', NULL, 'synced', 1)",
    "outbox_events": f"($1, {ID}, 'schedule_entry.created', {ID}, 1, '{{}}')",
    "outbox_deliveries": f"($1, {ID}, {CONNECTION}, 'lab', {ID}, 1)",
    "outbox_dead_letters": f"($1, {ID}, {CONNECTION}, 'lab', {ID}, 1, 1, '{{}}')",
}


@pytest.fixture
async def filled(pair: Pair) -> AsyncIterator[tuple[Pair, list[str]]]:
    """Rows of both tenants in every table that has a tenant."""
    for tenant in (pair.crimson, pair.indigo):
        await tenant.execute("lab.things.post_budgeted", {"name": tenant.name}, "k")
        await tenant.execute("tacticalrmm.agents.find", {"live": True})
    await pair.served.handle.house.audit.flush()
    owner = await asyncpg.connect(pair.served.fresh.dsn)
    await owner.execute("SELECT set_config('patchbay.tenant', '*', false)")
    lock = "INSERT INTO named_locks VALUES ($1, 'test', gen_random_uuid(), now())"
    await owner.executemany(lock, [(pair.crimson.id,), (pair.indigo.id,)])
    token = "INSERT INTO connection_tokens SELECT tenant, integration_id, 1, 1, 0, now(), NULL, '', '', '', '', ''"
    await owner.execute(f"{token} FROM rmm_integrations WHERE provider = 'lab'")
    for table, values in FILLED.items():
        await owner.executemany(f"INSERT INTO {table} VALUES {values}", [(pair.crimson.id,), (pair.indigo.id,)])
    tables = [row["relname"] for row in await owner.fetch(TENANT_TABLES)]
    for table in tables:
        count = await owner.fetchval(f"SELECT count(DISTINCT tenant) FROM {table} WHERE tenant = ANY($1)", both(pair))
        assert count == 2, table
    yield pair, tables
    await owner.close()


def both(pair: Pair) -> list[str]:
    """Ids of both tenants."""
    return [pair.crimson.id, pair.indigo.id]


async def test_hostile_statements_reach_no_row_of_another_tenant(
    filled: tuple[Pair, list[str]], database: Database
) -> None:
    """In every table: reading, counting, joining, changing, deleting and moving rows ends at the wall."""
    pair, tables = filled
    assert len(tables) >= 9
    walled = {"0", "InsufficientPrivilegeError"}
    for table in tables:
        async with database.tenant(pair.crimson.id) as connection:
            for where in ("", f"WHERE tenant = '{pair.indigo.id}' OR true"):
                rows = await connection.fetch(f"SELECT * FROM {table} {where}")
                assert {str(row["tenant"]) for row in rows} == {pair.crimson.id}, table
            union = f"SELECT count(*) FROM (SELECT tenant FROM {table} UNION SELECT tenant FROM tenants) t"
            assert await connection.fetchval(union) == 1
            for change in (f"DELETE FROM {table}", f"UPDATE {table} SET tenant = tenant"):
                ended = await outcome(connection, f"{change} WHERE tenant = $1", pair.indigo.id)
                assert ended in walled, (table, ended)
            moved = await outcome(connection, f"UPDATE {table} SET tenant = $1", pair.indigo.id)
            assert moved == "InsufficientPrivilegeError", table


async def outcome(connection: Any, sql: str, *values: object) -> str:
    """How many rows a statement changed, or the name of its error; nothing stays changed."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        return str(await connection.execute(sql, *values)).rpartition(" ")[2]
    except asyncpg.PostgresError as error:
        return type(error).__name__
    finally:
        await transaction.rollback()


HOSTILE = {
    "take another's slot": "SELECT patchbay_take_slot('{indigo}', 'tight', 5, 5, '1 s', '1 h')",
    "become the owner": "SET ROLE postgres",
    "leave the role": "RESET ROLE; SELECT 1 / (SELECT count(*) FROM tenants WHERE tenant = '{indigo}')::int",
    "switch the wall off": "SET LOCAL row_security = off; SELECT * FROM tenants",
    "read keys": "SELECT 1 / (SELECT count(*) FROM api_keys)",
    "read the server's secrets": "SELECT 1 / (SELECT count(*) FROM system_secrets)",
    "make a key": "INSERT INTO api_keys VALUES ('aaaaaaaaaaaa', sha256(''), '', NULL, '{{*}}', now(), '')",
    "change a policy": "ALTER POLICY patchbay_tenant ON assets USING (true)",
    "define a function": "CREATE FUNCTION f() RETURNS int SECURITY DEFINER LANGUAGE sql AS 'SELECT 1'",
    "define a view": "CREATE VIEW v AS SELECT * FROM assets",
    "copy to a program": "COPY assets TO PROGRAM 'cat'",
    "read a file": "SELECT pg_read_file('PG_VERSION')",
    "other sessions' statements": "SELECT 1 / count(*) FROM pg_stat_activity "
    "WHERE usename <> current_user AND query NOT LIKE '<insufficient%' AND query <> ''",
}


@pytest.mark.parametrize("sql", HOSTILE.values(), ids=HOSTILE)
async def test_the_servers_role_cannot_climb_over_the_wall(pair: Pair, database: Database, sql: str) -> None:
    """Statements that try to get around row-level security fail or find nothing."""
    async with database.tenant(pair.crimson.id) as connection:
        ended = await outcome(connection, sql.format(indigo=pair.indigo.id))
        assert await connection.fetchval("SELECT count(*) FROM tenants") == 1
    assert ended in {"InsufficientPrivilegeError", "DivisionByZeroError"}


async def test_no_function_or_view_runs_with_the_owners_rights(fresh: Fresh) -> None:
    """Nothing that the server's role may use is exempt from row-level security."""
    owner = await asyncpg.connect(fresh.dsn)
    functions = await owner.fetch(
        "SELECT proname FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace"
    )
    views = await owner.fetch(
        "SELECT relname FROM pg_class WHERE relkind IN ('v', 'm') AND relnamespace = 'public'::regnamespace"
    )
    await owner.close()
    assert [*functions, *views] == []
