"""Recurring entries: occurrences, their conflicts, and the three scopes of a change."""

import json
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.scheduling.office import Office, window

pytestmark = pytest.mark.anyio

VIENNA = "Europe/Vienna"
DAILY = {"frequency": "daily", "count": 5}
WEEK = {"start": "2027-03-01T00:00:00Z", "end": "2027-03-08T00:00:00Z"}


async def starts(office: Office, span: dict[str, str] = WEEK, **more: Any) -> list[str]:
    """Returns the begins of what takes place in a span."""
    told = await office.done("search_entries", {"window": span, "limit": 100, **more})
    return [one["scheduled_start"] for one in told["entries"] if one["status"] == "scheduled"]


async def occurrence(office: Office, number: int, *users: str) -> str:
    """Returns the id of an occurrence in the week."""
    told = await office.done("search_entries", {"window": WEEK, "limit": 100, "assigned_user_ids": list(users)})
    return str(told["entries"][number]["entry_id"])


async def test_a_series_is_found_as_its_occurrences(office: Office) -> None:
    """A window lists each occurrence with an id of its own, by which it can be read."""
    ann = await office.hire("Ann")
    booked = await office.book(ann, recurrence=DAILY)
    told = await office.done("search_entries", {"window": WEEK})
    assert [one["scheduled_start"][:13] for one in told["entries"]] == [f"2027-03-0{day}T09" for day in range(1, 6)]
    third = told["entries"][2]
    assert third["entry_id"].startswith(f"{booked['entry_id']}_")
    assert (third["original_entry_id"], third["is_recurring"]) == (booked["entry_id"], True)
    found = await office.done("find_entry", {"entry_id": third["entry_id"]})
    assert found["entry"] == third
    whole = await office.done("find_entry", {"entry_id": booked["entry_id"]})
    assert whole["entry"]["scheduled_start"] == booked["start"]


async def test_occurrences_conflict_not_only_the_first(office: Office) -> None:
    """R16: a booking on the fourth day of a series is CONFLICT and names the occurrence; so is a series over it."""
    ann, ben = await office.hire("Ann"), await office.hire("Ben")
    series = await office.book(ann, recurrence=DAILY)
    single = {"assigned_user_ids": [ann], "title": "V", "window": window(0.5, 1, day=3)}
    failure = await office.failed("create_entry", single)
    assert failure.reason == "CONFLICT"
    assert f"{series['entry_id']}_1804" in failure.message
    await office.book(ben, day=2)
    over = {"assigned_user_ids": [ben], "title": "V", "window": window(0, 1), "recurrence": DAILY}
    assert (await office.failed("create_entry", over)).reason == "CONFLICT"
    await office.book(ann, day=5)


async def test_a_series_keeps_its_time_of_day_when_the_clock_changes(office: Office) -> None:
    """A weekly visit at 09:00 in Vienna stays at 09:00 over the 28th of March: 08:00 UTC becomes 07:00 UTC."""
    ann = await office.hire("Ann", timezone=VIENNA)
    await office.book(ann, start=-1, end=0, recurrence={"frequency": "weekly", "count": 6})
    told = await starts(office, {"start": "2027-03-01T00:00:00Z", "end": "2027-04-30T00:00:00Z"})
    assert told[3:5] == ["2027-03-22T08:00:00Z", "2027-03-29T07:00:00Z"]
    local = {datetime.fromisoformat(one).astimezone(ZoneInfo(VIENNA)).hour for one in told}
    assert local == {9}


async def test_a_conflict_after_the_change_of_the_clock(office: Office) -> None:
    """The occurrence after the change is in the way at its new UTC time, and no longer at the old one."""
    ann = await office.hire("Ann", timezone=VIENNA)
    await office.book(ann, start=-1, end=0, recurrence={"frequency": "weekly", "count": 6})
    busy = {"assigned_user_ids": [ann], "title": "V", "window": window(-2, -1, day=28)}
    assert (await office.failed("create_entry", busy)).reason == "CONFLICT"
    await office.book(ann, start=-1, end=0, day=28)


async def test_weekdays_workdays_and_an_end(office: Office) -> None:
    """Days of the week, workdays only and `until` say which days; the entry begins with its first occurrence."""
    ann, ben = await office.hire("Ann"), await office.hire("Ben")
    until = "2027-03-07T23:00:00Z"
    first = await office.book(ann, recurrence={"frequency": "weekly", "days_of_week": [1, 3], "until": until})
    assert first["start"] == "2027-03-02T09:00:00Z"
    assert await starts(office) == ["2027-03-02T09:00:00Z", "2027-03-04T09:00:00Z"]
    await office.book(ben, day=3, recurrence={"frequency": "daily", "workdays_only": True, "until": until})
    assert await starts(office, assigned_user_ids=[ben]) == ["2027-03-04T09:00:00Z", "2027-03-05T09:00:00Z"]


@pytest.mark.parametrize(
    ("recurrence", "hours"),
    [
        ({"frequency": "daily", "until": "2027-02-01T00:00:00Z"}, 1),
        ({"frequency": "daily", "until": "2031-03-01T00:00:00Z"}, 1),
        ({"frequency": "yearly", "count": 9}, 1),
        ({"frequency": "daily", "count": 3}, 25),
        ({"frequency": "weekly", "days_of_week": [5, 6], "workdays_only": True, "count": 3}, 1),
        ({"frequency": "yearly", "day_of_month": 31, "month_of_year": 2, "count": 3}, 1),
    ],
)
async def test_series_that_the_board_does_not_take(office: Office, recurrence: dict[str, Any], hours: float) -> None:
    """No occurrence, too many, too long, and overlapping ones are RECURRENCE_INVALID; nothing is written."""
    ann = await office.hire("Ann")
    wanted = {"assigned_user_ids": [ann], "title": "V", "window": window(0, hours), "recurrence": recurrence}
    assert (await office.failed("create_entry", wanted)).reason == "RECURRENCE_INVALID"
    assert await office.count("schedule_entries") == 0


async def test_one_occurrence_is_taken_out_and_moved(office: Office) -> None:
    """Scope `single`: the occurrence becomes an entry of its own, the others stay, and its old time is free."""
    ann = await office.hire("Ann")
    booked = await office.book(ann, recurrence=DAILY)
    third = await occurrence(office, 2)
    told = await office.done("reschedule", {"entry_id": third, "window": window(4, 5, day=2)})
    assert told["updated_entry_id"] != booked["entry_id"]
    assert (told["previous_start"], told["event_type"]) == ("2027-03-03T09:00:00Z", "schedule_entry.created")
    assert (await starts(office))[2] == "2027-03-03T13:00:00Z"
    assert len(await starts(office)) == 5
    taken = await office.done("find_entry", {"entry_id": told["updated_entry_id"]})
    assert (taken["entry"]["original_entry_id"], taken["entry"]["is_recurring"]) == (booked["entry_id"], False)
    assert (await office.done("find_entry", {"entry_id": third}))["found"] is False
    await office.book(ann, day=2)


async def test_an_occurrence_cannot_be_moved_onto_its_sibling(office: Office) -> None:
    """R16: the other occurrences of the series are in the way, too, and nothing of the split remains."""
    ann = await office.hire("Ann")
    await office.book(ann, recurrence=DAILY)
    failure = await office.failed(
        "reschedule", {"entry_id": await occurrence(office, 2), "window": window(0, 1, day=3)}
    )
    assert failure.reason == "CONFLICT"
    assert len(await starts(office)) == 5
    assert await office.count("schedule_entries") == 1


@pytest.mark.parametrize("end", [{"count": 5}, {"until": "2027-03-05T23:00:00Z"}])
async def test_the_rest_of_a_series_is_moved(office: Office, end: dict[str, Any]) -> None:
    """Scope `future`: the series ends before the occurrence, and a new one goes on at the new time."""
    ann = await office.hire("Ann")
    await office.book(ann, recurrence={"frequency": "daily", **end})
    wanted = {"entry_id": await occurrence(office, 2), "window": window(2, 3, day=2), "recurrence_scope": "future"}
    told = await office.done("reschedule", wanted)
    assert await starts(office) == [
        f"2027-03-0{day}T{hour}:00:00Z" for day, hour in zip(range(1, 6), ("09", "09", "11", "11", "11"), strict=True)
    ]
    assert told["new_start"] == "2027-03-03T11:00:00Z"
    assert await office.count("schedule_entries") == 2


async def test_a_whole_series_is_moved_with_its_days_and_exceptions(office: Office) -> None:
    """Scope `all`: moving the second occurrence by a day and an hour moves every one, the gap in it, and the days."""
    ann = await office.hire("Ann")
    recurrence = {"frequency": "weekly", "days_of_week": [0, 2], "count": 4}
    booked = await office.book(ann, recurrence=recurrence)
    await office.done("cancel", {"entry_id": f"{booked['entry_id']}_1804064400000"})
    assert await starts(office) == ["2027-03-01T09:00:00Z"]
    span = {"start": WEEK["start"], "end": "2027-03-20T00:00:00Z"}
    eighth = (await office.done("search_entries", {"window": span, "status": ["scheduled"]}))["entries"][1]["entry_id"]
    await office.done("reschedule", {"entry_id": eighth, "window": window(1, 2, day=8), "recurrence_scope": "all"})
    assert await starts(office, span) == ["2027-03-02T10:00:00Z", "2027-03-09T10:00:00Z", "2027-03-11T10:00:00Z"]


@pytest.mark.parametrize(("scope", "left"), [("single", 4), ("future", 2), ("all", 0)])
async def test_cancelling_a_part_of_a_series(office: Office, scope: str, left: int) -> None:
    """A cancelled occurrence, rest or series frees its time; the row of what was cancelled stays."""
    ann = await office.hire("Ann")
    await office.book(ann, recurrence=DAILY)
    told = await office.done("cancel", {"entry_id": await occurrence(office, 2), "recurrence_scope": scope})
    assert len(await starts(office)) == left
    row = await office.owner.fetchrow(
        "SELECT status FROM schedule_entries WHERE entry_id = $1", told["updated_entry_id"]
    )
    assert row["status"] == "cancelled"
    await office.book(ann, day=2)
    told_of = [kind for kind, subject, _ in await office.events() if subject == told["updated_entry_id"]]
    assert told_of[-1] == "schedule_entry.cancelled"


async def test_reassigning_one_occurrence_leaves_the_others(office: Office) -> None:
    """Only the occurrence goes to the other technician, and only their booking on that day is in the way."""
    ann, ben = await office.hire("Ann"), await office.hire("Ben")
    await office.book(ann, recurrence=DAILY)
    await office.book(ben, day=1)
    wanted = {"assigned_user_ids": [ben]}
    await office.done("reassign", {"entry_id": await occurrence(office, 3), **wanted})
    assert len(await starts(office, assigned_user_ids=[ann])) == 4
    second = await occurrence(office, 1, ann)
    assert (await office.failed("reassign", {"entry_id": second, **wanted})).reason == "CONFLICT"
    failure = await office.failed("reassign", {"entry_id": second, **wanted, "recurrence_scope": "all"})
    assert failure.reason == "CONFLICT"


async def test_a_series_is_shifted_as_a_whole(office: Office) -> None:
    """`shift` finds the first time of day at which every occurrence is free."""
    ann = await office.hire("Ann")
    await office.book(ann, start=0, end=2, day=1)
    await office.book(ann, start=2.5, end=4, day=3)
    told = await office.book(ann, recurrence=DAILY, conflict_mode="shift")
    assert (told["start"], told["shifted"]) == ("2027-03-01T13:00:00Z", True)


async def test_series_of_other_writers_without_end_are_in_the_way(office: Office) -> None:
    """A series without end, with the PSA's pattern and an exception, blocks far days and frees the exception."""
    ann = await office.hire("Ann")
    pattern = json.dumps(
        {
            "frequency": "weekly",
            "interval": 1,
            "startDate": "2027-03-01T09:00:00.000Z",
            "daysOfWeek": [0],
            "exceptions": ["2028-03-06T09:00:00.000Z"],
        }
    )
    entry = await office.book(ann)
    await office.owner.execute(
        "UPDATE schedule_entries SET recurrence_pattern = $2, is_recurring = true WHERE entry_id = $1",
        entry["entry_id"],
        pattern,
    )
    far = {"assigned_user_ids": [ann], "title": "V", "window": window(0, 1, day=7 * 52)}
    assert (await office.failed("create_entry", far)).reason == "CONFLICT"
    await office.book(ann, day=7 * 53)
    week = {"start": window(0, 1, day=7 * 54)["start"], "end": window(1, 2, day=7 * 54)["end"]}
    (found,) = (await office.done("search_entries", {"window": week}))["entries"]
    told = await office.done("reschedule", {"entry_id": found["entry_id"], "window": window(3, 4, day=7 * 54)})
    assert (told["previous_start"], told["new_start"]) == ("2028-03-13T09:00:00Z", "2028-03-13T12:00:00Z")


@pytest.mark.parametrize("pattern", ['{"frequency": "hourly"}', "[]", '{"frequency": "daily", "endDate": "soon"}'])
async def test_a_pattern_that_nobody_can_read_does_not_break_the_board(office: Office, pattern: str) -> None:
    """An entry of another writer with garbage as its pattern counts as one that takes place once."""
    ann = await office.hire("Ann")
    entry = await office.book(ann)
    await office.owner.execute(
        "UPDATE schedule_entries SET recurrence_pattern = $2, is_recurring = true, timezone = 'Mars/Olympus' "
        "WHERE entry_id = $1",
        entry["entry_id"],
        pattern,
    )
    assert await starts(office) == ["2027-03-01T09:00:00Z"]
