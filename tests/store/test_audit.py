"""The audit log: every call once, appended only, pruned by age."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from server.store.audit import NO_TENANT, AuditEntry, AuditLog
from server.store.database import Database
from server.store.embedded import EmbeddedPostgres

pytestmark = pytest.mark.anyio

ALPHA, BETA = str(uuid4()), str(uuid4())


def _entry(**facts: object) -> AuditEntry:
    defaults = {
        "at": datetime.now(UTC),
        "caller": "key:abc",
        "operation": "patchbay.v1.Catalog/GetCatalog",
        "outcome": "OK",
    }
    return AuditEntry(**(defaults | facts))  # type: ignore[arg-type]  # of the fields' types, by the callers below


async def _count(database: Database) -> int:
    async with database.system() as connection:
        count: int = await connection.fetchval("SELECT count(*) FROM audit_log")
    return count


async def test_an_entry_is_stored_with_all_its_facts(database: Database) -> None:
    """Each attribute of an entry arrives in its column."""
    audit, execution = AuditLog(database), str(uuid4())
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    facts = {
        "tenant": ALPHA, "actor": "ann", "peer": "ipv4:127.0.0.1:5", "action": "tacticalrmm.agents.find",
        "action_version": 3, "execution_id": execution, "run_id": "r", "step_path": "a.b", "outcome": "FAILED",
        "reason": "AGENT_OFFLINE", "at": at,
    }  # fmt: skip
    await audit.add(_entry(**facts))
    await audit.close()
    async with database.tenant(ALPHA) as connection:
        row = dict(await connection.fetchrow("SELECT * FROM audit_log") or {})
    assert (row.pop("id"), row.pop("record")) == (1, "")
    assert {name: str(value) if name in {"tenant", "execution_id"} else value for name, value in row.items()} == {
        **facts, "caller": "key:abc", "operation": "patchbay.v1.Catalog/GetCatalog",
    }  # fmt: skip


async def test_odd_values_are_stored_not_lost(database: Database) -> None:
    """No tenant, an execution id that is none, zero bytes and lone text sizes do not cost an entry."""
    audit = AuditLog(database)
    await audit.add(_entry(execution_id="not-a-uuid", actor="a\0b", reason="x" * 100_000))
    await audit.close()
    async with database.system() as connection:
        row = await connection.fetchrow("SELECT tenant, execution_id, actor, length(reason) AS size FROM audit_log")
    assert row is not None
    assert (str(row["tenant"]), row["execution_id"], row["actor"], row["size"]) == (NO_TENANT, None, "a␀b", 100_000)


@pytest.mark.parametrize(
    ("told", "stored"),
    [("Grüße, 你好", "Grüße, 你好"), ("half \ud800", "half ?"), (r"\u0000 as text", r"\u0000 as text"), ('"\\', '"\\')],
)
async def test_texts_arrive_as_they_were(database: Database, told: str, stored: str) -> None:
    """Any text is kept as it is, but for what PostgreSQL cannot hold; entries beside it are untouched."""
    audit = AuditLog(database)
    await audit.add(_entry(actor=told))
    await audit.add(_entry(actor="plain"))
    await audit.close()
    async with database.system() as connection:
        rows = await connection.fetch("SELECT actor FROM audit_log ORDER BY id")
    assert [row["actor"] for row in rows] == [stored, "plain"]


async def test_many_entries_are_each_stored_once_and_in_order(database: Database) -> None:
    """A thousand concurrent calls leave a thousand rows, ids in the order of their times within a batch."""
    audit = AuditLog(database)
    await asyncio.gather(*(audit.add(_entry(tenant=ALPHA, run_id=str(number))) for number in range(1000)))
    await audit.flush()
    async with database.tenant(ALPHA) as connection:
        runs = [row["run_id"] for row in await connection.fetch("SELECT run_id FROM audit_log ORDER BY id")]
    assert runs == [str(number) for number in range(1000)]
    await audit.close()


async def test_a_batch_that_is_sent_again_adds_nothing(database: Database) -> None:
    """When the answer to a batch was lost, its repeat is harmless; another batch, or another process's, is another."""
    audit = AuditLog(database)
    batch = [(1, _entry(tenant=ALPHA)), (2, _entry(tenant=BETA))]
    await audit._insert(batch)
    await audit._insert(batch)
    assert await _count(database) == 2
    await audit._insert(batch[1:])
    await AuditLog(database)._insert(batch)
    assert await _count(database) == 5


async def test_nothing_is_lost_while_postgresql_restarts(own_postgres: EmbeddedPostgres) -> None:
    """Entries added before, during and after a restart are all there, once."""
    database = await Database.open(own_postgres.app_dsn, min_size=1, max_size=2)
    audit = AuditLog(database, max_items=10, max_wait=0.001)
    restart = asyncio.create_task(asyncio.to_thread(own_postgres.restart))
    number = 0
    while not restart.done() or number < 300:
        await audit.add(_entry(run_id=str(number)))
        number += 1
        await asyncio.sleep(0.001)
    await restart
    await audit.close()
    async with database.system() as connection:
        rows = await connection.fetch("SELECT run_id, count(*) AS times FROM audit_log GROUP BY run_id")
    await database.close()
    assert {row["run_id"]: row["times"] for row in rows} == {str(each): 1 for each in range(number)}


async def test_pruning_removes_the_old_and_keeps_the_rest(database: Database) -> None:
    """Rows before the limit go, for every tenant, more than one transaction's worth; later rows stay."""
    audit, now = AuditLog(database), datetime.now(UTC)
    async with database.system() as connection:
        await connection.execute(
            "INSERT INTO audit_log (tenant, caller, operation, outcome, at) "
            "SELECT $1, 'c', 'o', 'OK', $2 FROM generate_series(1, 12000)",
            ALPHA,
            now - timedelta(days=10),
        )
    await audit.add(_entry(tenant=BETA, at=now - timedelta(days=10)))
    await audit.add(_entry(tenant=BETA, at=now))
    await audit.flush()
    assert await audit.prune(now - timedelta(days=5)) == 12_001
    assert await audit.prune(now - timedelta(days=5)) == 0
    assert await _count(database) == 1
    await audit.close()


async def test_rows_can_neither_be_changed_nor_removed_by_a_tenant(database: Database) -> None:
    """Append only: UPDATE is refused in every scope, DELETE in a tenant's scope touches nothing."""
    audit = AuditLog(database)
    await audit.add(_entry(tenant=ALPHA))
    await audit.close()
    async with database.tenant(ALPHA) as connection:
        assert await connection.execute("DELETE FROM audit_log") == "DELETE 0"
    async with database.system() as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("UPDATE audit_log SET caller = 'nobody'")
    assert await _count(database) == 1
