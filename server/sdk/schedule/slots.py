"""Who is busy when, and where there is room."""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from server.sdk.schedule.entries import Entry, EntryKey, is_ended
from server.sdk.schedule.recurrence import zone_of


@dataclass(frozen=True, slots=True)
class Span:
    """A span of time: the end is no part of it, so spans that touch do not overlap."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Booking:
    """A span in which somebody is busy. `key`: with which entry or occurrence."""

    span: Span
    user_id: str
    key: EntryKey


def spans_of(entry: Entry, start: datetime, end: datetime) -> Iterator[tuple[EntryKey, Span]]:
    """Yields when an entry takes place within a span: once, or each occurrence with a key of its own."""
    if entry.start is None or entry.end is None:
        return
    if entry.recurrence is None:
        if entry.start < end and entry.end > start:
            yield EntryKey(entry.id), Span(entry.start, entry.end)
        return
    for begin in entry.recurrence.starts(entry.start, zone_of(entry.timezone), start - entry.duration, end):
        yield EntryKey(entry.id, begin), Span(begin, begin + entry.duration)


def bookings(entries: Iterable[Entry], users: Collection[str], start: datetime, end: datetime) -> list[Booking]:
    """Returns when users are busy within a span, by begin. Entries that have ended keep nobody busy."""
    found = [
        Booking(span, user, key)
        for entry in entries
        if not is_ended(entry.status)
        for key, span in spans_of(entry, start, end)
        for user in entry.assignees
        if user in users
    ]
    return sorted(found, key=lambda one: (one.span.start, str(one.key), one.user_id))


def overlaps(wanted: Sequence[Span], booked: Sequence[Booking]) -> list[Booking]:
    """Returns the bookings that overlap any of the wanted spans, which are in order and do not overlap each other."""
    ends = [span.end for span in wanted]
    found = []
    for booking in booked:
        index = bisect_left(ends, booking.span.start)
        if index < len(ends) and ends[index] == booking.span.start:
            index += 1
        if index < len(wanted) and wanted[index].start < booking.span.end:
            found.append(booking)
    return found


def first_free(wanted: Sequence[Span], booked: Sequence[Booking], latest: datetime) -> timedelta | None:
    """Returns by how much later all wanted spans are free; None when the first would begin after `latest`.

    Each step moves them to the end of what is in the way: less would not do, so no free slot is passed over.
    """
    moved, limit = timedelta(0), latest - wanted[0].start
    while moved <= limit:
        here = [Span(span.start + moved, span.end + moved) for span in wanted]
        step = max((_step(here, booking) for booking in overlaps(here, booked)), default=timedelta(0))
        if not step:
            return moved
        moved += step
    return None


def _step(wanted: Sequence[Span], booking: Booking) -> timedelta:
    span = next(one for one in wanted if one.start < booking.span.end and one.end > booking.span.start)
    return booking.span.end - span.start


def merged(spans: Iterable[Span]) -> list[Span]:
    """Returns the same time without overlaps, in order."""
    found: list[Span] = []
    for span in sorted(spans, key=lambda one: one.start):
        if found and span.start <= found[-1].end:
            found[-1] = Span(found[-1].start, max(found[-1].end, span.end))
        else:
            found.append(span)
    return found
