"""Who did what, for whom, from where: table `audit_log`, written in batches off the path of the call."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid4

from server.store.batch import Batcher
from server.store.database import Database
from server.store.text import storable

NO_TENANT: Final = str(UUID(int=0))
_PRUNED_AT_ONCE: Final = 5_000

_COLUMNS: Final = (
    ("tenant", "uuid"),
    ("at", "timestamptz"),
    ("caller", "text"),
    ("actor", "text"),
    ("peer", "text"),
    ("operation", "text"),
    ("action", "text"),
    ("action_version", "int"),
    ("execution_id", "uuid"),
    ("run_id", "text"),
    ("step_path", "text"),
    ("outcome", "text"),
    ("reason", "text"),
)
_INSERT: Final = """
    WITH batch AS (INSERT INTO audit_batches (batch) VALUES ($1) ON CONFLICT DO NOTHING RETURNING 1)
    INSERT INTO audit_log ({names})
    SELECT * FROM unnest({arrays}) WHERE EXISTS (SELECT FROM batch)
""".format(
    names=", ".join(name for name, _ in _COLUMNS),
    arrays=", ".join(f"${number}::{kind}[]" for number, (_, kind) in enumerate(_COLUMNS, 2)),
)
_PRUNE: Final = """
    DELETE FROM audit_log WHERE (tenant, id) IN (
        SELECT tenant, id FROM audit_log WHERE at < $1 ORDER BY at LIMIT $2)
"""
_PRUNE_BATCHES: Final = "DELETE FROM audit_batches WHERE at < now() - interval '1 day'"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One call.

    Attributes:
        caller: As in `Caller.name`.
        operation: Full name of the rpc, such as `patchbay.v1.ActionExecutor/ExecuteAction`.
        outcome: `OK`, the state of the execution, `REFUSED` or `ERROR`.
        reason: Reason of the failure or refusal.
        tenant: Id; empty when the call names none.
        actor: For whom the caller says it acts.
        peer: Address of the caller.
        action: Id of the action.
        action_version: Its version.
        execution_id: Id of the execution; kept only when it is a UUID.
        run_id: Run of the engine.
        step_path: Step in the run.
        at: When the call was over.
    """

    caller: str
    operation: str
    outcome: str
    reason: str = ""
    tenant: str = ""
    actor: str = ""
    peer: str = ""
    action: str = ""
    action_version: int = 0
    execution_id: str = ""
    run_id: str = ""
    step_path: str = ""
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    entry: UUID = field(default_factory=uuid4, repr=False)
    """Names the batch that begins with this entry."""


class AuditLog:
    """Takes entries at once and writes them within a fraction of a second, each exactly once."""

    def __init__(self, database: Database, *, max_items: int = 200, max_wait: float = 0.2) -> None:
        self._database = database
        self._batcher = Batcher(self._insert, name="audit", max_items=max_items, max_wait=max_wait)

    async def add(self, entry: AuditEntry) -> None:
        """Queues an entry; waits only when PostgreSQL has been unable to take any for long."""
        await self._batcher.add(entry)

    async def flush(self) -> None:
        """Returns when every entry that was added is written."""
        await self._batcher.flush()

    async def close(self) -> None:
        """Writes what is left."""
        await self._batcher.close()

    async def prune(self, older_than: datetime) -> int:
        """Deletes what is older and returns how many rows that were; a few thousand rows per transaction."""
        pruned = 0
        while True:
            async with self._database.system() as connection:
                tag = await connection.execute(_PRUNE, older_than, _PRUNED_AT_ONCE)
            removed = int(tag.split()[-1])
            pruned += removed
            if removed < _PRUNED_AT_ONCE:
                break
        async with self._database.system() as connection:
            await connection.execute(_PRUNE_BATCHES)
        return pruned

    async def _insert(self, entries: Sequence[AuditEntry]) -> None:
        columns = [[_value(entry, name) for entry in entries] for name, _ in _COLUMNS]
        async with self._database.system() as connection:
            await connection.execute(_INSERT, entries[0].entry, *columns)


def _value(entry: AuditEntry, name: str) -> Any:
    value = getattr(entry, name)
    if name == "tenant":
        return value or NO_TENANT
    if name == "execution_id":
        return _uuid(value)
    return storable(value) if isinstance(value, str) else value


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
