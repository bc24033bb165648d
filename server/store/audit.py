"""Who did what, for whom, from where: table `audit_log`, written in batches off the path of the call."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import count
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid4

from server.store.batch import Batcher
from server.store.database import Database
from server.store.text import storable, uuid_of

NO_TENANT: Final = str(UUID(int=0))
_PRUNED_AT_ONCE: Final = 5_000

_COLUMNS: Final = (
    ("at", "timestamptz"),
    ("caller", "text"),
    ("operation", "text"),
    ("outcome", "text"),
    ("reason", "text"),
    ("tenant", "uuid"),
    ("actor", "text"),
    ("peer", "text"),
    ("action", "text"),
    ("action_version", "int"),
    ("execution_id", "uuid"),
    ("run_id", "text"),
    ("step_path", "text"),
)
_NAMES: Final = tuple(name for name, _ in _COLUMNS)
_INSERT: Final = """
    WITH batch AS (INSERT INTO audit_batches (batch) VALUES ($1) ON CONFLICT DO NOTHING RETURNING 1)
    INSERT INTO audit_log ({names})
    SELECT * FROM json_to_recordset($2) AS entry ({columns}) WHERE EXISTS (SELECT FROM batch)
""".format(names=", ".join(_NAMES), columns=", ".join(f"{name} {kind}" for name, kind in _COLUMNS))
"""One text for all entries: making arrays of their columns would cost the server more than all else about them."""
_PRUNE: Final = """
    DELETE FROM audit_log WHERE (tenant, id) IN (
        SELECT tenant, id FROM audit_log WHERE at < $1 ORDER BY at LIMIT $2)
"""
_PRUNE_BATCHES: Final = "DELETE FROM audit_batches WHERE at < now() - interval '1 day'"


class AuditEntry(NamedTuple):
    """One call.

    Attributes:
        at: When it was over.
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
    """

    at: datetime
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


class AuditLog:
    """Takes entries at once and writes them within a fraction of a second, each exactly once."""

    def __init__(self, database: Database, *, max_items: int = 200, max_wait: float = 0.2) -> None:
        self._database = database
        self._series = uuid4()
        self._numbers = count()
        self._batcher = Batcher(self._insert, name="audit", max_items=max_items, max_wait=max_wait)

    async def add(self, entry: AuditEntry) -> None:
        """Queues an entry; waits only when PostgreSQL has been unable to take any for long."""
        await self._batcher.add((next(self._numbers), entry))

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

    async def _insert(self, numbered: Sequence[tuple[int, AuditEntry]]) -> None:
        # A batch that is sent again, or half of one, begins with the same entry.
        batch = UUID(int=self._series.int ^ numbered[0][0])
        async with self._database.system() as connection:
            await connection.execute(_INSERT, batch, _as_json(entry for _, entry in numbered))


def _as_json(entries: Iterable[AuditEntry]) -> str:
    rows = [_row(entry) for entry in entries]
    told = json.dumps(rows, ensure_ascii=False)
    if told.isascii() and "\\u0000" not in told:
        return told
    return json.dumps([{name: _storable(value) for name, value in row.items()} for row in rows], ensure_ascii=False)


def _row(entry: AuditEntry) -> dict[str, Any]:
    row: dict[str, Any] = dict(zip(_NAMES, entry, strict=True))
    row["at"] = entry.at.isoformat()
    row["tenant"] = entry.tenant or NO_TENANT
    execution = uuid_of(entry.execution_id)
    row["execution_id"] = None if execution is None else str(execution)
    return row


def _storable(value: Any) -> Any:
    return storable(value) if isinstance(value, str) else value
