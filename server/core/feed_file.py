"""A technician's entries as an iCalendar file (RFC 5545). Occurrences are left to the calendar program's own rules."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from icalendar import Calendar, Event

from server.core.feed_zones import timezone_of
from server.sdk.schedule import Entry, Recurrence, is_cancelled, is_ended, zone_of

_DAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_LONGEST: Final = timedelta(days=6 * 366)
_CONTROL: Final = dict.fromkeys((*range(10), *range(11, 32), *range(127, 160), 8232, 8233), " ")


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedEntry:
    """An entry, and when it was created and last changed."""

    entry: Entry
    created: datetime
    updated: datetime


def feed_file(title: str, entries: Iterable[FeedEntry], *, viewer: str, until: datetime) -> bytes:
    """Returns the file.

    Args:
        title: Name of the calendar.
        entries: What it holds. Those without times are left out.
        viewer: User who reads it; private entries of others are redacted.
        until: Up to when the changes of clocks are told.
    """
    calendar = Calendar()
    calendar.add("prodid", "-//Patchbay//Schedule//EN")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", _line(title))
    told = [(one, start) for one in entries if (start := _first(one.entry)) is not None]
    for zone, first in _zones(start for _, start in told):
        calendar.add_component(timezone_of(zone, _new_year(first.year), _new_year(until.year + 1)))
    for one, start in told:
        calendar.add_component(_event(one, start, viewer))
    file: bytes = calendar.to_ical()
    return file


def _new_year(year: int) -> datetime:
    return datetime(max(year, 1), 1, 1, tzinfo=UTC)


def _zones(starts: Iterable[datetime]) -> Sequence[tuple[ZoneInfo, datetime]]:
    """Returns the zones that have to be told, by name, each with the first moment for which it is needed."""
    found: dict[ZoneInfo, datetime] = {}
    for start in starts:
        if isinstance(start.tzinfo, ZoneInfo):
            found[start.tzinfo] = min(start, found.get(start.tzinfo, start))
    return sorted(found.items(), key=lambda item: item[0].key)


def _event(one: FeedEntry, start: datetime, viewer: str) -> Event:
    entry, event = one.entry.seen_by(viewer), Event()
    event.add("uid", f"{entry.id}@patchbay")
    event.add("sequence", entry.sequence)
    event.add("dtstamp", one.updated)
    event.add("created", one.created)
    event.add("last-modified", one.updated)
    event.add("dtstart", start)
    event.add("dtend", (start.astimezone(UTC) + entry.duration).astimezone(start.tzinfo))
    event.add("summary", _line(entry.title))
    if entry.notes:
        event.add("description", _text(entry.notes))
    event.add("status", "CANCELLED" if is_cancelled(entry.status) else "CONFIRMED")
    event.add("transp", "TRANSPARENT" if is_ended(entry.status) else "OPAQUE")
    if entry.is_private:
        event.add("class", "PRIVATE")
    if entry.recurrence is not None:
        _repeat(event, entry.recurrence, start)
    return event


def _first(entry: Entry) -> datetime | None:
    """Returns the begin: in UTC, of a series in its zone.

    A series begins with what its rule gives first, for by the RFC the begin is an occurrence in any case. Exceptions
    still count: they are told one by one.
    """
    if entry.start is None or entry.recurrence is None:
        return entry.start
    zone, rule = zone_of(entry.timezone), replace(entry.recurrence, exceptions=frozenset())
    begin = next(rule.starts(entry.start, zone, entry.start - timedelta(seconds=1), entry.start + _LONGEST), None)
    if begin is None:
        return None
    # The time of day is the entry's own, also when the clock leaves it out on this one day.
    wall = datetime.combine(begin.astimezone(zone), entry.start.astimezone(zone).time())
    return wall.replace(tzinfo=UTC if zone.key == "UTC" else zone)  # UTC needs no zone of its own in a file


def _repeat(event: Event, recurrence: Recurrence, start: datetime) -> None:
    rule: dict[str, Any] = {"FREQ": recurrence.frequency.upper(), "INTERVAL": recurrence.interval}
    if recurrence.until is not None:
        rule["UNTIL"] = recurrence.until.astimezone(UTC)
    if recurrence.count is not None:
        rule["COUNT"] = recurrence.count
    if recurrence.weekdays:
        rule["BYDAY"] = [_DAYS[day] for day in recurrence.weekdays]
    if recurrence.day_of_month is not None:
        rule["BYMONTHDAY"] = recurrence.day_of_month
    if recurrence.month_of_year is not None:
        rule["BYMONTH"] = recurrence.month_of_year
    event.add("rrule", rule)
    if recurrence.exceptions:
        event.add("exdate", [_on(day, start) for day in sorted(recurrence.exceptions)])


def _on(day: date, start: datetime) -> datetime:
    return datetime.combine(day, start.timetz())


def _line(text: str) -> str:
    return _text(text).replace("\n", " ")


def _text(text: str) -> str:
    """Returns a text that cannot be taken for lines of the file."""
    return text.replace("\r\n", "\n").translate(_CONTROL)
