"""When an entry repeats. Occurrences keep their time of day in the entry's zone, also when the clock changes there.

The stored form is the PSA's `recurrence_pattern` (docs/decisions/0016-scheduling.md): its days of the week begin with 0
for Monday, and its exceptions are dates.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import islice, pairwise
from typing import Any, Final, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dateutil.rrule import DAILY, MONTHLY, WEEKLY, YEARLY, rrule

_FREQUENCIES: Final[dict[str, Literal[0, 1, 2, 3]]] = {
    "daily": DAILY,
    "weekly": WEEKLY,
    "monthly": MONTHLY,
    "yearly": YEARLY,
}
_WORKDAYS: Final = frozenset(range(5))
_MOST: Final = 1_000
_LONGEST: Final = timedelta(days=5 * 366)
_FARTHEST: Final = timedelta(days=60 * 366)
"""How far series of other writers are followed that end after a number of occurrences, or far away."""
_DAY: Final = timedelta(days=1)


class RecurrenceInvalid(ValueError):
    """A recurrence that the board does not take; the text says why."""


def zone_of(name: str | None) -> ZoneInfo:
    """Returns a zone of the IANA database; UTC for None.

    Raises:
        ValueError: There is no such zone.
    """
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, OSError, ValueError) as error:
        raise ValueError(f"`{name}` is not a time zone of the IANA database") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrence:
    """A rule of repetition.

    Attributes:
        frequency: `daily`, `weekly`, `monthly` or `yearly`.
        interval: Every how many of them, from 1.
        days_of_week: 0 for Monday to 6 for Sunday. Empty: as the start has it.
        day_of_month, month_of_year: None: as the start has it.
        until: The last moment at which an occurrence may begin. None: `count` says, or it has no end.
        count: Occurrences in all, exceptions included.
        workdays_only: Leaves out Saturdays and Sundays.
        exceptions: Days, in the entry's zone, on which it does not take place.
    """

    frequency: str
    interval: int = 1
    days_of_week: tuple[int, ...] = ()
    day_of_month: int | None = None
    month_of_year: int | None = None
    until: datetime | None = None
    count: int | None = None
    workdays_only: bool = False
    exceptions: frozenset[date] = frozenset()

    @property
    def is_endless(self) -> bool:
        """True when neither `until` nor `count` ends it; only other writers of the board make such entries."""
        return self.until is None and self.count is None

    @property
    def weekdays(self) -> tuple[int, ...]:
        """The days of the week that count, empty for those of the start."""
        if not self.workdays_only:
            return self.days_of_week
        return tuple(sorted(_WORKDAYS.intersection(self.days_of_week or _WORKDAYS)))

    def without(self, days: Iterable[date]) -> Self:
        """Returns the rule with further exceptions."""
        return replace(self, exceptions=self.exceptions.union(days))

    def moved(self, days: int, by: timedelta) -> Self:
        """Returns the rule of a series that is moved: by whole days in its zone, and by a span of time."""
        return replace(
            self,
            days_of_week=tuple(sorted((day + days) % 7 for day in self.days_of_week)),
            day_of_month=None if days else self.day_of_month,
            month_of_year=None if days else self.month_of_year,
            until=self.until and self.until + by,
            exceptions=frozenset(day + timedelta(days=days) for day in self.exceptions),
        )

    def checked(self, start: datetime, duration: timedelta, zone: ZoneInfo) -> tuple[datetime, ...]:
        """Returns the begins of all occurrences of an entry that is to be stored.

        Raises:
            RecurrenceInvalid: There is none, or there are too many, or they overlap each other.
        """
        if self.is_endless:
            raise RecurrenceInvalid("the recurrence has no end")
        if self.workdays_only and not self.weekdays:
            raise RecurrenceInvalid("the recurrence names no workday")
        starts = tuple(_some(self, start, zone, _MOST + 1))
        if not starts:
            raise RecurrenceInvalid("the recurrence has no occurrence")
        if len(starts) > _MOST:
            raise RecurrenceInvalid(f"the recurrence has more than {_MOST:,} occurrences")
        if starts[-1] - start > _LONGEST:
            raise RecurrenceInvalid("the recurrence goes on for more than five years")
        if any(later - earlier < duration for earlier, later in pairwise(starts)):
            raise RecurrenceInvalid("the occurrences overlap each other")
        return starts

    def all_starts(self, first: datetime, zone: ZoneInfo) -> tuple[datetime, ...]:
        """Returns the begins of all occurrences, in UTC, of a rule that has an end. `first`: begin of the entry."""
        return _all(self, first, zone)

    def starts(self, first: datetime, zone: ZoneInfo, after: datetime, before: datetime) -> Iterator[datetime]:
        """Yields the begins, in UTC, after one moment and before another. `first`: begin of the entry."""
        if self.is_endless:
            yield from (one for one in _between(self, first, zone, after, before) if after < one < before)
            return
        yield from (one for one in self.all_starts(first, zone) if after < one < before)

    def to_pattern(self, first: datetime) -> dict[str, Any]:
        """Returns the stored form. `first`: begin of the entry."""
        pattern = {
            "frequency": self.frequency,
            "interval": self.interval,
            "startDate": first.isoformat(),
            "endDate": self.until and self.until.isoformat(),
            "count": self.count,
            "daysOfWeek": list(self.days_of_week) or None,
            "dayOfMonth": self.day_of_month,
            "monthOfYear": self.month_of_year,
            "workdaysOnly": self.workdays_only or None,
            "exceptions": [day.isoformat() for day in sorted(self.exceptions)] or None,
        }
        return {name: value for name, value in pattern.items() if value is not None}

    @classmethod
    def of_pattern(cls, pattern: Mapping[str, Any]) -> Self:
        """Reads the stored form.

        Raises:
            ValueError: It is not one.
        """
        try:
            return cls(
                frequency=_known(str(pattern["frequency"]).lower()),
                interval=max(1, int(pattern.get("interval") or 1)),
                days_of_week=tuple(sorted({int(day) % 7 for day in pattern.get("daysOfWeek") or ()})),
                day_of_month=_optional(pattern.get("dayOfMonth")),
                month_of_year=_optional(pattern.get("monthOfYear")),
                until=_moment(pattern.get("endDate")),
                count=_optional(pattern.get("count")),
                workdays_only=bool(pattern.get("workdaysOnly")),
                exceptions=frozenset(date.fromisoformat(str(one)[:10]) for one in pattern.get("exceptions") or ()),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"no recurrence pattern: {error}") from error


def _walls(recurrence: Recurrence, first: datetime, zone: ZoneInfo, last: datetime) -> Iterator[datetime]:
    """Yields wall-clock times up to a last one; the changes of the clock come in afterwards.

    `until` and `count` are looked at here: RFC 5545 forbids both, which other writers' rules may have. And without an
    end a rule that never occurs, as the 31st of February, would be looked for until the year 9999.
    """
    if recurrence.until is not None:
        last = min(last, recurrence.until.astimezone(zone).replace(tzinfo=None))
    walls = rrule(
        _FREQUENCIES[recurrence.frequency],
        dtstart=first.astimezone(zone).replace(tzinfo=None),
        interval=recurrence.interval,
        until=last,
        byweekday=recurrence.weekdays or None,
        bymonthday=recurrence.day_of_month,
        bymonth=recurrence.month_of_year,
    )
    return islice(walls, recurrence.count)


def _at(wall: datetime, zone: ZoneInfo) -> datetime:
    """Returns the moment of a wall-clock time; of one that the change of the clock leaves out, an hour later."""
    return wall.replace(tzinfo=zone).astimezone(UTC)


def _some(recurrence: Recurrence, first: datetime, zone: ZoneInfo, most: int) -> Iterator[datetime]:
    last = first.astimezone(zone).replace(tzinfo=None) + _FARTHEST
    for wall in islice(_walls(recurrence, first, zone, last), most):
        if wall.date() not in recurrence.exceptions:
            yield _at(wall, zone)


@lru_cache(maxsize=512)
def _all(recurrence: Recurrence, first: datetime, zone: ZoneInfo) -> tuple[datetime, ...]:
    return tuple(_some(recurrence, first, zone, _MOST * 10))


def _between(
    recurrence: Recurrence, first: datetime, zone: ZoneInfo, after: datetime, before: datetime
) -> Iterator[datetime]:
    since, last = (one.astimezone(zone).replace(tzinfo=None) for one in (after - _DAY, before + _DAY))
    for wall in _walls(recurrence, first, zone, last):
        if wall >= since and wall.date() not in recurrence.exceptions:
            yield _at(wall, zone)


def _known(frequency: str) -> str:
    if frequency not in _FREQUENCIES:
        raise ValueError(f"no frequency: {frequency}")
    return frequency


def _optional(value: Any) -> int | None:
    return int(value) if value else None


def _moment(value: Any) -> datetime | None:
    """A date without a time means the end of that day."""
    if not value:
        return None
    text = str(value)
    if len(text) == len("2027-03-01"):
        return datetime.combine(date.fromisoformat(text), time.max, UTC)
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
