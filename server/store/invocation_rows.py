"""Reading rows of `workflow_action_invocations`."""

import json
from typing import Any

import asyncpg

from server.core.records import Record, State

_COLUMNS = """
    i.tenant, i.invocation_id, i.idempotency_key, i.action_id, i.action_version, i.effect_class, i.status,
    i.attempt, i.fence, i.lease_owner, i.sent_at, i.first_sent_at, i.claimable, i.fingerprint,
    i.fingerprint_algorithm, i.connection_id, i.run_id, i.step_path, i.engine_attempt, i.caller, i.actor,
    i.failure, i.warnings, i.evidence, i.resolution, i.budget_wait, i.probes, i.payload_dropped,
    i.created_at, i.started_at, i.completed_at, clock_timestamp() AS now,
    coalesce((SELECT l.expires_at > clock_timestamp() FROM server_leases l WHERE l.owner = i.lease_owner), false)
        AS owner_alive
"""
_PAYLOADS = "i.input_json, i.output_json"
_FROM = "FROM workflow_action_invocations i"

GET = f"SELECT {_COLUMNS}, {_PAYLOADS} {_FROM} WHERE i.tenant = $1 AND i.invocation_id = $2"
FIND = f"SELECT {_COLUMNS}, {_PAYLOADS} {_FROM} WHERE i.tenant = $1 AND i.idempotency_key = $2"
FIND_LOCKED = f"{FIND} FOR UPDATE OF i"
LOCK_OURS = """
    SELECT true FROM workflow_action_invocations
    WHERE tenant = $1 AND invocation_id = $2 AND lease_owner = $3 AND fence = $4 AND status = 'RUNNING'
    FOR UPDATE
"""
KEEP_LATE = """
    UPDATE workflow_action_invocations SET late_evidence = $3 WHERE tenant = $1 AND invocation_id = $2
"""
CANCEL = """
    WITH asked AS (
        UPDATE workflow_action_invocations SET cancel_requested_at = now()
        WHERE tenant = $1 AND invocation_id = $2 AND status = 'RUNNING'
        RETURNING invocation_id)
    SELECT pg_notify('patchbay_cancel', invocation_id::text) FROM asked
"""
LIST = f"""
    SELECT {_COLUMNS}, NULL AS input_json, NULL AS output_json {_FROM}
    WHERE i.tenant = $1
        AND ($2::text IS NULL OR i.action_id = $2)
        AND ($3::text IS NULL OR i.status = $3)
        AND ($4::text IS NULL OR i.run_id = $4)
        AND ($5::timestamptz IS NULL OR (i.created_at, i.invocation_id) < ($5, $6::uuid))
    ORDER BY i.created_at DESC, i.invocation_id DESC
    LIMIT $7
"""
ABANDONED = f"""
    SELECT {_COLUMNS}, NULL AS input_json, NULL AS output_json {_FROM}
    WHERE i.status = 'RUNNING' AND i.completed_at IS NULL AND (
        i.lease_owner <> $1
            AND i.lease_owner NOT IN (SELECT owner FROM server_leases WHERE expires_at > clock_timestamp())
        OR (i.lease_owner = $1 AND i.invocation_id <> ALL($2::uuid[])
            AND i.started_at < clock_timestamp() - interval '30 seconds'))
    LIMIT $3
    FOR UPDATE OF i SKIP LOCKED
"""
TO_PROBE = f"""
    WITH due AS (
        SELECT tenant, invocation_id FROM workflow_action_invocations
        WHERE next_probe_at <= clock_timestamp() AND status = 'UNKNOWN'
        ORDER BY next_probe_at LIMIT $1 FOR UPDATE SKIP LOCKED),
    taken AS (
        UPDATE workflow_action_invocations i SET probes = i.probes + 1,
            next_probe_at = CASE WHEN i.probes + 1 < $2
                THEN clock_timestamp() + least(600, 5 * power(2, i.probes)) * interval '1 second' END
        FROM due WHERE i.tenant = due.tenant AND i.invocation_id = due.invocation_id
        RETURNING i.*)
    SELECT {_COLUMNS}, {_PAYLOADS} FROM taken i
"""


def record(row: asyncpg.Record | None) -> Record | None:
    """Returns the record in a row, None for no row."""
    if row is None:
        return None
    return Record(
        tenant=str(row["tenant"]),
        id=str(row["invocation_id"]),
        key=row["idempotency_key"],
        action=row["action_id"],
        version=row["action_version"],
        effect_class=row["effect_class"],
        state=State(row["status"]),
        attempt=row["attempt"],
        fence=row["fence"],
        owner=_text(row["lease_owner"]),
        owner_alive=row["owner_alive"],
        sent_at=row["sent_at"],
        first_sent_at=row["first_sent_at"],
        claimable=row["claimable"],
        fingerprint=row["fingerprint"],
        algorithm=row["fingerprint_algorithm"],
        connection_id=_text(row["connection_id"]),
        input=_load(row["input_json"]),
        output=_load(row["output_json"]),
        failure=_load(row["failure"]),
        warnings=tuple(_load(row["warnings"]) or ()),
        evidence=_load(row["evidence"]) or {},
        resolution=_load(row["resolution"]),
        budget_wait=row["budget_wait"],
        run_id=row["run_id"],
        step_path=row["step_path"],
        engine_attempt=row["engine_attempt"],
        caller=row["caller"],
        actor=row["actor"],
        probes=row["probes"],
        payload_dropped=row["payload_dropped"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        completed_at=row["completed_at"],
        now=row["now"],
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _load(value: str | None) -> Any:
    return None if value is None else json.loads(value)
