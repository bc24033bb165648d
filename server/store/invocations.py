"""Claims and outcomes: table `workflow_action_invocations`.

Every change of a running execution is fenced: it happens only where owner and fence are the ones that the claim
was granted. Time is the database's.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from server.core.decisions import Decide, Decision
from server.core.outcomes import lost_owner
from server.core.records import Claimed, NewClaim, Outcome, Record, State, failure_to_json
from server.sdk.context import LocalTransaction
from server.store import invocation_rows as rows
from server.store.database import Connection, Database
from server.store.together import Together

_CLAIM = """
    INSERT INTO workflow_action_invocations (
        tenant, invocation_id, idempotency_key, action_id, action_version, effect_class, status, lease_owner,
        fingerprint, fingerprint_algorithm, connection_id, run_id, step_path, engine_attempt, caller, actor,
        input_json, sent_at, first_sent_at)
    VALUES ($1, $2, $3, $4, $5, $6, 'RUNNING', $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,
        CASE WHEN $17 THEN now() END, CASE WHEN $17 THEN now() END)
    ON CONFLICT (tenant, idempotency_key) DO NOTHING
    RETURNING idempotency_key, created_at, started_at
"""
_CLAIM_AGAIN = """
    UPDATE workflow_action_invocations SET
        status = 'RUNNING', attempt = attempt + 1, fence = fence + 1, lease_owner = $3, claimable = false,
        sent_at = CASE WHEN $4 THEN now() END,
        first_sent_at = CASE WHEN $4 THEN coalesce(first_sent_at, now()) ELSE first_sent_at END,
        connection_id = $5, caller = $6, actor = $7, run_id = $8, step_path = $9, engine_attempt = $10,
        failure = NULL, warnings = NULL, evidence = NULL, late_evidence = NULL, resolution = NULL, budget_wait = 0,
        cancel_requested_at = NULL, next_probe_at = NULL, probes = 0, started_at = now(), completed_at = NULL
    WHERE tenant = $1 AND invocation_id = $2
    RETURNING created_at, started_at, fence, attempt
"""
_OURS = "tenant = $1 AND invocation_id = $2 AND lease_owner = $3 AND fence = $4 AND status = 'RUNNING'"
_MARK = """
    UPDATE workflow_action_invocations
    SET sent_at = now(), first_sent_at = coalesce(first_sent_at, now()), evidence = $5
    WHERE {which}
    RETURNING invocation_id::text, sent_at
"""
_OUTCOME = """
    status = $5, output_json = $6, failure = $7, warnings = $8, claimable = $9,
    budget_wait = greatest(budget_wait, $10), evidence = coalesce($11, evidence), completed_at = clock_timestamp(),
    next_probe_at = CASE WHEN $5 = 'UNKNOWN' THEN clock_timestamp() + interval '1 second' END
"""
_COMPLETE = f"""
    UPDATE workflow_action_invocations SET {_OUTCOME} WHERE {{which}} RETURNING invocation_id::text, completed_at
"""
TAKE_OVER = f"UPDATE workflow_action_invocations SET {_OUTCOME}, lease_owner = NULL WHERE {_OURS}"
"""As COMPLETE, in place of an owner that is gone. Its own answer, should it come after all, then finds itself late."""
_SETTLE = f"""
    UPDATE workflow_action_invocations SET {_OUTCOME}, resolution = $12
    WHERE tenant = $1 AND invocation_id = $2 AND $3::uuid IS NULL AND fence = coalesce($4, fence)
        AND status = 'UNKNOWN'
"""


def _unlocked(condition: str) -> str:
    """Returns a condition for the row that fulfils one, unless somebody has locked it."""
    row = f"SELECT invocation_id FROM workflow_action_invocations WHERE {condition} FOR UPDATE SKIP LOCKED"
    return f"tenant = $1 AND invocation_id = ({row})"


_TO_MARK = f"{_OURS} AND cancel_requested_at IS NULL"
MARK_SENT, MARK_UNLOCKED = _MARK.format(which=_TO_MARK), _MARK.format(which=_unlocked(_TO_MARK))
COMPLETE, COMPLETE_UNLOCKED = _COMPLETE.format(which=_OURS), _COMPLETE.format(which=_unlocked(_OURS))

_dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
LocalWork = Callable[[LocalTransaction], Awaitable[Outcome]]


class Invocations:
    """The store of executions. Raises DatabaseUnavailable when PostgreSQL does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._claims = Together(database, _CLAIM)
        self._marks = Together(database, MARK_SENT, unlocked=MARK_UNLOCKED)
        self._completions = Together(database, COMPLETE, unlocked=COMPLETE_UNLOCKED)

    async def claim(self, claim: NewClaim, decide: Decide) -> tuple[Claimed | None, Record | None]:
        """Claims a key, or returns its record when `decide` says that it is to be answered or followed."""
        while True:
            row = await self._claims.run(claim.key, _claim_arguments(claim))
            if row is not None:
                return _claimed(claim, claim.id, 1, 1, row["created_at"], row["started_at"]), None
            async with self._database.tenant(claim.tenant) as connection:
                if (answer := await _claim_known(connection, claim, decide)) is not None:
                    return answer

    async def mark_sent(self, claimed: Claimed, evidence: Mapping[str, str]) -> datetime | None:
        """Records the send mark and returns its time; None when the claim is lost or was cancelled."""
        row = await self._marks.run(claimed.id, (*_fence(claimed), _dump(evidence)))
        return None if row is None else row["sent_at"]

    async def complete(self, claimed: Claimed, outcome: Outcome) -> datetime | None:
        """Records an outcome where owner and fence are ours and returns its time; None when they are not."""
        row = await self._completions.run(claimed.id, (*_fence(claimed), *outcome_arguments(outcome)))
        return None if row is None else row["completed_at"]

    async def transact(self, claimed: Claimed, work: LocalWork) -> Outcome | None:
        """Runs local work and records its outcome in one transaction; None when the claim is not ours any more."""
        async with self._database.tenant(claimed.tenant) as connection, connection.transaction():
            locked = await connection.fetchval(rows.LOCK_OURS, *_fence(claimed))
            if not locked:
                return None
            outcome = await work(_Transaction(connection))
            row = await connection.fetchrow(COMPLETE, *_fence(claimed), *outcome_arguments(outcome))
            assert row is not None  # noqa: S101 - the row is locked
            return replace(outcome, completed_at=row["completed_at"])

    async def keep_late(self, claimed: Claimed, outcome: Outcome) -> Record | None:
        """Keeps an answer that came after the claim was lost; returns the record as it stands."""
        evidence = _dump(
            {
                "fence": claimed.fence,
                "state": str(outcome.state),
                "output": outcome.output,
                "failure": failure_to_json(outcome.failure) if outcome.failure else None,
            }
        )
        async with self._database.tenant(claimed.tenant) as connection:
            await connection.execute(rows.KEEP_LATE, claimed.tenant, claimed.id, evidence)
            return rows.record(await connection.fetchrow(rows.GET, claimed.tenant, claimed.id))

    async def settle(
        self,
        tenant: str,
        id: str,
        outcome: Outcome,
        resolution: Mapping[str, object],
        fence: int | None = None,
    ) -> bool:
        """Settles an UNKNOWN; False when the execution is in another state. `fence` limits it to one attempt."""
        async with self._database.tenant(tenant) as connection:
            arguments = (tenant, id, None, fence, *outcome_arguments(outcome), _dump(resolution))
            return await connection.execute(_SETTLE, *arguments) == "UPDATE 1"

    async def get(self, tenant: str, id: str) -> Record | None:
        """Returns an execution by its id."""
        async with self._database.tenant(tenant) as connection:
            return rows.record(await connection.fetchrow(rows.GET, tenant, id))

    async def find(self, tenant: str, key: str) -> Record | None:
        """Returns an execution by its key."""
        async with self._database.tenant(tenant) as connection:
            return rows.record(await connection.fetchrow(rows.FIND, tenant, key))

    async def request_cancel(self, tenant: str, id: str) -> None:
        """Asks whoever runs an execution to stop; other replicas are told by NOTIFY."""
        async with self._database.tenant(tenant) as connection:
            await connection.execute(rows.CANCEL, tenant, id)


class _Transaction:
    """What local work sees of the connection: statements, no commit."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def execute(self, sql: str, *arguments: Any) -> str:
        """Runs one statement."""
        return await self._connection.execute(sql, *arguments)

    async def fetch(self, sql: str, *arguments: Any) -> Sequence[Mapping[str, Any]]:
        """Runs one query."""
        return [dict(row) for row in await self._connection.fetch(sql, *arguments)]


def _claim_arguments(claim: NewClaim) -> Sequence[Any]:
    return (
        claim.tenant,
        claim.id,
        claim.key,
        claim.action,
        claim.version,
        claim.effect_class,
        claim.owner,
        claim.fingerprint,
        claim.algorithm,
        claim.connection_id,
        claim.run_id,
        claim.step_path,
        claim.engine_attempt,
        claim.caller,
        claim.actor,
        _dump(claim.input),
        claim.sent,
    )


_Answer = tuple[Claimed | None, Record | None]


async def _claim_known(connection: Connection, claim: NewClaim, decide: Decide) -> _Answer | None:
    """Answers from the record, without a lock while nothing can be changed; None when retention has removed it."""
    known = rows.record(await connection.fetchrow(rows.FIND, claim.tenant, claim.key))
    if known is None:
        return None
    if _stands(known):
        return _answer(claim, known, decide(known, claim))
    async with connection.transaction():
        known = rows.record(await connection.fetchrow(rows.FIND_LOCKED, claim.tenant, claim.key))
        return None if known is None else await _change(connection, claim, known, decide(known, claim))


def _stands(record: Record) -> bool:
    """Says that no claim can change a record now: it is over for good, or its owner lives."""
    return record.owner_alive if record.state is State.RUNNING else not record.claimable


async def _change(connection: Connection, claim: NewClaim, known: Record, decision: Decision) -> _Answer:
    if decision is Decision.CLAIM_AGAIN:
        run = (claim.run_id, claim.step_path, claim.engine_attempt)
        arguments = (claim.owner, claim.sent, claim.connection_id, claim.caller, claim.actor, *run)
        found = await connection.fetch(_CLAIM_AGAIN, claim.tenant, known.id, *arguments)
        created_at, started_at, fence, attempt = found[0]
        return _claimed(claim, known.id, fence, attempt, created_at, started_at), None
    if decision is Decision.SETTLE_UNKNOWN:
        outcome = lost_owner(known.effect_class, sent=True, again=False)
        owner = (claim.tenant, known.id, known.owner, known.fence)
        await connection.execute(TAKE_OVER, *owner, *outcome_arguments(outcome))
        return None, rows.record(await connection.fetchrow(rows.GET, claim.tenant, known.id))
    return _answer(claim, known, decision)


def _answer(claim: NewClaim, known: Record, decision: Decision) -> _Answer:
    if decision is Decision.RESUME:
        return _claimed(claim, known.id, known.fence, known.attempt, known.created_at, known.started_at), None
    return None, known


def _claimed(claim: NewClaim, id: str, fence: int, attempt: int, created_at: datetime, started_at: datetime) -> Claimed:
    return Claimed(claim.tenant, id, claim.owner, fence, attempt, created_at, started_at)


def _fence(claimed: Claimed) -> tuple[str, str, str, int]:
    return claimed.tenant, claimed.id, claimed.owner, claimed.fence


def outcome_arguments(outcome: Outcome) -> Sequence[Any]:
    """Returns the parameters of an outcome: $5 and on of COMPLETE."""
    warnings = [{"reason": w.reason, "message": w.message, "vendor_answer": w.vendor_answer} for w in outcome.warnings]
    return (
        str(outcome.state),
        None if outcome.output is None else _dump(outcome.output),
        None if outcome.failure is None else _dump(failure_to_json(outcome.failure)),
        _dump(warnings) if warnings else None,
        outcome.claimable,
        outcome.budget_wait,
        _dump(outcome.evidence) if outcome.evidence else None,
    )
