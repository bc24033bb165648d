"""The board as lines of text: hours across, technicians down. Conflicts are marked with `!`, not by colour alone."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from zoneinfo import ZoneInfo

from patchbay_client.gen.patchbay import v1
from rich.cells import cell_len, set_cell_size

from server.cli.output import plain

NARROW = 60
"""Columns below which a day is a list."""

_HOUR = dt.timedelta(hours=1)
_MOST_CONFLICTS = 20
_STYLES = {"free": "dim", "busy": "black on cyan", "ended": "dim", "conflict": "bold white on red"}

Line = Sequence[tuple[str, str]]
"""Texts with their styles."""


@dataclass(frozen=True, slots=True)
class _Scale:
    """A day on a number of columns."""

    day: v1.BoardDay
    columns: int

    def column(self, at: dt.datetime) -> float:
        start, end = _span(self.day)
        return min(max((at - start) / (end - start), 0.0), 1.0) * self.columns

    def columns_of(self, entry: v1.BoardEntry) -> range:
        start, end = _span(entry)
        first = min(int(self.column(start)), self.columns - 1)
        return range(first, max(first + 1, -int(-self.column(end) // 1)))


def chart(technicians: Sequence[v1.BoardTechnician], zone: ZoneInfo, width: int) -> Iterator[Line]:
    """Yields the lines of a board.

    Args:
        technicians: All rows of the board, each with the same days.
        zone: That of the board.
        width: Columns of the terminal.
    """
    for index, day in enumerate(technicians[0].days if technicians else ()):
        if index:
            yield ()
        yield ((_heading(day, zone), "bold"),)
        rows = [(plain(one.name), one.days[index]) for one in technicians]
        yield from _listed(rows, zone) if width < NARROW else _drawn(rows, zone, width)
        yield from _conflicts(rows, zone)


def _heading(day: v1.BoardDay, zone: ZoneInfo) -> str:
    start, end = _span(day)
    hours = (end - start) / _HOUR
    length = "" if hours == 24 else f", {hours:g} hours"
    return f"{dt.date.fromisoformat(day.day):%A} {day.day}, {zone.key}{length}"


def _drawn(rows: Sequence[tuple[str, v1.BoardDay]], zone: ZoneInfo, width: int) -> Iterator[Line]:
    names = min(max(cell_len(name) for name, _ in rows), width // 4)
    scale = _Scale(rows[0][1], width - names - 1)
    if _span(scale.day)[0] == _span(scale.day)[1]:
        return
    yield ((" " * (names + 1) + _ruler(scale, zone), "dim"),)
    for name, day in rows:
        yield ((f"{_fit(name, names)} ", ""), *_strip(_Scale(day, scale.columns)))


def _ruler(scale: _Scale, zone: ZoneInfo) -> str:
    """Writes hours of the clock where they begin, as many as have room."""
    start, end = _span(scale.day)
    step = next(step for step in (1, 2, 3, 6, 12, 24) if step * scale.columns / ((end - start) / _HOUR) >= 3)
    text = ""
    for hour in range(0, int((end - start) / _HOUR), step):
        at = start + hour * _HOUR
        text = text.ljust(int(scale.column(at))) + f"{at.astimezone(zone):%H}"
    return text[: scale.columns]


def _strip(scale: _Scale) -> Iterator[tuple[str, str]]:
    """Yields the pieces of a row; a bar's title stands in its first piece."""
    titled: set[int] = set()
    for (kind, index), group in groupby(_columns(scale)):
        length = len(list(group))
        if kind == "free":
            text = "·" * length
        elif kind == "conflict":
            text = "!" * length
        else:
            text = _bar("" if index in titled else plain(scale.day.entries[index].title), length, kind)
            titled.add(index)
        yield text, _STYLES[kind]


def _columns(scale: _Scale) -> Sequence[tuple[str, int]]:
    """Returns for each column what is in it, and of which bar; columns shared by bars that overlap are conflicts."""
    found = [("free", -1)] * scale.columns
    for index, entry in enumerate(scale.day.entries):
        for column in scale.columns_of(entry):
            kind, other = found[column]
            if kind == "free" or (kind == "ended" and not entry.has_ended):
                found[column] = ("ended" if entry.has_ended else "busy", index)
            elif not entry.has_ended and _overlap(scale.day.entries[other], entry):
                found[column] = ("conflict", other)
    return found


def _overlap(one: v1.BoardEntry, other: v1.BoardEntry) -> bool:
    """Touching bars may share a column without being in each other's way."""
    return _span(one)[0] < _span(other)[1] and _span(other)[0] < _span(one)[1]


def _bar(title: str, length: int, kind: str) -> str:
    if length == 1:
        return "x" if kind == "ended" else "#"
    inner = set_cell_size(title, min(cell_len(title), length - 2))
    filler = "x" if kind == "ended" else "-"
    return f"[{inner}{filler * (length - 2 - cell_len(inner))}]"


def _listed(rows: Sequence[tuple[str, v1.BoardDay]], zone: ZoneInfo) -> Iterator[Line]:
    for name, day in rows:
        yield ((name, ""),)
        if not day.entries:
            yield (("  free", "dim"),)
        for entry in day.entries:
            mark, style = ("!", "bold red") if entry.conflicts_with else (" ", "")
            ended = f" ({plain(entry.status)})" if entry.has_ended else ""
            yield ((f"{mark} {_times(entry, zone)} {plain(entry.title)}{ended}", style),)


def _conflicts(rows: Sequence[tuple[str, v1.BoardDay]], zone: ZoneInfo) -> Iterator[Line]:
    """Yields who is booked twice, each pair once."""
    told = [
        f"! {name}: {_times(one, zone)} {plain(one.title)} and {_times(other, zone)} {plain(other.title)}"
        for name, day in rows
        for index, one in enumerate(day.entries)
        for other in day.entries[index + 1 :]
        if other.entry_id in one.conflicts_with or one.entry_id in other.conflicts_with
    ]
    for text in told[:_MOST_CONFLICTS]:
        yield ((text, "red"),)
    if len(told) > _MOST_CONFLICTS:
        yield ((f"! and {len(told) - _MOST_CONFLICTS} more", "red"),)


def _times(entry: v1.BoardEntry, zone: ZoneInfo) -> str:
    start, end = (at.astimezone(zone) for at in _span(entry))
    return f"{start:%H:%M}-{end:%H:%M}"


def _fit(text: str, width: int) -> str:
    return set_cell_size(text, width)


def _span(one: v1.BoardDay | v1.BoardEntry) -> tuple[dt.datetime, dt.datetime]:
    """The server tells both; a message that lacks one counts as the begin of 1970."""
    nothing = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return one.start or nothing, one.end or nothing
