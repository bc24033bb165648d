"""Recurring entries as Graph tells them: a pattern and a range.

Facts: Microsoft's pages on `recurrencePattern` and `recurrenceRange`; that a day of the month which a month does not
have means its last day stands on the page of EWS' AbsoluteMonthlyRecurrence.

Graph knows six patterns and cannot say everything that the board can. What it cannot say becomes a pattern that takes
place too often; the instances that are none of the entry's are then deleted, as are the entry's exceptions.
"""

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any, Final

from server.modules.microsoft365calendar.zones import told_zone
from server.sdk.schedule import Entry, Recurrence, zone_of

_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WHOLE_WEEK: Final = tuple(range(7))
_EVERY_MONTH_HAS: Final = 28
_ENDLESS: Final = timedelta(days=5 * 366)
_SAMPLES: Final = 1_000
_INSTANT: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A recurring entry.

    Attributes:
        start: Begin of the first occurrence that takes place.
        until: Begin of the last one; of an endless entry, of the last one that is looked at.
        zone: Name of its zone, as Graph knows it.
        days: Days in that zone on which it takes place, within that time; the last one is `last`.
        recurrence: What Graph is told.
        is_exact: Whether the pattern takes place on those days only.
    """

    start: datetime
    until: datetime
    zone: str
    days: frozenset[date]
    last: date
    recurrence: Mapping[str, Any]
    is_exact: bool


def series_of(entry: Entry, recurrence: Recurrence) -> Series | None:
    """Returns an entry that repeats as Graph is told of it; None when it never takes place."""
    assert entry.start is not None  # noqa: S101 - what repeats has times
    zone = zone_of(entry.timezone)
    if recurrence.is_endless:
        span = (entry.start - _INSTANT, entry.start + _ENDLESS)
        starts = tuple(islice(recurrence.starts(entry.start, zone, *span), _SAMPLES * 2))
    else:
        starts = recurrence.all_starts(entry.start, zone)
    if not starts:
        return None
    pattern, exact = _pattern(recurrence, entry.start.astimezone(zone).date())
    name = told_zone(entry.timezone, starts[:_SAMPLES])
    first, last = (one.astimezone(zone).date() for one in (starts[0], starts[-1]))
    ends = {"type": "noEnd"} if recurrence.is_endless and exact else {"type": "endDate", "endDate": last.isoformat()}
    return Series(
        start=starts[0],
        until=starts[-1],
        zone=name,
        days=frozenset(one.astimezone(zone).date() for one in starts),
        last=last,
        recurrence={
            "pattern": pattern,
            "range": {**ends, "startDate": first.isoformat(), "recurrenceTimeZone": name},
        },
        is_exact=exact and not recurrence.exceptions,
    )


def _pattern(rule: Recurrence, first: date) -> tuple[dict[str, Any], bool]:
    """Returns a pattern that takes place at least on the rule's days, and whether only on those."""
    days, day, month = rule.weekdays, rule.day_of_month, rule.month_of_year
    if rule.frequency == "weekly":
        own = (first.weekday(),) if day is None else _WHOLE_WEEK
        return _weekly(rule.interval, days or own), day is None and month is None
    if rule.frequency == "daily":
        if days and rule.interval == 1:
            return _weekly(1, days), day is None and month is None
        return {"type": "daily", "interval": rule.interval}, not days and day is None and month is None
    if days and day is None:
        return _weekly(1, days), rule.interval == 1 and month is None
    if rule.frequency == "monthly":
        return _monthly(rule.interval, day or first.day), _is_in_each_month(day or first.day) and not days and not month
    return _yearly(rule, first)


def _yearly(rule: Recurrence, first: date) -> tuple[dict[str, Any], bool]:
    """A rule that names a day and no month means that day of each month, as RFC 5545 has it."""
    day, month = rule.day_of_month or first.day, rule.month_of_year or first.month
    if rule.day_of_month and not rule.month_of_year:
        return _monthly(1, day), _is_in_each_month(day) and rule.interval == 1 and not rule.weekdays
    pattern = {"type": "absoluteYearly", "interval": rule.interval, "dayOfMonth": day, "month": month}
    return pattern, day <= monthrange(2027, month)[1] and not rule.weekdays


def _weekly(interval: int, days: tuple[int, ...]) -> dict[str, Any]:
    named = [_DAYS[day] for day in days]
    return {"type": "weekly", "interval": interval, "daysOfWeek": named, "firstDayOfWeek": "monday"}


def _monthly(interval: int, day: int) -> dict[str, Any]:
    return {"type": "absoluteMonthly", "interval": interval, "dayOfMonth": day}


def _is_in_each_month(day: int) -> bool:
    return day <= _EVERY_MONTH_HAS
