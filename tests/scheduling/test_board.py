"""The board: who does what on which day, as GetBoard tells it."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import grpc
import pytest

from server.core.board_drawing import MOST_CONFLICTS, days_from, draw
from server.gen.patchbay.v1 import dispatch_pb2, identity_pb2
from server.sdk.schedule import Entry, User, zone_of
from tests.scheduling.office import MONDAY, TICKET, Office
from tests.support.grpc_errors import refused
from tests.support.served import TENANT, Caller

pytestmark = pytest.mark.anyio

INVALID = grpc.StatusCode.INVALID_ARGUMENT
VIENNA = "Europe/Vienna"


async def board(office: Office, first_day: str = "2027-03-01", **more: Any) -> dispatch_pb2.GetBoardResponse:
    """Returns the board of the Monday, or what else is asked for."""
    request = dispatch_pb2.GetBoardRequest(**{"tenant": TENANT, "first_day": first_day, **more})
    told: dispatch_pb2.GetBoardResponse = await office.caller("Dispatch/GetBoard", request)
    return told


def drawn(told: dispatch_pb2.GetBoardResponse) -> dict[str, list[list[str]]]:
    """Returns the titles of each technician's days, by name."""
    return {one.name: [[bar.title for bar in day.entries] for day in one.days] for one in told.technicians}


def hours(day: dispatch_pb2.BoardDay) -> float:
    """Returns how long a day is."""
    return (day.end.ToDatetime() - day.start.ToDatetime()) / timedelta(hours=1)


async def test_the_board_has_a_row_for_each_active_technician(office: Office) -> None:
    """Without ids: active people with the role, by name; others, customers and the inactive are not on it."""
    ann = await office.hire("ann")
    await office.hire("Ben", roles=("technician", "Dispatcher"))
    await office.hire("Cid", is_inactive=True)
    await office.hire("Dee", roles=("Dispatcher",))
    await office.hire("Eve", user_type="client")
    await office.book(ann, title="Router", link={"type": "ticket", "id": TICKET})
    told = await board(office)
    assert drawn(told) == {"ann": [["Router"]], "Ben": [[]]}
    (bar,) = told.technicians[0].days[0].entries
    assert (bar.status, bar.work_item_type, bar.work_item_id) == ("scheduled", "ticket", TICKET)
    assert bar.start.ToDatetime(tzinfo=UTC) == MONDAY
    assert told.technicians[0].days[0].booked.ToTimedelta() == timedelta(hours=1)
    assert (told.first_day, told.days, told.timezone) == ("2027-03-01", 1, "UTC")


async def test_those_asked_for_are_shown_though_inactive(office: Office) -> None:
    """With ids, in any case of letters and more than once, exactly these users have a row."""
    ann, cid = await office.hire("Ann"), await office.hire("Cid")
    await office.book(cid)
    await office.owner.execute("UPDATE users SET is_inactive = true WHERE user_id = $1", cid)
    assert drawn(await board(office)) == {"Ann": [[]]}
    assert drawn(await board(office, user_ids=[cid.upper(), cid])) == {"Cid": [["Visit"]]}
    assert drawn(await board(office, user_ids=[cid, ann])) == {"Ann": [[]], "Cid": [["Visit"]]}


async def test_an_entry_over_midnight_is_in_both_days(office: Office) -> None:
    """From 22:00 to 02:00 it is on two days, with two hours booked on each."""
    ann = await office.hire("Ann")
    await office.book(ann, start=13, end=17)
    first, second, third = (await board(office, days=3)).technicians[0].days
    assert [len(day.entries) for day in (first, second, third)] == [1, 1, 0]
    assert first.entries[0] == second.entries[0]
    assert [day.booked.ToTimedelta() / timedelta(hours=1) for day in (first, second, third)] == [2, 2, 0]


@pytest.mark.parametrize(("day", "length"), [("2027-03-28", 23), ("2027-10-31", 25), ("2027-06-01", 24)])
async def test_days_are_as_long_as_the_clock_makes_them(office: Office, day: str, length: float) -> None:
    """In Vienna the day of the spring change has 23 hours, that of the autumn change 25."""
    await office.hire("Ann")
    (told,) = (await board(office, day, timezone=VIENNA)).technicians[0].days
    assert (told.day, hours(told)) == (day, length)


async def test_a_series_is_drawn_as_its_occurrences(office: Office) -> None:
    """Each day of a daily series has its occurrence, with an id of its own, at its time of day in its zone."""
    ann = await office.hire("Ann")
    start = {"start": "2027-03-27T09:00:00+01:00", "end": "2027-03-27T10:00:00+01:00", "timezone": VIENNA}
    booked = await office.book(ann, window=start, recurrence={"frequency": "daily", "count": 3})
    told = await board(office, "2027-03-27", days=3, timezone=VIENNA)
    bars = [day.entries[0] for day in told.technicians[0].days]
    assert [bar.start.ToDatetime().hour for bar in bars] == [8, 7, 7]
    assert len({bar.entry_id for bar in bars}) == 3
    assert all(bar.entry_id.startswith(f"{booked['entry_id']}_") and bar.is_recurring for bar in bars)


async def test_overlaps_are_marked_on_both_sides(office: Office) -> None:
    """Entries on top of each other name each other, for the technician who has both; touching ones do not."""
    ann, ben = await office.hire("Ann"), await office.hire("Ben")
    one = (await office.book(ann, ben, title="One", end=2))["entry_id"]
    two = (await office.book(ann, title="Two", start=1, end=3, conflict_mode="override"))["entry_id"]
    await office.book(ann, title="Three", start=3, end=4)
    of_ann, of_ben = (await board(office)).technicians
    assert [list(bar.conflicts_with) for bar in of_ann.days[0].entries] == [[two], [one], []]
    assert [list(bar.conflicts_with) for bar in of_ben.days[0].entries] == [[]]
    assert of_ann.days[0].booked.ToTimedelta() == timedelta(hours=4)


async def test_what_has_ended_is_shown_only_when_asked_for(office: Office) -> None:
    """Cancelled entries are left out, or shown without conflict and without time booked."""
    ann = await office.hire("Ann")
    gone = await office.book(ann, title="Gone")
    await office.done("cancel", {"entry_id": gone["entry_id"]})
    await office.book(ann, title="Instead")
    assert drawn(await board(office)) == {"Ann": [["Instead"]]}
    (day,) = (await board(office, include_ended=True)).technicians[0].days
    told = sorted((bar.title, bar.status, bar.has_ended) for bar in day.entries)
    assert told == [("Gone", "cancelled", True), ("Instead", "scheduled", False)]
    assert [list(bar.conflicts_with) for bar in day.entries] == [[], []]
    assert day.booked.ToTimedelta() == timedelta(hours=1)


async def test_private_entries_are_busy_for_others(office: Office) -> None:
    """Title and work item are the assignee's; another viewer, and none, see `Busy` and when."""
    ann, ben = await office.hire("Ann"), await office.hire("Ben")
    booked = await office.book(ann, title="Doctor", link={"type": "ticket", "id": TICKET})
    await office.owner.execute("UPDATE schedule_entries SET is_private = true WHERE entry_id = $1", booked["entry_id"])
    for viewer, title, work in ((ann.upper(), "Doctor", TICKET), (ben, "Busy", ""), ("", "Busy", "")):
        told = await board(office, viewer_id=viewer, user_ids=[ann])
        (bar,) = told.technicians[0].days[0].entries
        assert (bar.title, bar.work_item_id, bar.is_private) == (title, work, True)
        assert ("Doctor" in str(told)) == (title == "Doctor")


async def test_pages_follow_one_another(office: Office) -> None:
    """Pages of two give every technician once, by name; namesakes too."""
    for name in ("Cid", "ann", "Ben", "Ben", "Dee"):
        await office.hire(name)
    told, seen = await board(office, page_size=2), []
    while True:
        seen += [(one.name, one.user_id) for one in told.technicians]
        if not told.next_page_token:
            break
        assert len(told.technicians) == 2
        told = await board(office, page_size=2, page_token=told.next_page_token)
    assert [name for name, _ in seen] == ["ann", "Ben", "Ben", "Cid", "Dee"]
    assert len(set(seen)) == 5


async def test_a_page_stays_within_what_clients_take(office: Office) -> None:
    """Where rows are heavy a page has fewer of them than asked for, and the next one goes on."""
    users = [await office.hire(f"T{number}") for number in range(4)]
    await office.owner.execute(
        "WITH made AS (INSERT INTO schedule_entries (tenant, title, work_item_type, status, scheduled_start, "
        "scheduled_end) SELECT $1, repeat('x', 4000), 'ad_hoc', 'scheduled', $2::timestamptz + n * interval '1 min', "
        "$2::timestamptz + (n + 1) * interval '1 min' FROM generate_series(0, 299) n RETURNING entry_id) "
        "INSERT INTO schedule_entry_assignees SELECT $1, entry_id, unnest($3::uuid[]) FROM made",
        office.tenant,
        MONDAY,
        users,
    )
    first = await board(office)
    second = await board(office, page_token=first.next_page_token)
    assert (len(first.technicians), len(second.technicians), second.next_page_token) == (2, 2, "")
    assert first.ByteSize() < 4 << 20


@pytest.mark.parametrize(
    ("field", "wish"),
    [
        ("first_day", {"first_day": "2027-02-30"}),
        ("first_day", {"first_day": "yesterday"}),
        ("first_day", {"first_day": "0001-01-01"}),
        ("first_day", {"first_day": "9999-12-31"}),
        ("days", {"days": 32}),
        ("days", {"days": -1}),
        ("timezone", {"timezone": "Mars/Olympus"}),
        ("timezone", {"timezone": "../etc/passwd"}),
        ("user_ids[1]", {"user_ids": [str(uuid4()), "me"]}),
        ("user_ids[0]", {"user_ids": [str(uuid4())]}),
        ("viewer_id", {"viewer_id": "me"}),
        ("page_size", {"page_size": 501}),
        ("page_token", {"page_token": "page two"}),
        ("page_token", {"page_token": "YQ=="}),
    ],
)
async def test_bad_questions_name_their_field(office: Office, field: str, wish: dict[str, Any]) -> None:
    """Whatever cannot be drawn is INPUT_INVALID with the field at fault."""
    with refused("INPUT_INVALID", INVALID, field):
        await board(office, **wish)


async def test_reading_needs_a_permission(office: Office) -> None:
    """`dispatch.read` and `dispatch` read the board; a key with neither, and a key of another tenant, do not."""
    await office.hire("Ann")
    await office.caller("Identity/CreateTenant", identity_pb2.CreateTenantRequest(slug="rival"))
    for permission, tenant, may in (
        ("dispatch.read", TENANT, True),
        ("dispatch", TENANT, True),
        ("catalog", TENANT, False),
        ("*", "rival", False),
    ):
        caller = await key_of(office.caller, tenant, permission)
        request = dispatch_pb2.GetBoardRequest(tenant=TENANT)
        if may:
            assert [one.name for one in (await caller("Dispatch/GetBoard", request)).technicians] == ["Ann"]
        else:
            reason = "PERMISSION_DENIED" if tenant == TENANT else "TENANT_FORBIDDEN"
            with refused(reason, grpc.StatusCode.PERMISSION_DENIED):
                await caller("Dispatch/GetBoard", request)
        await caller.close()


async def test_another_tenants_users_are_nobody(office: Office) -> None:
    """A tenant that names the other's users learns only that it has no such users, and its own board stays empty."""
    ann = await office.hire("Ann")
    await office.book(ann)
    await office.caller("Identity/CreateTenant", identity_pb2.CreateTenantRequest(slug="rival"))
    assert drawn(await board(office, tenant="rival")) == {}
    with refused("INPUT_INVALID", INVALID, "user_ids[0]"):
        await board(office, tenant="rival", user_ids=[ann])


async def key_of(caller: Caller, tenant: str, *permissions: str) -> Caller:
    """Returns a caller with a key of its own. Once there is one, `caller` needs one too, and gets one for all."""
    if not caller.metadata:
        request = identity_pb2.CreateApiKeyRequest(label="operator", permissions=["*"])
        made = await caller("Identity/CreateApiKey", request)
        caller.metadata = (("authorization", f"Bearer {made.secret}"),)
    request = identity_pb2.CreateApiKeyRequest(label="test", tenants=[tenant], permissions=permissions)
    made = await caller("Identity/CreateApiKey", request)
    return Caller(caller.target, made.secret)


def entry(number: int, start: datetime, length: timedelta) -> Entry:
    """An entry of user `u`."""
    return Entry(id=f"e{number}", title="T", status="scheduled", assignees=("u",), start=start, end=start + length)


USER = User(id="u", name="U", timezone=None, is_active=True, is_technician=True)


def test_everybody_in_a_crowd_has_a_conflict() -> None:
    """Of 200 entries at once, and a long one over many short ones, each names others, never more than the most."""
    crowd = [entry(number, MONDAY, timedelta(hours=1)) for number in range(200)]
    later = MONDAY + timedelta(hours=2)
    long = entry(200, later, timedelta(hours=10))
    short = [entry(201 + n, later + n * timedelta(minutes=5), timedelta(minutes=5)) for n in range(100)]
    days = days_from(MONDAY.date(), 1, zone_of(None))
    (row,) = draw([USER], [*crowd, long, *short], days, viewer=None, with_ended=False)
    counts = {bar.name: len(bar.conflicts) for bar in row.cells[0].bars}
    assert len(counts) == 301
    assert set(counts.values()) <= set(range(1, MOST_CONFLICTS + 1))
    assert all(bar.conflicts == ["e200"] for bar in row.cells[0].bars if bar.name in {one.id for one in short})


def test_a_day_that_a_country_left_out_has_no_hours() -> None:
    """Samoa had no 30th of December 2011: the day is there, empty, between two of 24 hours."""
    days = days_from(date(2011, 12, 29), 3, zone_of("Pacific/Apia"))
    assert [(day.span.end - day.span.start) / timedelta(hours=1) for day in days] == [24, 0, 24]


def test_days_of_a_zone_without_midnight_follow_each_other() -> None:
    """In Cairo the clock goes from midnight to one: the day begins at one and has 23 hours."""
    day, after = days_from(date(2027, 4, 30), 2, zone_of("Africa/Cairo"))
    assert day.span.start.astimezone(zone_of("Africa/Cairo")).hour == 1
    assert (day.span.end - day.span.start, day.span.end) == (timedelta(hours=23), after.span.start)


async def test_a_board_of_ten_thousand_entries_is_whole(office: Office) -> None:
    """200 technicians with 10,000 entries on 7 days: all of them are there."""
    users = [await office.hire(f"T{number:03}") for number in range(200)]
    await office.owner.execute(
        "WITH made AS (INSERT INTO schedule_entries (tenant, title, work_item_type, status, scheduled_start, "
        "scheduled_end) SELECT $1, 'Visit ' || n, 'ad_hoc', 'scheduled', $2::timestamptz + n % 50 * interval '3 h', "
        "$2::timestamptz + (n % 50 + 1) * interval '3 h' FROM generate_series(0, 9999) n RETURNING entry_id, title) "
        "INSERT INTO schedule_entry_assignees "
        "SELECT $1, entry_id, ($3::uuid[])[substr(title, 7)::int / 50 + 1] FROM made",
        office.tenant,
        MONDAY.replace(hour=0),
        users,
    )
    names, token = set(), ""
    while True:
        told = await board(office, days=7, page_token=token)
        names |= {bar.entry_id for one in told.technicians for day in one.days for bar in day.entries}
        token = told.next_page_token
        if not token:
            break
    assert len(names) == 10_000
