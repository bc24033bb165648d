"""Leases, abandoned executions, probes, reads in batches, lists, retention."""

import json
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any

from server.core.records import Outcome, ReadRecord, Record, failure_to_json
from server.store import invocation_rows as rows
from server.store.database import Database
from server.store.invocations import TAKE_OVER, outcome_arguments

_RENEW = """
    INSERT INTO server_leases (owner, expires_at) VALUES ($1, clock_timestamp() + $2 * interval '1 second')
    ON CONFLICT (owner) DO UPDATE SET expires_at = EXCLUDED.expires_at
"""
_BURY = """
    DELETE FROM server_leases l WHERE l.expires_at < clock_timestamp() - interval '1 hour' AND NOT EXISTS (
        SELECT FROM workflow_action_invocations i
        WHERE i.status = 'RUNNING' AND i.completed_at IS NULL AND i.lease_owner = l.owner)
"""
_INSERT_READS = """
    INSERT INTO workflow_action_invocations (
        tenant, invocation_id, action_id, action_version, effect_class, status, connection_id, input_json,
        failure, run_id, step_path, engine_attempt, caller, actor, budget_wait, created_at, started_at, completed_at)
    SELECT * FROM unnest(
        $1::uuid[], $2::uuid[], $3::text[], $4::int[], $5::smallint[], $6::text[], $7::uuid[], $8::json[],
        $9::json[], $10::text[], $11::text[], $12::int[], $13::text[], $14::text[], $15::float8[],
        $16::timestamptz[], $16::timestamptz[], $17::timestamptz[])
    ON CONFLICT DO NOTHING
"""
_DROP_PAYLOADS = """
    WITH old AS (
        SELECT tenant, invocation_id FROM workflow_action_invocations
        WHERE created_at < $1 AND completed_at < $1 AND NOT payload_dropped AND status IN ('SUCCEEDED', 'FAILED')
        LIMIT $2
        FOR UPDATE SKIP LOCKED)
    UPDATE workflow_action_invocations i SET payload_dropped = true, claimable = false, input_json = NULL,
        output_json = NULL, warnings = NULL, evidence = NULL, late_evidence = NULL
    FROM old WHERE i.tenant = old.tenant AND i.invocation_id = old.invocation_id
"""
_DELETE_TOMBSTONES = """
    WITH old AS (
        SELECT tenant, invocation_id FROM workflow_action_invocations
        WHERE payload_dropped AND created_at < $1 AND completed_at < $1 AND effect_class = ANY($2::smallint[]) LIMIT $3
        FOR UPDATE SKIP LOCKED)
    DELETE FROM workflow_action_invocations i USING old
    WHERE i.tenant = old.tenant AND i.invocation_id = old.invocation_id
"""
_READ_CLASS = 1


class Upkeep:
    """What replicas do beside executing. Works for all tenants."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def renew_lease(self, owner: str, seconds: float) -> None:
        """Renews the one lease that covers everything a process runs."""
        async with self._database.system() as connection:
            await connection.execute(_RENEW, owner, seconds)

    async def drop_lease(self, owner: str) -> None:
        """Ends a process's lease; others take over what it left."""
        async with self._database.system() as connection:
            await connection.execute("DELETE FROM server_leases WHERE owner = $1", owner)

    async def bury_leases(self) -> None:
        """Removes leases that ended long ago and cover nothing."""
        async with self._database.system() as connection:
            await connection.execute(_BURY)

    async def take_over(
        self, owner: str, running: Collection[str], judge: Callable[[Record], Outcome], limit: int = 100
    ) -> Sequence[Record]:
        """Records what became of executions whose owner is gone; returns them as they were.

        An execution that `owner` itself holds without running it (its claim's answer was lost) counts as abandoned.
        """
        async with self._database.system() as connection, connection.transaction():
            found = await connection.fetch(rows.ABANDONED, owner, list(running), limit)
            records = [record for row in found if (record := rows.record(row)) is not None]
            ended = [
                (record.tenant, record.id, record.owner, record.fence, *outcome_arguments(judge(record)))
                for record in records
            ]
            await connection.executemany(TAKE_OVER, ended)
        return records

    async def to_probe(self, tries: int, limit: int = 20) -> Sequence[Record]:
        """Takes unknown executions whose next probe is due; each is due again later, `tries` times in all."""
        async with self._database.system() as connection:
            found = await connection.fetch(rows.TO_PROBE, limit, tries)
        return [record for row in found if (record := rows.record(row)) is not None]

    async def insert_reads(self, reads: Sequence[ReadRecord]) -> None:
        """Records READ executions that are over, in one statement."""
        columns = zip(*(_read_row(read) for read in reads), strict=True)
        async with self._database.system() as connection:
            await connection.execute(_INSERT_READS, *(list(column) for column in columns))

    async def list(
        self,
        tenant: str,
        *,
        action: str | None,
        state: str | None,
        run_id: str | None,
        before: tuple[datetime, str] | None,
        limit: int,
    ) -> Sequence[Record]:
        """Lists executions of a tenant, newest first, without payloads."""
        at, id = before or (None, None)
        async with self._database.tenant(tenant) as connection:
            found = await connection.fetch(rows.LIST, tenant, action, state, run_id, at, id, limit)
        return [record for row in found if (record := rows.record(row)) is not None]

    async def drop_payloads(self, before: datetime, limit: int) -> int:
        """Reduces executions that ended before a time to tombstones; returns how many."""
        return await self._change(_DROP_PAYLOADS, before, limit)

    async def delete_tombstones(self, before: datetime, effect_classes: Collection[int], limit: int) -> int:
        """Deletes tombstones of executions that ended before a time; returns how many."""
        return await self._change(_DELETE_TOMBSTONES, before, list(effect_classes), limit)

    async def _change(self, sql: str, *arguments: Any) -> int:
        async with self._database.system() as connection:
            tag = await connection.execute(sql, *arguments)
        return int(tag.rsplit(" ", 1)[1])


def _read_row(read: ReadRecord) -> tuple[Any, ...]:
    failure = json.dumps(failure_to_json(read.failure), ensure_ascii=False) if read.failure else None
    return (
        read.tenant,
        read.id,
        read.action,
        read.version,
        _READ_CLASS,
        str(read.state),
        read.connection_id,
        json.dumps(read.input, ensure_ascii=False),
        failure,
        read.run_id,
        read.step_path,
        read.engine_attempt,
        read.caller,
        read.actor,
        read.budget_wait,
        read.started_at,
        read.completed_at,
    )
