"""The board: tables `schedule_entries` and those around it.

What is changed, the event that tells of it, its deliveries and its audit row are written in the transaction that also
completes the execution (rule 16).
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from server.core.records import Origin
from server.sdk.context import LocalTransaction
from server.sdk.schedule import Change, Entry, EntryFilter, User, WorkItem, zone_of
from server.store.database import Database
from server.store.directory_rows import BY_NAME, CAN_BE_BOOKED, FOUND, IS_TECHNICIAN, ITEMS_LISTED, NAME, item_of
from server.store.schedule_rows import ENTRY_COLUMNS, OWN_COLUMNS, entry_of, known_zone, pattern_of
from server.store.text import storable, storable_json

USERS: Final = f"""
    SELECT u.user_id::text AS id, u.timezone, u.email, NOT u.is_inactive AS is_active,
        {IS_TECHNICIAN} AS is_technician, {NAME} AS name
    FROM users u
"""
_USERS_BY_ID: Final = f"{USERS} WHERE u.tenant = $1 AND u.user_id = ANY ($2::uuid[])"
_TECHNICIANS: Final = f"""
    {USERS} WHERE u.tenant = $1 AND ($2 = '' OR {FOUND}) AND {CAN_BE_BOOKED} ORDER BY {BY_NAME} LIMIT $3
"""
# In the order of their ids, so that two transactions never wait for each other in a circle.
_LOCKED_USERS: Final = f"{_USERS_BY_ID} ORDER BY u.user_id FOR NO KEY UPDATE OF u"
_HAS: Final = {
    "ticket": "SELECT 1 FROM tickets WHERE tenant = $1 AND ticket_id = $2",
    "project_task": "SELECT 1 FROM project_tasks WHERE tenant = $1 AND task_id = $2",
}
_ENTRY: Final = f"SELECT {ENTRY_COLUMNS} FROM schedule_entries e WHERE e.tenant = $1 AND e.entry_id = $2"
_TOUCHES: Final = """(
    (NOT e.is_recurring AND e.scheduled_start < $4 AND e.scheduled_end > $3)
    OR (e.is_recurring AND e.scheduled_start < $4 AND (e.recurs_until IS NULL OR e.recurs_until > $3))
)"""
BOOKED: Final = f"""
    FROM schedule_entries e
    WHERE e.tenant = $1 AND {_TOUCHES} AND EXISTS (
        SELECT FROM schedule_entry_assignees b
        WHERE b.tenant = e.tenant AND b.entry_id = e.entry_id AND b.user_id = ANY ($2::uuid[]))
"""
"""Of a tenant, users, begin and end of a span."""

_BOOKED: Final = f"SELECT {ENTRY_COLUMNS} {BOOKED}"
# For many users: what the whole tenant does, then those of it who are asked for. Assignees come with their entries,
# because to look them up entry by entry takes longer than everything else.
_BOOKED_BY_MANY: Final = f"""
    SELECT {OWN_COLUMNS}, array_agg(a.user_id::text ORDER BY a.user_id) AS assignees
    FROM schedule_entries e JOIN schedule_entry_assignees a USING (tenant, entry_id)
    WHERE e.tenant = $1 AND {_TOUCHES}
    GROUP BY e.tenant, e.entry_id HAVING bool_or(a.user_id = ANY ($2::uuid[]))
"""
_MANY: Final = 20
_SEARCH: Final = f"""
    SELECT {ENTRY_COLUMNS} FROM schedule_entries e
    WHERE e.tenant = $1
        AND (cardinality($2::uuid[]) = 0 OR EXISTS (
            SELECT FROM schedule_entry_assignees b
            WHERE b.tenant = e.tenant AND b.entry_id = e.entry_id AND b.user_id = ANY ($2)))
        AND ($3::timestamptz IS NULL AND $4::timestamptz IS NULL OR (
            ($4 IS NULL OR e.scheduled_start < $4)
            AND ($3 IS NULL OR CASE WHEN e.is_recurring THEN e.recurs_until IS NULL OR e.recurs_until > $3
                ELSE e.scheduled_end > $3 END)))
        AND ($5::text IS NULL OR e.work_item_type = $5)
        AND ($6::uuid IS NULL OR e.work_item_id = $6)
        AND (cardinality($7::text[]) = 0 OR lower(e.status) = ANY ($7))
        AND ($8 = '' OR (
            strpos(lower(concat_ws(E'\\n', e.title, e.notes)), lower($8)) > 0
            AND (NOT e.is_private OR EXISTS (
                SELECT FROM schedule_entry_assignees v
                WHERE v.tenant = e.tenant AND v.entry_id = e.entry_id AND v.user_id::text = $9))))
    ORDER BY e.scheduled_start NULLS LAST, e.entry_id LIMIT $10
"""
_INSERT: Final = """
    INSERT INTO schedule_entries (tenant, entry_id, title, status, scheduled_start, scheduled_end, work_item_type,
        work_item_id, notes, recurrence_pattern, original_entry_id, is_private, timezone, is_recurring, recurs_until,
        sequence)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 1)
    RETURNING entry_id, sequence
"""
_UPDATE: Final = """
    UPDATE schedule_entries SET title = $3, status = $4, scheduled_start = $5, scheduled_end = $6, work_item_type = $7,
        work_item_id = $8, notes = $9, recurrence_pattern = $10, original_entry_id = $11, is_private = $12,
        timezone = $13, is_recurring = $14, recurs_until = $15, sequence = sequence + 1, updated_at = now()
    WHERE tenant = $1 AND entry_id = $2
    RETURNING entry_id, sequence
"""
# One statement, because each is a round trip while the technicians are locked.
_WRITE: Final = """
    WITH entry AS ({entry}), gone AS (
        DELETE FROM schedule_entry_assignees WHERE tenant = $1 AND entry_id = $2 AND user_id <> ALL ($16::uuid[])
    ), came AS (
        INSERT INTO schedule_entry_assignees (tenant, entry_id, user_id)
        SELECT $1, entry_id, unnest($16::uuid[]) FROM entry ON CONFLICT DO NOTHING
    ), told AS (
        INSERT INTO outbox_events (tenant, type, subject, sequence, data)
        SELECT $1, $17, entry_id, sequence, $18 FROM entry RETURNING event_id, subject, sequence
    ), sent AS (
        INSERT INTO outbox_deliveries (tenant, event_id, integration_id, consumer, subject, sequence)
        SELECT $1, event_id, i.integration_id, i.provider, subject, sequence FROM told, rmm_integrations i
        WHERE i.tenant = $1 AND i.is_active AND i.provider = ANY ($19)
    ), audited AS (
        INSERT INTO audit_log (tenant, operation, outcome, record, caller, actor, peer, action, action_version,
            execution_id, run_id, step_path)
        SELECT $1, $20, 'OK', 'schedule_entries/' || entry_id, $21, $22, $23, $24, $25, $26, $27, $28 FROM entry
    )
    SELECT sequence FROM entry
"""
_ADD: Final = _WRITE.format(entry=_INSERT)
_CHANGE: Final = _WRITE.format(entry=_UPDATE)
_CONFLICTS: Final = """
    INSERT INTO schedule_conflicts (tenant, entry_id_1, entry_id_2)
    SELECT $1, least($2::uuid, other), greatest($2::uuid, other) FROM unnest($3::uuid[]) AS other
    ON CONFLICT DO NOTHING
"""


class Board:
    """The board of one tenant; see `server.sdk.schedule.ScheduleBook`.

    Args:
        consumers: Providers whose connections are told of events.
        transaction: That of the execution. None: only reading.
        origin: The execution that changes something. None: only reading.
    """

    def __init__(
        self,
        database: Database,
        tenant: str,
        *,
        consumers: Collection[str] = (),
        transaction: LocalTransaction | None = None,
        origin: Origin | None = None,
    ) -> None:
        self._database = database
        self._tenant = tenant
        self._consumers = list(consumers)
        self._transaction = transaction
        self._origin = origin

    async def users(self, ids: Collection[str], *, lock: bool = False) -> Mapping[str, User]:
        """Returns those users that exist."""
        rows = await self._fetch(_LOCKED_USERS if lock else _USERS_BY_ID, list(ids))
        return {row["id"]: user_of(row) for row in rows}

    async def technicians(self, query: str, limit: int) -> Sequence[User]:
        """Returns who can be booked, by name."""
        return [user_of(row) for row in await self._fetch(_TECHNICIANS, storable(query), limit)]

    async def work_items(self, query: str, limit: int, *, kind: str = "", closed: bool = False) -> Sequence[WorkItem]:
        """Returns tickets and project tasks by kind and title."""
        first = (None, None, None)
        rows = await self._fetch(ITEMS_LISTED, storable(query), *first, limit, kind, closed)
        return [item_of(row) for row in rows]

    async def has_work_item(self, kind: str, id: str) -> bool:
        """Says whether a ticket or project task exists."""
        return bool(await self._fetch(_HAS[kind], id))

    async def entry(self, id: str, *, lock: bool = False) -> Entry | None:
        """Returns an entry."""
        rows = await self._fetch(f"{_ENTRY} FOR NO KEY UPDATE OF e" if lock else _ENTRY, id)
        return entry_of(rows[0]) if rows else None

    async def booked(self, users: Collection[str], start: datetime, end: datetime) -> Sequence[Entry]:
        """Returns the entries that may keep users busy within a span."""
        sql = _BOOKED if len(users) < _MANY else _BOOKED_BY_MANY
        return [entry_of(row) for row in await self._fetch(sql, list(users), start, end)]

    async def search(self, wanted: EntryFilter) -> Sequence[Entry]:
        """Returns entries by begin."""
        rows = await self._fetch(
            _SEARCH,
            list(wanted.users),
            wanted.start,
            wanted.end,
            wanted.work_item_type,
            wanted.work_item_id,
            [status.lower() for status in wanted.statuses],
            storable(wanted.query),
            wanted.viewer,
            wanted.limit,
        )
        return [entry_of(row) for row in rows]

    async def add(self, entry: Entry, change: Change = "schedule_entry.created") -> Entry:
        """Stores a new entry."""
        return await self._write(_ADD, entry, change)

    async def change(self, entry: Entry, change: Change) -> Entry:
        """Stores what an entry is now."""
        return await self._write(_CHANGE, entry, change)

    async def note_conflicts(self, entry_id: str, others: Collection[str]) -> None:
        """Notes that an entry overlaps others on purpose."""
        await self._fetch(_CONFLICTS, entry_id, sorted(set(others) - {entry_id}))

    async def _write(self, sql: str, entry: Entry, change: Change) -> Entry:
        origin = self._origin
        assert origin is not None  # noqa: S101 - there is a transaction, so there is an execution
        entry = replace(entry, title=storable(entry.title), notes=entry.notes and storable(entry.notes))
        data = json.dumps(storable_json(entry.to_json()))
        told = (list(entry.assignees), change, data, self._consumers)
        rows = await self._fetch(sql, *_values(entry), *told, f"workflow_action:{origin.action}", *origin)
        return replace(entry, sequence=rows[0]["sequence"])

    async def _fetch(self, sql: str, *arguments: Any) -> Sequence[Mapping[str, Any]]:
        if self._transaction is not None:
            return await self._transaction.fetch(sql, self._tenant, *arguments)
        async with self._database.tenant(self._tenant) as connection:
            return [dict(row) for row in await connection.fetch(sql, self._tenant, *arguments)]


def user_of(row: Mapping[str, Any]) -> User:
    """Returns a user of a row of `USERS`."""
    return User(
        id=row["id"],
        name=row["name"],
        timezone=known_zone(row["timezone"]),
        is_active=row["is_active"],
        is_technician=row["is_technician"],
        email=row["email"],
    )


def _values(entry: Entry) -> Sequence[Any]:
    return (
        entry.id,
        entry.title,
        entry.status,
        entry.start,
        entry.end,
        entry.work_item_type,
        entry.work_item_id,
        entry.notes,
        pattern_of(entry),
        entry.original_id,
        entry.is_private,
        entry.timezone,
        entry.recurrence is not None,
        _end_of_series(entry),
    )


def _end_of_series(entry: Entry) -> datetime | None:
    """Returns when the last occurrence ends; None for entries that do not repeat, or without end."""
    recurrence = entry.recurrence
    if recurrence is None or recurrence.is_endless or entry.start is None:
        return None
    starts = recurrence.all_starts(entry.start, zone_of(entry.timezone))
    return (starts[-1] if starts else entry.start) + entry.duration
