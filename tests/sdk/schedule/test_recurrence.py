"""When entries repeat: the wall clock, the stored form, the limits."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import dateutil.rrule
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.sdk.schedule import Entry, EntryKey, Recurrence, RecurrenceInvalid, recurrence, spans_of, zone_of

VIENNA = ZoneInfo("Europe/Vienna")
HOUR = timedelta(hours=1)


def series(first: datetime, zone: str | None = None, **rule: Any) -> Entry:
    """Returns an entry of an hour that repeats."""
    recurrence = Recurrence(**{"frequency": "daily", "count": 4, **rule})
    return Entry(
        id="e",
        title="t",
        status="scheduled",
        assignees=("ann",),
        start=first,
        end=first + HOUR,
        recurrence=recurrence,
        timezone=zone,
    )


def begins(entry: Entry, start: datetime, end: datetime) -> list[datetime]:
    """Returns the begins of what takes place in a span."""
    return [span.start for _, span in spans_of(entry, start, end)]


def test_a_time_that_the_clock_leaves_out_comes_an_hour_later() -> None:
    """02:30 in Vienna does not exist on the 28th of March 2027: the occurrence is at 03:30 that day."""
    first = datetime(2027, 3, 27, 2, 30, tzinfo=VIENNA).astimezone(UTC)
    told = begins(series(first, "Europe/Vienna"), first, first + timedelta(days=2, hours=12))
    assert [one.astimezone(VIENNA).strftime("%d %H:%M") for one in told] == ["27 02:30", "28 03:30", "29 02:30"]


def test_a_time_that_comes_twice_is_taken_once() -> None:
    """02:30 comes twice on the 31st of October 2027: there is one occurrence that day, the first of the two."""
    first = datetime(2027, 10, 30, 2, 30, tzinfo=VIENNA).astimezone(UTC)
    told = begins(series(first, "Europe/Vienna"), first, first + timedelta(days=2, hours=2))
    assert [one - first for one in told] == [timedelta(0), timedelta(hours=24), timedelta(hours=49)]


def test_occurrences_that_only_reach_into_the_span_are_in_it() -> None:
    """An occurrence that began before the span takes place in it, unless it ends with the span's begin."""
    first = datetime(2027, 3, 1, 9, tzinfo=UTC)
    within = first + timedelta(days=1, minutes=30)
    assert begins(series(first), within, within + HOUR) == [first + timedelta(days=1)]
    assert begins(series(first), first + HOUR, first + 2 * HOUR) == []


def test_exceptions_are_days_of_the_zone() -> None:
    """An exception leaves out the occurrence of that day in the entry's zone, though UTC has another date."""
    first = datetime(2027, 6, 1, 0, 30, tzinfo=VIENNA).astimezone(UTC)
    entry = series(first, "Europe/Vienna", exceptions=frozenset({date(2027, 6, 2)}))
    told = begins(entry, first, first + timedelta(days=9))
    assert [one.astimezone(VIENNA).day for one in told] == [1, 3, 4]


def test_an_endless_series_is_read_far_away() -> None:
    """A series without end is asked for a span twenty years later and answers with that span only."""
    first = datetime(2027, 3, 1, 9, tzinfo=UTC)
    start = datetime(2047, 3, 1, tzinfo=UTC)
    told = begins(series(first, count=None), start, start + timedelta(days=2))
    assert told == [start + 9 * HOUR, start + 33 * HOUR]


@pytest.mark.parametrize("end", [{"count": 4}, {"count": None}])
def test_a_rule_that_never_occurs_is_not_looked_for_for_ever(end: dict[str, Any], monkeypatch: Any) -> None:
    """The 31st of February is looked for in a bounded number of months, not until the year 9999."""
    months = 0

    class Counted(dateutil.rrule.rrule):
        def __init__(self, *args: Any, **rule: Any) -> None:
            nonlocal months
            months += (rule["until"] - rule["dtstart"]).days // 28
            super().__init__(*args, **rule)

    monkeypatch.setattr(recurrence, "rrule", Counted)
    first = datetime(2027, 3, 1, 9, tzinfo=UTC)
    entry = series(first, frequency="monthly", day_of_month=31, month_of_year=2, **end)
    assert begins(entry, first, first + timedelta(days=365)) == []
    assert 0 < months < 1_000


RULES = st.builds(
    Recurrence,
    frequency=st.sampled_from(["daily", "weekly", "monthly", "yearly"]),
    interval=st.integers(1, 5),
    days_of_week=st.sets(st.integers(0, 6)).map(lambda days: tuple(sorted(days))),
    day_of_month=st.none() | st.integers(1, 31),
    month_of_year=st.none() | st.integers(1, 12),
    until=st.none() | st.integers(0, 26_000).map(lambda hours: datetime(2027, 1, 1, tzinfo=UTC) + hours * HOUR),
    count=st.none() | st.integers(1, 99),
    workdays_only=st.booleans(),
    exceptions=st.frozensets(st.dates(date(2027, 1, 1), date(2030, 1, 1)), max_size=4),
)


@given(RULES)
def test_the_stored_form_is_read_back_unchanged(rule: Recurrence) -> None:
    """What is written in the PSA's form is read back as the same rule."""
    assert Recurrence.of_pattern(rule.to_pattern(datetime(2027, 3, 1, tzinfo=UTC))) == rule


@given(RULES, st.sampled_from(["UTC", "Europe/Vienna", "America/St_Johns", "Australia/Lord_Howe"]))
def test_what_is_checked_is_what_takes_place(rule: Recurrence, zone: str) -> None:
    """A rule that is accepted has the occurrences that its spans tell, at one time of day, never over each other."""
    first = datetime(2027, 3, 1, 9, tzinfo=UTC)
    entry = series(first, zone)
    try:
        starts = rule.checked(first, HOUR, zone_of(zone))
    except RecurrenceInvalid:
        return
    entry = Entry(**{name: getattr(entry, name) for name in entry.__slots__} | {"recurrence": rule})
    assert begins(entry, first - HOUR, starts[-1] + 2 * HOUR) == list(starts)
    assert all(later - earlier >= HOUR for earlier, later in pairwise(starts))
    assert len({one.astimezone(zone_of(zone)).time() for one in starts}) == 1


@pytest.mark.parametrize(
    "pattern",
    [{}, {"frequency": "hourly"}, {"frequency": "daily", "endDate": "soon"}, {"frequency": "daily", "count": "x"}],
)
def test_patterns_that_cannot_be_read(pattern: dict[str, Any]) -> None:
    """Garbage raises ValueError, nothing else."""
    with pytest.raises(ValueError, match=r"pattern|frequency|soon|literal"):
        Recurrence.of_pattern(pattern)


@pytest.mark.parametrize("name", ["Mars/Olympus", "../../etc/passwd", "/etc/passwd", "a\0b", "Europe", "posixrules\n"])
def test_zones_that_do_not_exist(name: str) -> None:
    """Unknown names, paths and control characters raise ValueError, nothing else."""
    with pytest.raises(ValueError, match="is not a time zone"):
        zone_of(name)


@pytest.mark.parametrize("text", ["e_12", "e_-12", "e"])
def test_keys_are_written_as_they_are_read(text: str) -> None:
    """The id of an entry or occurrence is read back; an occurrence too far away for a date is none."""
    assert str(EntryKey.parse(text)) == text
    with pytest.raises(ValueError, match="e_9"):
        EntryKey.parse("e_999999999999999999")
