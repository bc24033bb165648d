"""Finding, searching, moving, reassigning, cancelling and completing entries that take place once."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from server.gen.patchbay.v1 import executor_pb2, identity_pb2
from tests.scheduling.office import TICKET, Office, plain, window

pytestmark = pytest.mark.anyio

SEARCHES: list[dict[str, Any]] = [
    {"window": window(0, 1)},
    {"window": {"start": window(0, 1)["start"]}},
    {"work_item": {"type": "ticket", "id": TICKET}},
    {"status": ["Scheduled"]},
    {"query": "BACKUP"},
]


async def test_an_entry_is_found_by_its_id(office: Office) -> None:
    """find_entry tells every field of the reference; an id that nothing has is `found: false`, no failure."""
    ann = await office.hire("Ann")
    booked = await office.book(ann, notes="bring keys", link={"type": "ticket", "id": TICKET})
    told = await office.done("find_entry", {"entry_id": booked["entry_id"]})
    assert told == {
        "found": True,
        "entry": {
            "entry_id": booked["entry_id"],
            "title": "Visit",
            "notes": "bring keys",
            "status": "scheduled",
            "scheduled_start": booked["start"],
            "scheduled_end": booked["end"],
            "work_item_id": TICKET,
            "work_item_type": "ticket",
            "is_private": False,
            "is_recurring": False,
            "assigned_user_ids": [ann],
            "timezone": "UTC",
        },
    }
    assert (await office.done("find_entry", {"entry_id": str(uuid4())}))["found"] is False
    assert (await office.done("find_entry", {"entry_id": f"{booked['entry_id']}_1"}))["found"] is False


@pytest.mark.parametrize("criterion", SEARCHES, ids=str)
async def test_each_criterion_finds_the_one_entry(office: Office, criterion: dict[str, Any]) -> None:
    """Window, work item, status and text each find the entry and leave out another one."""
    ann = await office.hire("Ann")
    booked = await office.book(ann, notes="check the backup", link={"type": "ticket", "id": TICKET})
    await office.book(ann, day=-3, status="planned")
    told = await office.done("search_entries", criterion)
    assert [one["entry_id"] for one in told["entries"]] == [booked["entry_id"]]
    assert (told["count"], told["more"]) == (1, False)


async def test_a_search_by_assignee_with_a_limit_says_that_there_is_more(office: Office) -> None:
    """Assignees are any of those named; `more` tells of what the limit left out; the order is by begin."""
    ann, ben = await office.hire("Ann"), await office.hire("Ben")
    booked = [await office.book(ann, start=hour, end=hour + 1) for hour in (2, 0, 1)]
    await office.book(ben)
    told = await office.done("search_entries", {"assigned_user_ids": [ann], "limit": 2})
    assert [one["entry_id"] for one in told["entries"]] == [booked[1]["entry_id"], booked[2]["entry_id"]]
    assert told["more"] is True


async def test_a_search_without_criterion_is_a_failure(office: Office) -> None:
    """A search that would return everything is refused with a remedy."""
    failure = await office.failed("search_entries", {"limit": 5})
    assert failure.reason == "CRITERION_REQUIRED"
    assert "Set a window" in failure.remedy.text


async def test_ad_hoc_entries_without_times_do_not_break_a_search(office: Office) -> None:
    """An entry that has no time yet is found, last and without times; with a window it is not."""
    ann = await office.hire("Ann")
    booked = await office.book(ann)
    timeless = await office.owner.fetchval(
        "INSERT INTO schedule_entries (tenant, title, status, work_item_type) VALUES ($1, 'Some day', 'scheduled', "
        "'ad_hoc') RETURNING entry_id::text",
        office.tenant,
    )
    told = await office.done("search_entries", {"status": ["scheduled"]})
    assert [one["entry_id"] for one in told["entries"]] == [booked["entry_id"], timeless]
    assert "scheduled_start" not in told["entries"][1]
    assert (await office.done("find_entry", {"entry_id": timeless}))["entry"]["title"] == "Some day"
    within = await office.done("search_entries", {"window": window(-9, 9)})
    assert [one["entry_id"] for one in within["entries"]] == [booked["entry_id"]]
    moved = await office.done("reschedule", {"entry_id": timeless, "window": window(5, 6)})
    assert moved["new_start"] == "2027-03-01T14:00:00Z"
    assert "previous_start" not in moved


async def test_private_entries_are_redacted_for_others(office: Office) -> None:
    """Others see a private entry as `Busy` without notes and link, and do not find it by its text; assignees do."""
    ann = await office.hire("Ann")
    link = {"type": "ticket", "id": TICKET}
    booked = await office.book(ann, notes="dentist", is_private=True, link=link)
    for actor in ("", str(uuid4())):
        told = await office.done("search_entries", {"window": window(0, 1)}, actor=actor)
        entry = told["entries"][0]
        assert (entry["title"], entry["work_item_type"]) == ("Busy", "ad_hoc")
        assert not {"notes", "work_item_id"} & set(entry)
        assert (await office.done("search_entries", {"query": "dentist"}, actor=actor))["count"] == 0
        found = await office.done(
            "find_entry", {"entry_id": booked["entry_id"], "include_private_details": True}, actor=actor
        )
        assert found["entry"]["title"] == "Busy"
    own = await office.done("search_entries", {"query": "dentist"}, actor=ann)
    assert (own["entries"][0]["title"], own["entries"][0]["notes"]) == ("Visit", "dentist")
    wanted = {"entry_id": booked["entry_id"]}
    assert (await office.done("find_entry", wanted, actor=ann))["entry"]["title"] == "Busy"
    told = await office.done("find_entry", {**wanted, "include_private_details": True}, actor=ann.upper())
    assert told["entry"]["title"] == "Visit"


async def test_rescheduling_moves_and_explains(office: Office) -> None:
    """Times before and after, reason and note in the notes, one event `updated`."""
    ann = await office.hire("Ann")
    booked = await office.book(ann, notes="bring keys")
    told = await office.done(
        "reschedule",
        {"entry_id": booked["entry_id"], "window": window(3, 5), "reason": "customer asked", "note": "park behind"},
    )
    assert told == {
        "entry_id": booked["entry_id"],
        "updated_entry_id": booked["entry_id"],
        "previous_start": "2027-03-01T09:00:00Z",
        "previous_end": "2027-03-01T10:00:00Z",
        "new_start": "2027-03-01T12:00:00Z",
        "new_end": "2027-03-01T14:00:00Z",
        "assigned_user_ids": [ann],
        "conflict_mode": "fail",
        "conflicts_detected": 0,
        "conflicts": [],
        "recurrence_scope": "single",
        "event_type": "schedule_entry.updated",
    }
    entry = (await office.done("find_entry", {"entry_id": booked["entry_id"]}))["entry"]
    assert entry["notes"] == "bring keys\ncustomer asked\npark behind"
    assert [event[::2] for event in await office.events()] == [
        ("schedule_entry.created", 1),
        ("schedule_entry.updated", 2),
    ]


@pytest.mark.parametrize("mode", ["fail", "shift", "override"])
async def test_rescheduling_onto_a_booking(office: Office, mode: str) -> None:
    """`fail` leaves all as it was, `shift` takes the next slot, `override` overlaps and notes it."""
    ann = await office.hire("Ann")
    other = await office.book(ann, start=4, end=6)
    booked = await office.book(ann)
    wanted = {"entry_id": booked["entry_id"], "window": window(4, 5), "conflict_mode": mode}
    execution = await office.run("reschedule", wanted)
    if mode == "fail":
        assert execution.failure.reason == "CONFLICT"
        assert other["entry_id"] in execution.failure.message
        assert [event[0] for event in await office.events()] == ["schedule_entry.created"] * 2
    else:
        told = plain(execution)
        assert told["conflicts_detected"] == 1
        assert told["new_start"] == {"shift": "2027-03-01T15:00:00Z", "override": "2027-03-01T13:00:00Z"}[mode]
        assert await office.count("schedule_conflicts") == (mode == "override")
    own = (
        await office.done("reschedule", {"entry_id": other["entry_id"], "window": window(4.5, 6.5)})
        if mode == "fail"
        else None
    )
    assert own is None or own["conflicts_detected"] == 0


async def test_an_entry_is_not_in_its_own_way(office: Office) -> None:
    """Moving an entry by half its length is no conflict."""
    ann = await office.hire("Ann")
    booked = await office.book(ann)
    told = await office.done("reschedule", {"entry_id": booked["entry_id"], "window": window(0.5, 1.5)})
    assert told["conflicts_detected"] == 0


async def test_reassigning_checks_conflicts_of_the_new_assignee(office: Office) -> None:
    """R16: giving an entry to somebody who is booked is CONFLICT, unless overridden; who stays is not asked."""
    ann, ben = await office.hire("Ann"), await office.hire("Ben")
    booked, other = await office.book(ann), await office.book(ben)
    wanted = {"entry_id": booked["entry_id"], "assigned_user_ids": [ben]}
    failure = await office.failed("reassign", wanted)
    assert failure.reason == "CONFLICT"
    assert other["entry_id"] in failure.message
    told = await office.done("reassign", {**wanted, "conflict_mode": "override"})
    assert (told["changed"], told["assigned_user_ids"]) == (True, [ben])
    assert await office.count("schedule_conflicts") == 1


async def test_reassigning_replaces_or_adds(office: Office) -> None:
    """`replace` and `add` tell who was and who is booked; without a change there is no event."""
    ann, ben = await office.hire("Ann"), await office.hire("Ben")
    booked = await office.book(ann)
    wanted = {"entry_id": booked["entry_id"], "assigned_user_ids": [ben]}
    added = await office.done("reassign", {**wanted, "mode": "add", "comment": "two needed"})
    assert (added["previous_assigned_user_ids"], added["assigned_user_ids"]) == ([ann], sorted([ann, ben]))
    same = await office.done("reassign", {**wanted, "mode": "add"})
    assert (same["changed"], same["event_type"]) == (False, "")
    failure = await office.failed("reassign", {**wanted, "mode": "add", "no_op_if_already_assigned": False})
    assert failure.reason == "ALREADY_ASSIGNED"
    replaced = await office.done("reassign", wanted)
    assert replaced["assigned_user_ids"] == [ben]
    assert [event[0] for event in await office.events()] == ["schedule_entry.created"] + ["schedule_entry.updated"] * 2
    rows = await office.owner.fetch("SELECT user_id::text FROM schedule_entry_assignees")
    assert [row["user_id"] for row in rows] == [ben]


async def test_reassigning_to_people_who_cannot_be_booked(office: Office) -> None:
    """A person without the role is refused with the field."""
    ann, guest = await office.hire("Ann"), await office.hire("Guest", roles=[])
    booked = await office.book(ann)
    failure = await office.failed("reassign", {"entry_id": booked["entry_id"], "assigned_user_ids": [ann, guest]})
    assert (failure.reason, failure.field) == ("NOT_A_TECHNICIAN", "assigned_user_ids[1]")


async def test_a_cancelled_entry_stays_and_frees_its_time(office: Office) -> None:
    """Cancelling keeps the row and the reason, tells once, and the slot can be booked again."""
    ann = await office.hire("Ann")
    booked = await office.book(ann)
    wanted = {"entry_id": booked["entry_id"], "reason": "customer is away"}
    told = await office.done("cancel", wanted)
    again = await office.done("cancel", wanted)
    assert (told["status"], told["reason"], told["event_type"]) == (
        "cancelled",
        "customer is away",
        "schedule_entry.cancelled",
    )
    assert (again["status"], again["event_type"]) == ("cancelled", "")
    entry = (await office.done("find_entry", {"entry_id": booked["entry_id"]}))["entry"]
    assert (entry["status"], entry["notes"]) == ("cancelled", "customer is away")
    await office.book(ann)
    assert len(await office.events()) == 3


async def test_a_completed_entry_says_when(office: Office) -> None:
    """Completing sets the status and tells when; afterwards it can neither be moved nor cancelled."""
    ann = await office.hire("Ann")
    booked = await office.book(ann)
    told = await office.done("complete", {"entry_id": booked["entry_id"], "outcome": "disk replaced"})
    assert (told["status"], told["outcome"], told["event_type"]) == (
        "completed",
        "disk replaced",
        "schedule_entry.updated",
    )
    assert told["completed_at"].startswith("20")
    for action, more in (
        ("cancel", {}),
        ("reschedule", {"window": window(2, 3)}),
        ("reassign", {"assigned_user_ids": [ann]}),
    ):
        failure = await office.failed(action, {"entry_id": booked["entry_id"], **more})
        assert (failure.reason, failure.field) == ("ENTRY_ENDED", "entry_id")


@pytest.mark.parametrize(
    ("action", "more"),
    [
        ("reschedule", {"window": window(0, 1)}),
        ("reassign", {"assigned_user_ids": [str(uuid4())]}),
        ("cancel", {}),
        ("complete", {}),
    ],
)
async def test_an_entry_that_does_not_exist(office: Office, action: str, more: dict[str, Any]) -> None:
    """Every change of an unknown entry, or at a time at which it does not take place, is ENTRY_NOT_FOUND."""
    ann = await office.hire("Ann")
    booked = await office.book(ann)
    for entry_id in (str(uuid4()), f"{booked['entry_id']}_12345", f"{booked['entry_id']}_999999999999999"):
        failure = await office.failed(action, {"entry_id": entry_id, **more})
        assert (failure.reason, failure.field) == ("ENTRY_NOT_FOUND", "entry_id")


async def test_parallel_changes_of_one_entry_are_all_told_in_order(office: Office) -> None:
    """Twelve parallel moves of one entry give it twelve events with numbers of their own, and one last time."""
    ann = await office.hire("Ann")
    booked = await office.book(ann)
    moves = [{"entry_id": booked["entry_id"], "window": window(hour, hour + 1)} for hour in range(12)]
    answers = await asyncio.gather(*(office.run("reschedule", move) for move in moves))
    assert {one.state for one in answers} == {executor_pb2.EXECUTION_STATE_SUCCEEDED}
    assert [event[2] for event in await office.events()] == list(range(1, 14))


async def test_another_tenant_finds_and_changes_nothing(office: Office) -> None:
    """A hostile tenant that knows an entry's id neither sees nor cancels it."""
    ann = await office.hire("Ann")
    booked = await office.book(ann)
    await office.caller("Identity/CreateTenant", identity_pb2.CreateTenantRequest(slug="rival"))
    wanted = {"entry_id": booked["entry_id"]}
    assert (await office.done("find_entry", wanted, tenant="rival"))["found"] is False
    assert (await office.done("search_entries", {"window": window(-9, 9)}, tenant="rival"))["count"] == 0
    assert (await office.failed("cancel", wanted, tenant="rival")).reason == "ENTRY_NOT_FOUND"
