"""Overlaps and free slots, against a slow answer that is plainly right."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from server.sdk.schedule import Booking, EntryKey, Span, first_free, overlaps
from server.sdk.schedule.slots import merged

ZERO = datetime(2027, 3, 1, tzinfo=UTC)
HORIZON = 60


def span(start: int, length: int) -> Span:
    """Returns a span in minutes after midnight."""
    return Span(ZERO + timedelta(minutes=start), ZERO + timedelta(minutes=start + length))


def booking(start: int, length: int) -> Booking:
    """Returns a booking in minutes after midnight."""
    return Booking(span(start, length), "ann", EntryKey(f"{start}-{length}"))


SPANS = st.tuples(st.integers(0, 40), st.integers(1, 8))
BOOKED = st.lists(SPANS.map(lambda one: booking(*one)), max_size=8)


@st.composite
def wanted_spans(draw: st.DrawFn) -> list[Span]:
    """Draws spans in order that do not overlap each other."""
    found, at = [], 0
    for gap, length in draw(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5)), min_size=1, max_size=4)):
        found.append(span(at + gap, length))
        at += gap + length
    return found


def collides(one: Span, other: Span) -> bool:
    """Says whether two spans have time in common."""
    return one.start < other.end and other.start < one.end


@given(wanted_spans(), BOOKED)
def test_overlaps_are_those_that_share_time(wanted: list[Span], booked: list[Booking]) -> None:
    """A booking is told exactly when it has time in common with a wanted span; edges that touch are none."""
    assert overlaps(wanted, booked) == [one for one in booked if any(collides(one.span, each) for each in wanted)]


@given(wanted_spans(), BOOKED)
def test_the_first_free_slot_is_the_first_of_all_minutes(wanted: list[Span], booked: list[Booking]) -> None:
    """R16: the slot found is the one that trying every minute finds; None when every minute to the limit is taken."""
    latest = wanted[0].start + timedelta(minutes=HORIZON // 2)
    expected = None
    for minutes in range(HORIZON // 2 + 1):
        by = timedelta(minutes=minutes)
        here = [Span(one.start + by, one.end + by) for one in wanted]
        if not any(collides(each, one.span) for each in here for one in booked):
            expected = by
            break
    assert first_free(wanted, booked, latest) == expected


@given(st.lists(SPANS, max_size=8))
def test_merged_spans_hold_the_same_minutes(spans: list[tuple[int, int]]) -> None:
    """Merging keeps every minute and leaves gaps between what is left."""
    found = merged(span(*one) for one in spans)
    minutes = {minute for start, length in spans for minute in range(start, start + length)}
    kept = [minute for minute in range(HORIZON) if any(collides(span(minute, 1), one) for one in found)]
    assert set(kept) == minutes
    assert all(earlier.end < later.start for earlier, later in pairwise(found))
