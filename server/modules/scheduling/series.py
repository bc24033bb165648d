"""Which part of a series an action is about."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from server.sdk import ActionFailure, FailureCategory
from server.sdk.schedule import Change, Entry, EntryKey, Recurrence, ScheduleBook, is_ended, zone_of

_INSTANT: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Part:
    """What an action changes.

    Attributes:
        entry: The entry that it is about, as it was.
        shown: Begin of the occurrence that was meant. None: the entry has no time.
        rest: What stays of the series that it was taken out of. None: it was not taken out of any.
    """

    entry: Entry
    shown: datetime | None
    rest: Entry | None = None


async def part_of(book: ScheduleBook, text: str, scope: str, *, allow: str = "") -> Part:
    """Returns the part of an entry that an id and a scope name, locked.

    Args:
        book: The board.
        text: Id of an entry or of an occurrence.
        scope: `single`, `future` or `all`.
        allow: A status that has ended and is no mistake.

    Raises:
        ActionFailure: ENTRY_NOT_FOUND or ENTRY_ENDED.
    """
    key = key_of(text)
    entry = await book.entry(key.entry_id, lock=True) if key else None
    if key is None or entry is None:
        raise _not_found(text)
    if is_ended(entry.status) and entry.status != allow:
        raise ActionFailure("ENTRY_ENDED", f"The entry is {entry.status}.", field="entry_id")
    if entry.recurrence is None and key.start in (None, entry.start):
        return Part(entry, entry.start)
    return _of_series(entry, key, scope)


def key_of(text: str) -> EntryKey | None:
    """Reads the id of an entry or occurrence; None when no entry can have it."""
    try:
        return EntryKey.parse(text)
    except ValueError:
        return None


def occurrence(entry: Entry, start: datetime) -> Entry | None:
    """Returns an entry as it is at one of its occurrences; None when it has none that begins then."""
    if entry.recurrence is None or entry.start is None:
        return entry if entry.start == start else None
    around = entry.recurrence.starts(entry.start, zone_of(entry.timezone), start - _INSTANT, start + _INSTANT)
    return replace(entry, start=start, end=start + entry.duration) if start in around else None


async def split(book: ScheduleBook, part: Part) -> None:
    """Stores what stays of the series, before anything is done with the part that was taken out."""
    if part.rest is not None:
        await book.change(part.rest, "schedule_entry.updated")


async def store(book: ScheduleBook, part: Part, entry: Entry, change: Change) -> tuple[str, str]:
    """Stores the changed part; returns its id and the event that tells of it."""
    if part.rest is None:
        await book.change(entry, change)
        return entry.id, change
    change = "schedule_entry.created" if change == "schedule_entry.updated" else change
    await book.add(entry, change)
    return entry.id, change


def _of_series(entry: Entry, key: EntryKey, scope: str) -> Part:
    recurrence, first = entry.recurrence, entry.start
    if recurrence is None or first is None:
        raise _not_found(str(key))
    starts = _starts(entry, recurrence, first, key)
    start = key.start or (starts[0] if starts else None)
    if start is None or start not in starts:
        raise _not_found(str(key))
    if scope == "all" or (scope == "future" and start == starts[0]) or (scope == "single" and len(starts) == 1):
        return Part(entry, start)
    return _single(entry, recurrence, start) if scope == "single" else _future(entry, recurrence, start, first)


def _starts(entry: Entry, recurrence: Recurrence, first: datetime, key: EntryKey) -> Sequence[datetime]:
    """Returns the begins of all occurrences; of a series without end those up to the one that is meant."""
    zone = zone_of(entry.timezone)
    if not recurrence.is_endless:
        return recurrence.all_starts(first, zone)
    until = (key.start or first) + timedelta(days=2 * 366)
    return tuple(recurrence.starts(first, zone, first - _INSTANT, until))


def _single(entry: Entry, recurrence: Recurrence, start: datetime) -> Part:
    day = start.astimezone(zone_of(entry.timezone)).date()
    return Part(_taken_out(entry, start, None), start, replace(entry, recurrence=recurrence.without([day])))


def _future(entry: Entry, recurrence: Recurrence, start: datetime, first: datetime) -> Part:
    zone = zone_of(entry.timezone)
    day = start.astimezone(zone).date()
    gone = sum(1 for _ in replace(recurrence, exceptions=frozenset()).starts(first, zone, first - _INSTANT, start))
    later = replace(
        recurrence,
        count=recurrence.count - gone if recurrence.count else None,
        exceptions=frozenset(one for one in recurrence.exceptions if one >= day),
    )
    earlier = replace(
        recurrence,
        count=None,
        until=start - _INSTANT,
        exceptions=frozenset(one for one in recurrence.exceptions if one < day),
    )
    return Part(_taken_out(entry, start, later), start, replace(entry, recurrence=earlier))


def _taken_out(entry: Entry, start: datetime, recurrence: Recurrence | None) -> Entry:
    """Returns a new entry in place of a part of a series."""
    return replace(
        entry,
        id=str(uuid4()),
        start=start,
        end=start + entry.duration,
        recurrence=recurrence,
        original_id=entry.id,
        sequence=0,
    )


def rescheduled(entry: Entry, shown: datetime | None, start: datetime, end: datetime, timezone: str) -> Entry:
    """Returns an entry at a new time; of a series every occurrence is moved as the one that is shown is."""
    zone = zone_of(timezone or entry.timezone)
    if entry.recurrence is None or entry.start is None or shown is None:
        return replace(entry, start=start, end=end, timezone=timezone or entry.timezone)
    first, last = entry.start.astimezone(zone).replace(tzinfo=None), shown.astimezone(zone).replace(tzinfo=None)
    wall = start.astimezone(zone).replace(tzinfo=None) - (last - first)  # on the wall clock, so that series keep it
    begin = wall.replace(tzinfo=zone).astimezone(start.tzinfo)
    days = (start.astimezone(zone).date() - last.date()).days
    recurrence = entry.recurrence.moved(days, begin - entry.start)
    return replace(
        entry, start=begin, end=begin + (end - start), recurrence=recurrence, timezone=timezone or entry.timezone
    )


def _not_found(text: str) -> ActionFailure:
    return ActionFailure(
        "ENTRY_NOT_FOUND",
        f"There is no entry {text}.",
        category=FailureCategory.FAILURE_CATEGORY_NOT_FOUND,
        field="entry_id",
    )
