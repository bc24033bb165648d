"""When events take place.

Facts: Microsoft's pages on `recurrencePattern` and `recurrenceRange`; a day of the month which a month does not have is
its last one (EWS, AbsoluteMonthlyRecurrence). A time that the change of the clock leaves out is taken an hour later:
not verified. The relative patterns are not simulated.
"""

from calendar import monthrange
from collections.abc import Collection, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_HORIZON = timedelta(days=6 * 366)


def zone_of(name: str) -> ZoneInfo:
    """The zone of a name that was accepted."""
    return ZoneInfo("UTC" if name == "UTC" else name)


def occurrences(content: dict[str, Any], cut: Collection[str] = ()) -> Iterator[datetime]:
    """Begins of an event in UTC: one, or those of a series whose days were not cut out."""
    start = content["start"]
    wall, zone = datetime.fromisoformat(start["dateTime"]), zone_of(start["timeZone"])
    recurrence = content.get("recurrence")
    days = [wall.date()] if recurrence is None else days_of(recurrence)
    for day in days:
        if day.isoformat() not in cut:
            yield datetime.combine(day, wall.time(), zone).astimezone(UTC)


def days_of(recurrence: dict[str, Any]) -> Iterator[date]:
    """Days of a series in its zone, exceptions included; of an endless one those of six years."""
    pattern, told = recurrence["pattern"], recurrence["range"]
    first = date.fromisoformat(told["startDate"])
    last = date.fromisoformat(told["endDate"]) if told["type"] == "endDate" else first + _HORIZON
    most = told["numberOfOccurrences"] if told["type"] == "numbered" else None
    for number, day in enumerate(_by_pattern(pattern, first, last)):
        if day > last or number == most:
            return
        yield day


def _by_pattern(pattern: dict[str, Any], first: date, last: date) -> Iterator[date]:
    kind, interval = pattern["type"], pattern["interval"]
    if kind == "daily":
        yield from (first + timedelta(days=n * interval) for n in range((last - first).days // interval + 1))
    elif kind == "weekly":
        yield from _weekly(pattern, first, last)
    elif kind == "absoluteMonthly":
        yield from _monthly(pattern["dayOfMonth"], interval, first, last)
    else:
        begin = first.replace(day=1, month=pattern["month"])
        yield from (day for day in _monthly(pattern["dayOfMonth"], interval * 12, begin, last) if day >= first)


def _weekly(pattern: dict[str, Any], first: date, last: date) -> Iterator[date]:
    shift = (first.weekday() - _DAYS.index(pattern["firstDayOfWeek"])) % 7
    week, wanted = first - timedelta(days=shift), {_DAYS.index(one) for one in pattern["daysOfWeek"]}
    while week <= last:
        days = (week + timedelta(days=n) for n in range(7))
        yield from (day for day in days if day.weekday() in wanted and day >= first)
        week += timedelta(weeks=pattern["interval"])


def _monthly(day: int, interval: int, first: date, last: date) -> Iterator[date]:
    for step in count(0, interval):
        year, month = divmod(first.year * 12 + first.month - 1 + step, 12)
        found = date(year, month + 1, min(day, monthrange(year, month + 1)[1]))
        if found > last:
            return
        if found >= first:
            yield found
