"""The pool: scopes that stay, errors that mean something, PostgreSQL that comes and goes."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest

from server.errors import DatabaseUnavailable
from server.store.database import Database
from server.store.embedded import EmbeddedPostgres
from tests.support.postgres import Fresh, statement

pytestmark = pytest.mark.anyio

ALPHA, BETA = str(uuid4()), str(uuid4())


async def test_a_scope_that_is_right_costs_nothing(fresh: Fresh) -> None:
    """The scope is set when it changes and only then: one statement is one round trip."""
    database = await Database.open(fresh.app_dsn, min_size=1, max_size=1)
    queries: list[str] = []
    async with database.system() as connection:
        connection.add_query_logger(lambda record: queries.append(record.query))
    for tenant in (ALPHA, ALPHA, BETA, BETA, ALPHA):
        async with database.tenant(tenant) as connection:
            await connection.fetchval("SELECT 1")
    await database.close()
    assert [query for query in queries if "SELECT 1" in query] == ["SELECT 1"] * 5
    assert len([query for query in queries if "set_config" in query]) == 3
    assert len(queries) == 8


async def test_a_tenant_is_a_uuid(database: Database) -> None:
    """No other text, `*` least of all, can become a tenant's scope; case does not matter."""
    for name in ("*", "", "acme", f"{ALPHA}' OR true"):
        with pytest.raises(ValueError, match="UUID"):
            database.tenant(name)
    async with database.tenant(ALPHA.upper()) as connection:
        assert await connection.fetchval("SELECT current_setting('patchbay.tenant')") == ALPHA


async def test_a_cancelled_borrower_leaves_a_clean_connection(fresh: Fresh) -> None:
    """A task cancelled in the middle of a transaction leaves neither its rows nor its scope to the next one."""
    database = await Database.open(fresh.app_dsn, min_size=1, max_size=1)
    inserted = asyncio.Event()

    async def work() -> None:
        async with database.tenant(ALPHA) as connection, connection.transaction():
            await connection.execute("INSERT INTO tenants VALUES ($1, 'alpha')", ALPHA)
            inserted.set()
            await connection.execute("SELECT pg_sleep(60)")

    task = asyncio.create_task(work())
    await inserted.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with database.tenant(BETA) as connection:
        assert await connection.fetchval("SELECT current_setting('patchbay.tenant')") == BETA
    async with database.system() as connection:
        assert await connection.fetchval("SELECT count(*) FROM tenants") == 0
    await database.close()


async def test_a_connection_that_dies_under_a_statement_may_have_committed(database: Database, fresh: Fresh) -> None:
    """Terminated while a statement runs: DatabaseUnavailable, and its fate is said to be unknown."""

    async def sleeper(started: asyncio.Event) -> None:
        async with database.tenant(ALPHA) as connection:
            started.set()
            await connection.execute("SELECT pg_sleep(60)")

    started = asyncio.Event()
    task = asyncio.create_task(sleeper(started))
    await started.wait()
    await _terminate_until(fresh, task)
    with pytest.raises(DatabaseUnavailable) as caught:
        await task
    assert caught.value.maybe_committed


async def _terminate_until(fresh: Fresh, task: "asyncio.Task[None]") -> None:
    sleeping = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    while not task.done():
        await statement(fresh.dsn, sleeping)
        await asyncio.wait([task], timeout=0.02)


async def test_connections_that_died_while_idle_are_replaced_unseen(database: Database, fresh: Fresh) -> None:
    """A borrower never meets a connection that broke before it asked for anything."""
    for tenant in (ALPHA, BETA, ALPHA):
        await statement(
            fresh.dsn,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE usename = 'patchbay_app' AND datname = current_database()",
        )
        async with database.tenant(tenant) as connection:
            assert await connection.fetchval("SELECT 1") == 1


async def test_a_statement_that_takes_too_long_is_known_not_to_have_happened(database: Database) -> None:
    """PostgreSQL's own statement timeout is DatabaseUnavailable with nothing committed."""

    async def take_too_long() -> None:
        async with database.tenant(ALPHA) as connection:
            await connection.execute("SET statement_timeout = 20")
            await connection.execute("SELECT pg_sleep(60)")

    with pytest.raises(DatabaseUnavailable) as caught:
        await take_too_long()
    assert not caught.value.maybe_committed


async def test_errors_of_statements_stay_what_they_are(database: Database) -> None:
    """A constraint, a syntax error and a caller's own exception pass through the block unchanged."""
    with pytest.raises(asyncpg.PostgresSyntaxError):
        async with database.tenant(ALPHA) as connection:
            await connection.execute("SELEC 1")
    with pytest.raises(KeyError):
        async with database.tenant(ALPHA):
            raise KeyError("mine")
    async with database.tenant(ALPHA) as connection:
        assert await connection.fetchval("SELECT 1") == 1


async def test_the_pool_survives_a_restart_under_load(own_postgres: EmbeddedPostgres) -> None:
    """While PostgreSQL restarts, callers get DatabaseUnavailable and nothing else; what was confirmed is there."""
    database = await Database.open(own_postgres.app_dsn, min_size=2, max_size=4)
    tenant, confirmed, doubtful, stopping = str(uuid4()), set[str](), set[str](), asyncio.Event()
    async with database.system() as connection:
        await connection.execute("INSERT INTO tenants VALUES ($1, 'home')", tenant)

    async def write() -> None:
        while not stopping.is_set():
            made = str(uuid4())
            try:
                async with database.tenant(made) as connection:
                    await connection.execute("INSERT INTO tenants VALUES ($1, $2)", made, f"t-{made[:30]}x")
                confirmed.add(made)
            except DatabaseUnavailable as error:
                if error.maybe_committed:
                    doubtful.add(made)
                await asyncio.sleep(0.005)

    writers = [asyncio.create_task(write()) for _ in range(8)]
    await _grown(confirmed, 50)
    for _ in range(2):
        await asyncio.to_thread(own_postgres.restart)
        await _grown(confirmed, 50)
    stopping.set()
    await asyncio.gather(*writers)
    async with database.system() as connection:
        stored = {str(row["tenant"]) for row in await connection.fetch("SELECT tenant FROM tenants")} - {tenant}
    await database.close()
    assert confirmed <= stored
    assert stored <= confirmed | doubtful


async def _grown(confirmed: set[str], by: int) -> None:
    wanted = len(confirmed) + by
    async with asyncio.timeout(60):
        while len(confirmed) < wanted:
            await asyncio.sleep(0.01)


async def test_closing_is_final_and_repeatable(fresh: Fresh) -> None:
    """A closed database gives no connection; closing again does nothing."""
    database = await Database.open(fresh.app_dsn, min_size=1, max_size=1)
    await database.close()
    await database.close()
    with pytest.raises(DatabaseUnavailable) as caught:
        async with database.system():
            pass
    assert not caught.value.maybe_committed
