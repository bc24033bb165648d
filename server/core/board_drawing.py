"""Drawing the board: who does what on which day. Pure functions of users, entries and days."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from heapq import heappop, heappush
from typing import Final
from zoneinfo import ZoneInfo

from server.sdk.schedule import Entry, Span, User, is_ended, spans_of
from server.sdk.schedule.slots import merged

MOST_CONFLICTS: Final = 50
"""Overlaps named per bar; which, where there are more, is left open."""


@dataclass(frozen=True, slots=True)
class Day:
    """A day in a zone. It has 23 or 25 hours where the clock changes, none where a country left it out."""

    day: date
    span: Span


@dataclass(frozen=True, slots=True)
class Bar:
    """An entry or occurrence as the viewer may see it. `conflicts`: names of bars of the same row."""

    name: str
    span: Span
    entry: Entry
    has_ended: bool
    conflicts: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Cell:
    """What a user does on a day. `booked`: overlaps counted once, what has ended not at all."""

    day: Day
    bars: Sequence[Bar]
    booked: timedelta


@dataclass(frozen=True, slots=True)
class Row:
    """A user and their days."""

    user: User
    cells: Sequence[Cell]


def days_from(first: date, count: int, zone: ZoneInfo) -> list[Day]:
    """Returns days in a row. `first` lies far enough from the ends of the calendar."""
    days = [first + timedelta(days=index) for index in range(count + 1)]
    starts = [datetime.combine(day, time.min, zone).astimezone(UTC) for day in days]
    return [Day(day, Span(start, end)) for day, start, end in zip(days[:-1], starts[:-1], starts[1:], strict=True)]


def draw(
    users: Iterable[User], entries: Iterable[Entry], days: Sequence[Day], *, viewer: str | None, with_ended: bool
) -> list[Row]:
    """Returns a row for each user.

    Args:
        users: Whose rows.
        entries: What may take place on the days.
        days: In their order, at least one.
        viewer: User who sees the details of private entries of their own. None: nobody sees any.
        with_ended: Whether what was cancelled or completed is shown. It never conflicts.
    """
    bars = _bars(entries, Span(days[0].span.start, days[-1].span.end), viewer, with_ended=with_ended)
    return [_row(user, sorted(bars.get(user.id, ()), key=_order), days) for user in users]


def _bars(
    entries: Iterable[Entry], window: Span, viewer: str | None, *, with_ended: bool
) -> Mapping[str, Sequence[Bar]]:
    """Bars belong to one row each: their conflicts are those of its user."""
    found: dict[str, list[Bar]] = {}
    for entry in entries:
        has_ended = is_ended(entry.status)
        if has_ended and not with_ended:
            continue
        seen = entry.seen_by(viewer)
        for key, span in spans_of(entry, window.start, window.end):
            for user in entry.assignees:
                found.setdefault(user, []).append(Bar(str(key), span, seen, has_ended))
    return found


def _order(bar: Bar) -> tuple[datetime, str]:
    return bar.span.start, bar.name


def _row(user: User, bars: Sequence[Bar], days: Sequence[Day]) -> Row:
    _mark_conflicts(bars)
    return Row(user, [_cell(day, found) for day, found in zip(days, _by_day(bars, days), strict=True)])


def _by_day(bars: Sequence[Bar], days: Sequence[Day]) -> Iterator[Sequence[Bar]]:
    going_on: list[Bar] = []
    coming = iter(bars)
    following = next(coming, None)
    for day in days:
        going_on = [bar for bar in going_on if bar.span.end > day.span.start]
        while following is not None and following.span.start < day.span.end:
            going_on.append(following)
            following = next(coming, None)
        yield going_on


def _cell(day: Day, bars: Sequence[Bar]) -> Cell:
    parts = [
        Span(max(bar.span.start, day.span.start), min(bar.span.end, day.span.end)) for bar in bars if not bar.has_ended
    ]
    booked = sum((span.end - span.start for span in merged(parts)), timedelta(0))
    return Cell(day, list(bars), booked)


def _mark_conflicts(bars: Sequence[Bar]) -> None:
    """Names overlaps on both sides. `bars` are by begin: those that go on when one begins all overlap it."""
    going_on: list[tuple[datetime, int]] = []
    for index, bar in enumerate(bars):
        if bar.has_ended:
            continue
        while going_on and going_on[0][0] <= bar.span.start:
            heappop(going_on)
        for _, other in going_on[:MOST_CONFLICTS]:
            bar.conflicts.append(bars[other].name)
            if len(bars[other].conflicts) < MOST_CONFLICTS:
                bars[other].conflicts.append(bar.name)
        heappush(going_on, (bar.span.end, index))
