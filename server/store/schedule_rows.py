"""Entries as rows and as the data of events."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import structlog

from server.sdk.schedule import Entry, Recurrence, zone_of

_log = structlog.get_logger(__name__)

OWN_COLUMNS: Final = """
    e.entry_id::text, e.title, e.status, e.scheduled_start, e.scheduled_end, e.work_item_type, e.work_item_id::text,
    e.notes, e.recurrence_pattern, e.original_entry_id::text, e.is_private, e.timezone, e.sequence
"""
ENTRY_COLUMNS: Final = f"""
    {OWN_COLUMNS}, ARRAY(SELECT a.user_id::text FROM schedule_entry_assignees a
        WHERE a.tenant = e.tenant AND a.entry_id = e.entry_id ORDER BY 1) AS assignees
"""


def entry_of(row: Mapping[str, Any]) -> Entry:
    """Returns an entry of a row with `ENTRY_COLUMNS`."""
    pattern = row["recurrence_pattern"]
    return Entry(
        id=row["entry_id"],
        title=row["title"],
        status=row["status"],
        assignees=tuple(row["assignees"]),
        start=row["scheduled_start"],
        end=row["scheduled_end"],
        work_item_type=row["work_item_type"],
        work_item_id=row["work_item_id"],
        notes=row["notes"],
        recurrence=_recurrence(row["entry_id"], pattern and json.loads(pattern)),
        original_id=row["original_entry_id"],
        is_private=row["is_private"],
        timezone=row["timezone"] and known_zone(row["timezone"]),
        sequence=row["sequence"],
    )


def entry_from_json(data: Mapping[str, Any], sequence: int) -> Entry:
    """Returns the entry that an event tells; see `Entry.to_json`."""
    return Entry(
        id=data["entry_id"],
        title=data["title"],
        status=data["status"],
        assignees=tuple(data["assigned_user_ids"]),
        start=_moment(data["scheduled_start"]),
        end=_moment(data["scheduled_end"]),
        work_item_type=data["work_item_type"],
        work_item_id=data["work_item_id"],
        notes=data["notes"],
        recurrence=_recurrence(data["entry_id"], data["recurrence_pattern"]),
        original_id=data["original_entry_id"],
        is_private=data["is_private"],
        timezone=data["timezone"],
        sequence=sequence,
    )


def pattern_of(entry: Entry) -> str | None:
    """Returns the stored form of when an entry repeats."""
    if entry.recurrence is None or entry.start is None:
        return None
    return json.dumps(entry.recurrence.to_pattern(entry.start))


def known_zone(name: str | None) -> str | None:
    """Returns the name of a zone; None for one that the IANA database does not know, as another writer may leave."""
    try:
        zone_of(name)
    except ValueError as error:
        _log.warning("time zone not known", told=str(error))
        return None
    return name


def _recurrence(entry_id: str, pattern: Any) -> Recurrence | None:
    """A pattern that nobody can read, of another writer, leaves the entry as one that takes place once."""
    if not pattern:
        return None
    try:
        return Recurrence.of_pattern(pattern)
    except ValueError as error:
        _log.warning("recurrence not understood", entry=entry_id, told=str(error))
        return None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
