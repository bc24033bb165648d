"""The iCalendar file of a feed, judged by readers that are not ours."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from zoneinfo import ZoneInfo

import pytest
from dateutil.tz import tzical
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from ical.calendar_stream import IcsCalendarStream
from icalendar import Calendar

from server.core.feed_file import FeedEntry, feed_file
from server.core.feed_zones import timezone_of
from server.sdk.schedule import Entry, Recurrence, spans_of

ANN, BEN = "7d0f2d1e-5a52-4a6f-9a51-0c7a5e1f1a01", "7d0f2d1e-5a52-4a6f-9a51-0c7a5e1f1a02"
START = datetime(2027, 3, 1, 8, tzinfo=UTC)
AHEAD = datetime(2028, 6, 1, tzinfo=UTC)
VISIT = Entry(
    id="e47c3d5e-0001-4000-8000-000000000001",
    title="Visit",
    status="scheduled",
    assignees=(ANN,),
    start=START,
    end=START + timedelta(hours=1),
    sequence=3,
)


def file_of(*entries: Entry, title: str = "Ann", viewer: str = ANN) -> bytes:
    """Returns a file of entries that were created at the begin of February and changed a day later."""
    created = datetime(2027, 2, 1, 12, 30, 15, 999, tzinfo=UTC)
    told = [FeedEntry(entry=one, created=created, updated=created + timedelta(days=1)) for one in entries]
    return feed_file(title, told, viewer=viewer, until=AHEAD)


def lines(file: bytes) -> list[str]:
    """Returns the lines of a file, folded ones put together."""
    return file.decode().replace("\r\n ", "").split("\r\n")


def test_an_event_says_all_that_calendars_need() -> None:
    """Identity, number and times of an entry stand in its event; nothing depends on when the file is made."""
    assert file_of(replace(VISIT, notes="Bring a disk.\nRing twice.")) == file_of(
        replace(VISIT, notes="Bring a disk.\nRing twice.")
    )
    told = lines(file_of(replace(VISIT, notes="Bring a disk.\nRing twice.")))
    assert told[0] == "BEGIN:VCALENDAR"
    for line in (
        "VERSION:2.0",
        "X-WR-CALNAME:Ann",
        f"UID:{VISIT.id}@patchbay",
        "SEQUENCE:3",
        "DTSTAMP:20270202T123015Z",
        "CREATED:20270201T123015Z",
        "DTSTART:20270301T080000Z",
        "DTEND:20270301T090000Z",
        "SUMMARY:Visit",
        "DESCRIPTION:Bring a disk.\\nRing twice.",
        "STATUS:CONFIRMED",
        "TRANSP:OPAQUE",
    ):
        assert told.count(line) == 1, line
    assert not any(line.startswith(("CLASS", "RRULE", "BEGIN:VTIMEZONE")) for line in told)


@pytest.mark.parametrize(
    ("status", "shown", "transparency"),
    [
        ("scheduled", "CONFIRMED", "OPAQUE"),
        ("Cancelled", "CANCELLED", "TRANSPARENT"),
        ("completed", "CONFIRMED", "TRANSPARENT"),
        ("no_show", "CONFIRMED", "TRANSPARENT"),
        ("in_progress", "CONFIRMED", "OPAQUE"),
    ],
)
def test_a_status_becomes_one_that_calendars_know(status: str, shown: str, transparency: str) -> None:
    """What was cancelled is CANCELLED; nothing that has ended keeps anybody busy."""
    told = lines(file_of(replace(VISIT, status=status)))
    assert {f"STATUS:{shown}", f"TRANSP:{transparency}"} <= set(told)


def test_private_entries_are_marked_and_told_to_assignees_only() -> None:
    """CLASS:PRIVATE; for whoever is not assigned the title is `Busy`."""
    private = replace(VISIT, is_private=True, notes="Secret")
    assert {"CLASS:PRIVATE", "SUMMARY:Visit"} <= set(lines(file_of(private)))
    told = file_of(private, viewer=BEN)
    assert b"SUMMARY:Busy" in told
    assert b"Visit" not in told
    assert b"Secret" not in told


def test_entries_without_times_are_left_out() -> None:
    """What is not planned yet, and a series without any occurrence, makes no event."""
    never = Recurrence(frequency="daily", until=START - timedelta(days=1))
    file = file_of(replace(VISIT, start=None, end=None), replace(VISIT, recurrence=never))
    assert b"VEVENT" not in file


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\0"])
def test_texts_cannot_become_lines(end: str) -> None:
    """Titles, notes and names with any kind of line end stay one value: no property or event can be smuggled in."""
    hostile = f"a{end}END:VEVENT{end}BEGIN:VEVENT{end}ATTENDEE:mailto:x@example.com"
    file = file_of(replace(VISIT, title=hostile, notes=hostile), title=hostile)
    for told in (file.decode().split("\r\n"), file.decode().splitlines()):
        assert [line for line in told if line.startswith(("ATTENDEE", "END:VEVENT"))] == ["END:VEVENT"]
    (event,) = Calendar.from_ical(file).walk("VEVENT")
    assert str(event["summary"]) == hostile.replace("\r\n", " ").replace(end, " ")
    assert "attendee" not in event


def test_texts_come_through_whole() -> None:
    """Commas, semicolons, backslashes, quotes, emoji and 500 characters are read as they were written."""
    title = 'Müller; "Rack, 2" \\n \\ 🔌 ' + "x" * 500
    (event,) = Calendar.from_ical(file_of(replace(VISIT, title=title))).walk("VEVENT")
    assert str(event["summary"]) == title
    assert all(len(line) <= 75 for line in file_of(replace(VISIT, title=title)).split(b"\r\n"))


ZONES = ("Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Kolkata", "Europe/Dublin",
         "Africa/Casablanca", "America/St_Johns", "Pacific/Apia", "Etc/UTC")  # fmt: skip


@pytest.mark.parametrize("name", ZONES)
@pytest.mark.parametrize(("first", "last"), [(2010, 2013), (2026, 2029)])
def test_the_clock_of_a_zone_is_told_right(name: str, first: int, last: int) -> None:
    """Read by the letter of the RFC, a zone has at each hour of three years the offset of the IANA database."""
    zone = ZoneInfo(name)
    begin, end = datetime(first, 1, 1, tzinfo=UTC), datetime(last, 1, 1, tzinfo=UTC)
    calendar = Calendar()
    calendar.add_component(timezone_of(zone, begin, end))
    (read,) = Calendar.from_ical(calendar.to_ical()).walk("VTIMEZONE")
    changes, clocks = read.get_transitions()  # onsets in UTC: local time less the offset before
    moments = [begin + timedelta(hours=hour) for hour in range(24, round((end - begin) / timedelta(hours=1)))]
    told = {at: clocks[bisect_right(changes, at.replace(tzinfo=None)) - 1][0] for at in moments}
    assert [at for at in moments if told[at] != at.astimezone(zone).utcoffset()] == []


@pytest.mark.parametrize("name", ZONES)
def test_walls_show_the_clock_of_a_zone(name: str) -> None:
    """A reader that compares wall clocks finds the same offset for every time of day that exists once."""
    zone, begin = ZoneInfo(name), datetime(2027, 1, 1, tzinfo=UTC)
    calendar = Calendar()
    calendar.add_component(timezone_of(zone, begin - timedelta(days=1), begin + timedelta(days=370)))
    read = tzical(StringIO(calendar.to_ical().decode())).get(name)
    walls = [(begin + timedelta(hours=hour)).replace(tzinfo=None) for hour in range(365 * 24)]
    once = [wall for wall in walls if len({exact(wall, zone, fold) for fold in (0, 1)}) == 1]
    assert [
        wall for wall in once if wall.replace(tzinfo=zone).utcoffset() != wall.replace(tzinfo=read).utcoffset()
    ] == []


def exact(wall: datetime, zone: ZoneInfo, fold: int) -> datetime:
    """Returns the moment of a time of day; where the clock is changed it depends on the fold."""
    return wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)


def read_starts(file: bytes, start: datetime, end: datetime) -> Sequence[datetime]:
    """Returns the begins that another expander finds."""
    read = IcsCalendarStream.calendar_from_ics(file.decode())
    return sorted(event.dtstart.astimezone(UTC) for event in read.timeline_tz(UTC).overlapping(start, end))


def own_starts(entry: Entry, start: datetime, end: datetime) -> Sequence[datetime]:
    """Returns the begins on the board."""
    return sorted(span.start for _, span in spans_of(entry, start, end))


def moments(days: int) -> st.SearchStrategy[datetime]:
    """Minutes of so many days from the begin of 2027."""
    begin = datetime(2027, 1, 1, tzinfo=UTC)
    return st.integers(0, days * 24 * 60).map(lambda minutes: begin + timedelta(minutes=minutes))


RULES = st.builds(
    Recurrence,
    frequency=st.sampled_from(["daily", "weekly", "monthly", "yearly"]),
    interval=st.integers(1, 4),
    days_of_week=st.sets(st.integers(0, 6), max_size=3).map(lambda days: tuple(sorted(days))),
    day_of_month=st.none() | st.integers(1, 31),
    month_of_year=st.none() | st.integers(1, 12),
    until=st.none() | moments(700),
    count=st.none() | st.integers(1, 40),
    workdays_only=st.booleans(),
    exceptions=st.frozensets(st.dates(date(2027, 1, 1), date(2027, 12, 31)), max_size=20),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(
    rule=RULES,
    zone=st.sampled_from([*ZONES, None]),
    start=moments(180),
)
def test_other_expanders_find_the_same_occurrences(rule: Recurrence, zone: str | None, start: datetime) -> None:
    """Any series in any zone takes place, by the file, exactly when the board has it."""
    assume(rule.until is None or rule.count is None)  # the RFC allows one of them
    assume(rule.weekdays or not rule.workdays_only)
    entry = replace(VISIT, start=start, end=start + timedelta(minutes=30), timezone=zone, recurrence=rule)
    window = datetime(2026, 12, 1, tzinfo=UTC), AHEAD
    assert read_starts(file_of(entry), *window) == own_starts(entry, *window)


def test_a_series_keeps_its_time_of_day() -> None:
    """A visit at 09:00 in Vienna, each Monday and Thursday, without one, is told with zone, rule and exception."""
    rule = Recurrence(frequency="weekly", days_of_week=(0, 3), count=20, exceptions=frozenset({date(2027, 3, 29)}))
    entry = replace(VISIT, timezone="Europe/Vienna", recurrence=rule)
    file = file_of(entry)
    told = lines(file)
    for line in (
        "DTSTART;TZID=Europe/Vienna:20270301T090000",
        "DTEND;TZID=Europe/Vienna:20270301T100000",
        "RRULE:FREQ=WEEKLY;COUNT=20;INTERVAL=1;BYDAY=MO,TH",
        "EXDATE;TZID=Europe/Vienna:20270329T090000",
        "BEGIN:VTIMEZONE",
        "TZID:Europe/Vienna",
    ):
        assert told.count(line) == 1, line
    starts = read_starts(file, START, AHEAD)
    assert {one.hour for one in starts} == {7, 8}
    assert len(starts) == 19


def test_a_series_begins_with_its_first_occurrence() -> None:
    """An entry on a Wednesday that repeats on Mondays begins in the file on the first Monday."""
    rule = Recurrence(frequency="weekly", days_of_week=(0,), count=3)
    entry = replace(VISIT, start=datetime(2027, 3, 3, 8, tzinfo=UTC), end=None, recurrence=rule)
    entry = replace(entry, end=datetime(2027, 3, 3, 9, tzinfo=UTC), timezone="UTC")
    assert "DTSTART:20270308T080000Z" in lines(file_of(entry))
    assert read_starts(file_of(entry), START, AHEAD) == own_starts(entry, START, AHEAD)


def test_an_endless_series_has_an_endless_rule() -> None:
    """What another writer of the board made without an end has neither COUNT nor UNTIL."""
    entry = replace(VISIT, timezone="Europe/Vienna", recurrence=Recurrence(frequency="daily"))
    assert "RRULE:FREQ=DAILY;INTERVAL=1" in lines(file_of(entry))
    window = datetime(2027, 10, 1, tzinfo=UTC), datetime(2027, 12, 1, tzinfo=UTC)
    assert read_starts(file_of(entry), *window) == own_starts(entry, *window)
