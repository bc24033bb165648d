"""scheduling.create_entry: what it books, what it refuses, and what it leaves behind."""

import asyncio
from typing import Any
from uuid import uuid4

import grpc
import pytest

from server.gen.patchbay.v1 import executor_pb2, identity_pb2
from tests.scheduling.office import TASK, TICKET, Office, at, plain, window
from tests.support.grpc_errors import refused

pytestmark = pytest.mark.anyio


async def test_a_visit_is_booked_with_the_outputs_of_the_reference(office: Office) -> None:
    """An entry for a ticket holds users, times, link and status as given; times are told in UTC."""
    ann = await office.hire("Ann", timezone="Europe/Vienna")
    told = await office.done(
        "create_entry",
        {
            "assigned_user_ids": [ann, ann.upper()],
            "title": "  Replace disk ",
            "window": {"start": "2027-03-01T10:00:00+01:00", "end": "2027-03-01T11:30:00+01:00"},
            "link": {"type": "ticket", "id": TICKET},
            "status": "in_progress",
            "notes": "FS-01",
        },
    )
    entry_id = told.pop("entry_id")
    assert told == {
        "assigned_user_ids": [ann],
        "start": "2027-03-01T09:00:00Z",
        "end": "2027-03-01T10:30:00Z",
        "work_item_id": TICKET,
        "work_item_type": "ticket",
        "status": "in_progress",
        "shifted": False,
        "conflicts": [],
    }
    row = await office.owner.fetchrow("SELECT * FROM schedule_entries WHERE entry_id = $1", entry_id)
    assert (row["title"], row["notes"], row["timezone"], row["is_recurring"]) == (
        "Replace disk",
        "FS-01",
        "Europe/Vienna",
        False,
    )


async def test_an_entry_without_link_is_ad_hoc_and_scheduled(office: Office) -> None:
    """Without link and status an entry is `ad_hoc` and `scheduled`; a project task can be linked as well."""
    ann = await office.hire("Ann")
    alone = await office.book(ann)
    linked = await office.book(ann, start=2, end=3, link={"type": "project_task", "id": TASK})
    assert "work_item_id" not in alone
    assert (alone["work_item_type"], alone["status"]) == ("ad_hoc", "scheduled")
    assert linked["work_item_type"] == "project_task"


async def test_rule_16_effect_record_audit_and_event_are_one_transaction(office: Office) -> None:
    """Rule 16: entry, execution, audit row and outbox event carry the same transaction id."""
    ann = await office.hire("Ann")
    execution = await office.run(
        "create_entry", {"assigned_user_ids": [ann], "title": "Visit", "window": window(0, 1)}, actor="dispatcher"
    )
    entry_id = plain(execution)["entry_id"]
    row = await office.owner.fetchrow(
        "SELECT e.xmin::text AS entry, i.xmin::text AS record, a.xmin::text AS audit, o.xmin::text AS event, "
        "a.operation, a.actor, a.execution_id::text AS execution, o.type, o.sequence "
        "FROM schedule_entries e, workflow_action_invocations i, audit_log a, outbox_events o "
        "WHERE e.entry_id = $1 AND i.invocation_id = $2 AND a.record = 'schedule_entries/' || $1::uuid "
        "AND o.subject = $1",
        entry_id,
        execution.id,
    )
    assert len({row["entry"], row["record"], row["audit"], row["event"]}) == 1
    assert (row["operation"], row["actor"]) == ("workflow_action:scheduling.create_entry", "dispatcher")
    assert row["execution"] == execution.id
    assert (row["type"], row["sequence"]) == ("schedule_entry.created", 1)


async def test_the_same_key_returns_the_same_entry(office: Office) -> None:
    """A repeat with the key returns the entry that exists and books nothing."""
    ann, key = await office.hire("Ann"), str(uuid4())
    wanted = {"assigned_user_ids": [ann], "title": "Visit", "window": window(0, 1)}
    first = await office.run("create_entry", wanted, key)
    second = await office.run("create_entry", wanted, key)
    assert (second.replayed, plain(second)) == (True, plain(first))
    assert await office.count("schedule_entries") == 1


async def test_a_conflict_names_the_entries_in_the_way(office: Office) -> None:
    """`fail` answers CONFLICT naming user, time and entry, and writes nothing; touching edges are no conflict."""
    ann = await office.hire("Ann")
    booked = await office.book(ann)
    failure = await office.failed(
        "create_entry", {"assigned_user_ids": [ann], "title": "Visit", "window": window(0.5, 1.5)}
    )
    assert (failure.reason, failure.field, failure.retryable) == ("CONFLICT", "window", False)
    assert booked["entry_id"] in failure.message
    assert ann in failure.message
    assert await office.count("schedule_entries") == 1
    await office.book(ann, start=1, end=2)


@pytest.mark.parametrize("status", ["cancelled", "Completed", "no-show", "done"])
async def test_entries_that_have_ended_are_in_nobodys_way(office: Office, status: str) -> None:
    """Cancelled, completed and no-show entries take up no time."""
    ann = await office.hire("Ann")
    await office.book(ann)
    await office.owner.execute("UPDATE schedule_entries SET status = $1", status)
    await office.book(ann)


async def test_shift_finds_the_next_free_slot_not_one_step(office: Office) -> None:
    """R16: `shift` passes a row of bookings and a gap that is too short, to the first slot that is long enough."""
    ann, ben = await office.hire("Ann"), await office.hire("Ben")
    await office.book(ann, start=0, end=1)
    await office.book(ben, start=1, end=2)
    await office.book(ann, start=2.5, end=4)
    told = await office.done(
        "create_entry",
        {"assigned_user_ids": [ann, ben], "title": "Both", "window": window(0.25, 1.25), "conflict_mode": "shift"},
    )
    assert (told["start"], told["end"], told["shifted"]) == ("2027-03-01T13:00:00Z", "2027-03-01T14:00:00Z", True)


async def test_shift_gives_up_after_31_days(office: Office) -> None:
    """With a booking over the whole time there is NO_FREE_SLOT, and nothing is written."""
    ann = await office.hire("Ann")
    for day in (0, 30):
        await office.book(ann, start=0, end=31 * 24 - 1, day=day, conflict_mode="override")
    failure = await office.failed(
        "create_entry",
        {"assigned_user_ids": [ann], "title": "Visit", "window": window(1, 2), "conflict_mode": "shift"},
    )
    assert failure.reason == "NO_FREE_SLOT"
    assert await office.count("schedule_entries") == 2


async def test_override_notes_each_pair_once(office: Office) -> None:
    """R16: an overlap that two assignees share is one row of conflicts, and the answer names both bookings."""
    ann, ben = await office.hire("Ann"), await office.hire("Ben")
    other = await office.book(ann, ben)
    told = await office.book(ann, ben, start=0.5, end=1.5, conflict_mode="override")
    rows = await office.owner.fetch("SELECT entry_id_1::text, entry_id_2::text FROM schedule_conflicts")
    assert [set(row.values()) for row in rows] == [{other["entry_id"], told["entry_id"]}]
    assert [(one["entry_id"], one["user_id"]) for one in told["conflicts"]] == [
        (other["entry_id"], user) for user in sorted([ann, ben])
    ]


@pytest.mark.parametrize(
    ("who", "reason"),
    [
        ({"is_inactive": True}, "USER_INACTIVE"),
        ({"user_type": "client"}, "NOT_A_TECHNICIAN"),
        ({"roles": ["Dispatcher"]}, "NOT_A_TECHNICIAN"),
    ],
)
async def test_people_who_cannot_be_booked(office: Office, who: dict[str, Any], reason: str) -> None:
    """Inactive users, customers' people and people without the role are told apart, with the field at fault."""
    ann, other = await office.hire("Ann"), await office.hire("Odd", **who)
    failure = await office.failed(
        "create_entry", {"assigned_user_ids": [ann, other], "title": "Visit", "window": window(0, 1)}
    )
    assert (failure.reason, failure.field) == (reason, "assigned_user_ids[1]")
    assert await office.count("schedule_entries") == 0


async def test_people_and_work_that_do_not_exist(office: Office) -> None:
    """An unknown user and an unknown ticket are failures with the field."""
    ann, nobody = await office.hire("Ann"), str(uuid4())
    missing = await office.failed("create_entry", {"assigned_user_ids": [nobody], "title": "V", "window": window(0, 1)})
    unknown = await office.failed(
        "create_entry",
        {
            "assigned_user_ids": [ann],
            "title": "V",
            "window": window(0, 1),
            "link": {"type": "ticket", "id": TASK},
        },
    )
    assert (missing.reason, missing.field) == ("USER_NOT_FOUND", "assigned_user_ids[0]")
    assert (unknown.reason, unknown.field) == ("WORK_ITEM_NOT_FOUND", "link.id")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"window": {"start": at(1), "end": at(0)}}, "input.window"),
        ({"window": {"start": at(0), "end": at(0)}}, "input.window"),
        ({"window": {"start": at(0), "end": at(0, day=32)}}, "input.window"),
        ({"window": {"start": "tomorrow", "end": at(0)}}, "input.window.start"),
        ({"window": {"start": at(0)}}, "input.window.end"),
        ({"title": "  "}, "input.title"),
        ({"assigned_user_ids": []}, "input.assigned_user_ids"),
        ({"assigned_user_ids": ["ann"]}, "input.assigned_user_ids[0]"),
        ({"conflict_mode": "maybe"}, "input.conflict_mode"),
        ({"link": {"type": "invoice", "id": TICKET}}, "input.link.type"),
        ({"status": "<b>"}, "input.status"),
        ({"recurrence": {"frequency": "hourly", "count": 2}}, "input.recurrence.frequency"),
        ({"recurrence": {"frequency": "daily"}}, "input.recurrence.end"),
        ({"recurrence": {"frequency": "daily", "count": 2, "until": at(0, 9)}}, "input.recurrence.count"),
        ({"recurrence": {"frequency": "daily", "count": 1001}}, "input.recurrence.count"),
    ],
)
async def test_bad_input_names_the_field(office: Office, change: dict[str, Any], field: str) -> None:
    """Input that cannot be right is refused with the field, and nothing is stored."""
    wanted = {"assigned_user_ids": [str(uuid4())], "title": "Visit", "window": window(0, 1), **change}
    with refused("INPUT_INVALID", grpc.StatusCode.INVALID_ARGUMENT, field):
        await office.run("create_entry", wanted)


async def test_an_unknown_zone_is_told(office: Office) -> None:
    """A zone that the IANA database does not have is a failure with the field."""
    ann = await office.hire("Ann")
    for name in ("Mars/Olympus", "../../etc/passwd", "posix/Europe"):
        failure = await office.failed(
            "create_entry", {"assigned_user_ids": [ann], "title": "V", "window": window(0, 1, timezone=name)}
        )
        assert (failure.reason, failure.field) == ("TIME_ZONE_UNKNOWN", "window.timezone")


async def test_32_callers_for_one_technician_one_wins(office: Office) -> None:
    """R16: of 32 parallel bookings of one slot exactly one succeeds; 31 get CONFLICT naming its entry."""
    ann = await office.hire("Ann")
    wanted = {"assigned_user_ids": [ann], "title": "Visit", "window": window(0, 1)}
    answers = await asyncio.gather(*(office.run("create_entry", wanted) for _ in range(32)))
    won = [one for one in answers if one.state == executor_pb2.EXECUTION_STATE_SUCCEEDED]
    lost = [one.failure for one in answers if one.state == executor_pb2.EXECUTION_STATE_FAILED]
    assert (len(won), len(lost)) == (1, 31)
    assert {one.reason for one in lost} == {"CONFLICT"}
    assert all(plain(won[0])["entry_id"] in one.message for one in lost)
    assert await office.count("schedule_entries") == 1


async def test_parallel_shifts_never_overlap(office: Office) -> None:
    """16 parallel callers that may shift all get a slot of their own, back to back."""
    ann = await office.hire("Ann")
    wanted = {"assigned_user_ids": [ann], "title": "V", "window": window(0, 1), "conflict_mode": "shift"}
    told = await asyncio.gather(*(office.done("create_entry", wanted) for _ in range(16)))
    starts = sorted(one["start"] for one in told)
    assert len(set(starts)) == 16
    assert max(starts) == "2027-03-02T00:00:00Z"


async def test_crossing_assignees_do_not_block_each_other_for_good(office: Office) -> None:
    """Bookings that name the same people in other orders all end: locks are taken in one order."""
    people = [await office.hire(f"P{index}") for index in range(4)]
    orders = [people, people[::-1], people[1:] + people[:1], people[2:] + people[:2]]
    inputs = [
        {"assigned_user_ids": order, "title": "V", "window": window(0, 1), "conflict_mode": "shift"}
        for order in orders * 4
    ]
    told = await asyncio.gather(*(office.done("create_entry", wanted) for wanted in inputs))
    assert len({one["start"] for one in told}) == 16


async def test_another_tenant_cannot_book_these_people(office: Office) -> None:
    """A hostile tenant that knows the ids of users and tickets finds neither."""
    ann = await office.hire("Ann")
    await office.caller("Identity/CreateTenant", identity_pb2.CreateTenantRequest(slug="rival"))
    failure = await office.failed(
        "create_entry", {"assigned_user_ids": [ann], "title": "V", "window": window(0, 1)}, tenant="rival"
    )
    assert failure.reason == "USER_NOT_FOUND"
