"""Entries as rows and as the data of events."""

import json
from collections.abc import Mapping
from datetime import datetime
from types import UnionType
from typing import Any, Final

import structlog

from server.errors import PatchbayError
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


_TOLD: Final[Mapping[str, type | UnionType]] = {
    "entry_id": str,
    "title": str,
    "status": str,
    "assigned_user_ids": list,
    "scheduled_start": str | None,
    "scheduled_end": str | None,
    "work_item_type": str,
    "work_item_id": str | None,
    "notes": str | None,
    "recurrence_pattern": dict | None,
    "original_entry_id": str | None,
    "is_private": bool,
    "timezone": str | None,
}


class EntryUnreadable(PatchbayError):
    """The data of an event tells no entry. The message names the field and holds no value."""


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


def entry_from_json(data: Any, sequence: int) -> Entry:
    """Returns the entry that an event tells; see `Entry.to_json`.

    Raises:
        EntryUnreadable: The data is of another form.
    """
    if not isinstance(data, dict):
        raise EntryUnreadable("it is no object")
    for name, kind in _TOLD.items():
        if not isinstance(data.get(name), kind):
            raise EntryUnreadable(f"`{name}` is missing or of another type")
    if not all(isinstance(one, str) for one in data["assigned_user_ids"]):
        raise EntryUnreadable("`assigned_user_ids` holds something else than ids")
    return Entry(
        id=data["entry_id"],
        title=data["title"],
        status=data["status"],
        assignees=tuple(data["assigned_user_ids"]),
        start=_moment(data, "scheduled_start"),
        end=_moment(data, "scheduled_end"),
        work_item_type=data["work_item_type"],
        work_item_id=data.get("work_item_id"),
        notes=data.get("notes"),
        recurrence=_recurrence(data["entry_id"], data.get("recurrence_pattern")),
        original_id=data.get("original_entry_id"),
        is_private=data["is_private"],
        timezone=known_zone(data.get("timezone")),
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


def _moment(data: Mapping[str, Any], name: str) -> datetime | None:
    text = data.get(name)
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise EntryUnreadable(f"`{name}` is no time with an offset")
    return moment
