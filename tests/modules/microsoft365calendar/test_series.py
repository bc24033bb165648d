"""Entries that repeat: what Graph is told, and that its instances are the entry's occurrences."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.microsoft365calendar.occurrences import days_of
from server.modules.microsoft365calendar.series import series_of
from server.modules.microsoft365calendar.zones import told_zone
from server.sdk import ActionFailure
from server.sdk.schedule import Recurrence, zone_of
from tests.modules.microsoft365calendar.world import DANA, MONDAY, Tenant, Vendor, entry

pytestmark = pytest.mark.anyio

DAILY = Recurrence(frequency="daily", count=5)
LEAP_DAY = datetime(2028, 2, 29, 9, tzinfo=UTC)

RULES = st.builds(
    Recurrence,
    frequency=st.sampled_from(["daily", "weekly", "monthly", "yearly"]),
    interval=st.integers(1, 5),
    days_of_week=st.lists(st.integers(0, 6), max_size=3, unique=True).map(lambda days: tuple(sorted(days))),
    day_of_month=st.none() | st.integers(1, 31),
    month_of_year=st.none() | st.integers(1, 12),
    count=st.integers(1, 12),
    workdays_only=st.booleans(),
    exceptions=st.frozensets(st.integers(0, 60).map(lambda days: date(2027, 3, 1) + timedelta(days)), max_size=3),
)
BEGINS = st.integers(0, 3 * 365 * 24 * 60).map(lambda minutes: MONDAY + timedelta(minutes=minutes))


@settings(deadline=None)
@given(rule=RULES, start=BEGINS, zone=st.sampled_from(["UTC", "Europe/Vienna", "America/New_York"]))
def test_no_occurrence_is_missing_and_none_is_left_that_is_not_told(
    rule: Recurrence, start: datetime, zone: str
) -> None:
    """The pattern takes place on all days of the entry; exactly on those where it is called exact."""
    repeated = entry("u", start=start, end=start + timedelta(hours=1), recurrence=rule, timezone=zone)
    series = series_of(repeated, rule)
    if series is None:
        assert rule.all_starts(start, zone_of(zone)) == ()
        return
    told = set(days_of(dict(series.recurrence)))
    assert series.days <= told
    assert not series.is_exact or told == series.days


async def repeated(msp: Tenant, rule: Recurrence, **more: Any) -> Any:
    """Books an entry that repeats."""
    return await msp.book_in(entry(await msp.technician(DANA), recurrence=rule, **more))


def starts(vendor: Vendor) -> list[str]:
    """Begins of all instances in the mailbox."""
    return sorted(start for one in vendor.events(DANA) for start in one["starts"])


@pytest.mark.parametrize(
    ("rule", "start"),
    [
        (Recurrence(frequency="weekly", interval=2, days_of_week=(0, 2), count=6), MONDAY),
        (Recurrence(frequency="daily", workdays_only=True, count=8), MONDAY),
        (Recurrence(frequency="daily", interval=3, workdays_only=True, count=8), MONDAY),
        (Recurrence(frequency="monthly", day_of_month=31, count=5), datetime(2027, 1, 31, 8, tzinfo=UTC)),
        (Recurrence(frequency="monthly", days_of_week=(4,), day_of_month=13, count=3), MONDAY),
        (Recurrence(frequency="yearly", count=2, until=None), LEAP_DAY),
        (Recurrence(frequency="daily", count=5, exceptions=frozenset({date(2027, 3, 1), date(2027, 3, 3)})), MONDAY),
    ],
)
async def test_the_calendar_shows_the_occurrences_of_the_board(
    msp: Tenant, vendor: Vendor, rule: Recurrence, start: datetime
) -> None:
    """Also where Graph's patterns say less or more: what takes place too often is deleted, one by one."""
    made = await repeated(msp, rule, start=start, end=start + timedelta(hours=1), timezone="Europe/Vienna")
    expected = rule.all_starts(made.start, zone_of("Europe/Vienna"))
    assert starts(vendor) == [one.isoformat() for one in expected]


async def test_occurrences_keep_their_time_of_day(msp: Tenant, vendor: Vendor) -> None:
    """The series is told in a zone that Graph knows; over the change of the clock it stays at 9:00 in Vienna."""
    await repeated(msp, Recurrence(frequency="weekly", count=6), timezone="Europe/Vienna")
    content = vendor.only(DANA)["content"]
    assert content["start"] == {"dateTime": "2027-03-01T09:00:00", "timeZone": "Europe/Berlin"}
    assert content["recurrence"]["range"]["recurrenceTimeZone"] == "Europe/Berlin"
    assert [one[11:16] for one in starts(vendor)] == ["08:00"] * 4 + ["07:00"] * 2


async def test_a_cancelled_occurrence_leaves_the_calendar(msp: Tenant, vendor: Vendor) -> None:
    """Its day is among the exceptions; the others stay, though telling the series again brings all back."""
    made = await repeated(msp, DAILY)
    made = await msp.changed(made, recurrence=DAILY.without([date(2027, 3, 2)]))
    await msp.changed(made, title="Replace router")
    assert [one[:10] for one in starts(vendor)] == ["2027-03-01", "2027-03-03", "2027-03-04", "2027-03-05"]
    assert vendor.only(DANA)["content"]["subject"] == "Replace router"


async def test_a_series_whose_thinning_was_cut_short_is_finished(msp: Tenant, vendor: Vendor) -> None:
    """Until all that is too much is gone, the row says that the event is not yet right."""
    rule = Recurrence(frequency="daily", count=6, exceptions=frozenset({date(2027, 3, day) for day in (2, 4)}))
    event = await msp.stored(entry(await msp.technician(DANA), recurrence=rule))
    vendor.control.add_fault("status", method="DELETE", skip=1, status=503, times=0)
    with pytest.raises(ActionFailure):
        await msp.tell(event, seconds=3)
    assert [one.sequence for one in await msp.book.events_of(event.entry.id)] == [0]
    vendor.control.clear_faults()
    await msp.tell(event, attempt=2)
    assert [one[:10] for one in starts(vendor)] == ["2027-03-01", "2027-03-03", "2027-03-05", "2027-03-06"]
    assert [one.sequence for one in await msp.book.events_of(event.entry.id)] == [1]


async def test_an_entry_starts_and_stops_repeating(msp: Tenant, vendor: Vendor) -> None:
    """The same event becomes a series and a single one again."""
    made = await msp.book_in(entry(await msp.technician(DANA)))
    id = vendor.only(DANA)["id"]
    made = await msp.changed(made, recurrence=DAILY)
    assert len(vendor.only(DANA)["starts"]) == 5
    await msp.changed(made, recurrence=None)
    assert (vendor.only(DANA)["id"], len(vendor.only(DANA)["starts"])) == (id, 1)


async def test_a_series_without_an_occurrence_is_in_no_calendar(msp: Tenant, vendor: Vendor) -> None:
    """When the last occurrence is cancelled the event goes."""
    rule = Recurrence(frequency="daily", count=1)
    made = await repeated(msp, rule)
    await msp.changed(made, recurrence=rule.without([date(2027, 3, 1)]))
    assert vendor.events() == []


async def test_an_endless_series_of_another_writer_is_endless_there(msp: Tenant, vendor: Vendor) -> None:
    """With its exceptions; the board itself makes none without an end."""
    gone = frozenset({date(2027, 3, 8)})
    await repeated(msp, Recurrence(frequency="weekly", exceptions=gone))
    event = vendor.only(DANA)
    assert event["content"]["recurrence"]["range"]["type"] == "noEnd"
    assert [one[:10] for one in event["starts"][:3]] == ["2027-03-01", "2027-03-15", "2027-03-22"]


async def test_a_zone_that_graph_refuses_is_told_with_a_remedy(msp: Tenant) -> None:
    """No zone that Microsoft lists has the clock of Lord Howe Island."""
    user = await msp.technician(DANA)
    yearly = Recurrence(frequency="monthly", count=12)
    event = await msp.stored(entry(user, recurrence=yearly, timezone="Australia/Lord_Howe"))
    failure = (await msp.refused(event)).failure
    assert (failure.reason, failure.retryable) == ("TIME_ZONE_REFUSED", False)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (None, "UTC"),
        ("Europe/Berlin", "Europe/Berlin"),
        ("Europe/Zurich", "Europe/Berlin"),
        ("America/Detroit", "America/New_York"),
        ("Asia/Calcutta", "Asia/Kolkata"),
    ],
)
def test_a_zone_is_told_by_a_name_that_graph_knows(name: str | None, told: str) -> None:
    """Itself where Microsoft lists it, else one with the same clock all year."""
    assert told_zone(name, [datetime(2027, month, 15, 12, tzinfo=UTC) for month in range(1, 13)]) == told
