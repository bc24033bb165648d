"""Time zones as calendar programs read them: VTIMEZONE of RFC 5545, section 3.6.5."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from icalendar import Timezone, TimezoneDaylight, TimezoneStandard

_STEP = timedelta(days=1)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class _Clock:
    """How a zone's clock goes for a while."""

    offset: timedelta
    is_daylight: bool
    name: str

    @classmethod
    def at(cls, zone: ZoneInfo, moment: datetime) -> "_Clock":
        local = moment.astimezone(zone)
        return cls(local.utcoffset() or timedelta(0), bool(local.dst()), local.tzname() or zone.key)


@lru_cache(maxsize=256)
def timezone_of(zone: ZoneInfo, first: datetime, last: datetime) -> Timezone:
    """Returns how a zone's clock goes between two moments, every change of it named.

    `icalendar` can make these too, but it says of a spring change that it comes an hour late: it gives the onset by
    the new clock, where the RFC wants the old one.
    """
    told = Timezone()
    told.add("tzid", zone.key)
    clock = _Clock.at(zone, first)
    told.add_component(_observance(first, clock, clock))
    for moment, then in _changes(zone, first, last):
        told.add_component(_observance(moment, clock, then))
        clock = then
    return told


def _changes(zone: ZoneInfo, first: datetime, last: datetime) -> Iterator[tuple[datetime, _Clock]]:
    """Yields when the clock changes, to the second. No zone changed it twice within a day."""
    clock = _Clock.at(zone, first)
    while first < last:
        after = first + _STEP
        then = _Clock.at(zone, after)
        if then != clock:
            yield _moment_of(zone, first, after, clock), then
            clock = then
        first = after


def _moment_of(zone: ZoneInfo, before: datetime, after: datetime, clock: _Clock) -> datetime:
    while after - before > _SECOND:
        middle = before + (after - before) // 2
        middle = middle.replace(microsecond=0)
        if _Clock.at(zone, middle) == clock:
            before = middle
        else:
            after = middle
    return after


def _observance(moment: datetime, before: _Clock, after: _Clock) -> TimezoneDaylight | TimezoneStandard:
    told = TimezoneDaylight() if after.is_daylight else TimezoneStandard()
    told.add("dtstart", (moment.astimezone(UTC) + before.offset).replace(tzinfo=None))
    told.add("tzoffsetfrom", before.offset)
    told.add("tzoffsetto", after.offset)
    told.add("tzname", after.name)
    return told
