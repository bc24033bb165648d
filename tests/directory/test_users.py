"""Users of the directory: what is stored, what keeps its value, who is found."""

import asyncio
from datetime import UTC, datetime, timedelta

import grpc
import pytest

from server.gen.patchbay.v1 import directory_pb2 as pb
from server.store.database import Database
from server.store.schedule import Board
from tests.directory.conftest import Office, new_id
from tests.identity.calling import Caller
from tests.identity.conftest import MakeKey

pytestmark = pytest.mark.anyio

DANA, ALEX, KIM = new_id(), new_id(), new_id()
FULL = {
    "id": DANA,
    "username": "dana",
    "email": "dana@msp.test",
    "first_name": "Dana",
    "last_name": "Rivera",
    "user_type": "internal",
    "roles": ["Technician", "Dispatcher"],
    "timezone": "Europe/Vienna",
    "active": True,
}


async def test_a_user_comes_back_as_given(office: Office) -> None:
    """Every field is stored; ids in capitals name the same user."""
    answer = await office.put({**FULL, "id": DANA.upper()})
    assert answer.created == 1
    expected = pb.DirectoryUser(**{**FULL, "roles": ["Dispatcher", "Technician"]})
    assert list(answer.users) == [expected]
    assert await office.users() == [expected]


async def test_a_new_user_needs_only_an_id_and_an_address(office: Office) -> None:
    """The address is the login name, the rest is as the contract says."""
    await office.put({"id": ALEX, "email": "alex@msp.test"})
    assert await office.users() == [
        pb.DirectoryUser(id=ALEX, username="alex@msp.test", email="alex@msp.test", user_type="internal", active=True)
    ]


async def test_unset_fields_keep_their_value(office: Office) -> None:
    """A second upsert with the id and one field changes that field; nobody is new."""
    await office.put(FULL)
    answer = await office.put({"id": DANA, "last_name": "Meier"})
    assert answer.created == 0
    assert await office.users() == [
        pb.DirectoryUser(**{**FULL, "last_name": "Meier", "roles": ["Dispatcher", "Technician"]})
    ]


async def test_empty_texts_remove_a_value(office: Office) -> None:
    """Address, names and time zone can be taken away; roles are replaced when it is said."""
    await office.put(FULL)
    removed = {"email": "", "first_name": "", "last_name": "", "timezone": "", "set_roles": True}
    await office.put({"id": DANA, **removed})
    assert await office.users() == [pb.DirectoryUser(id=DANA, username="dana", user_type="internal", active=True)]


async def test_roles_are_the_same_in_any_case(office: Office, database: Database) -> None:
    """Users given `Technician` and `technician` have one role, as it was first spelled."""
    await office.put({"id": DANA, "username": "d", "roles": ["Technician"]})
    answer = await office.put({"id": ALEX, "username": "a", "roles": ["technician", "TECHNICIAN"]})
    assert len(answer.users[0].roles) == 1
    async with database.tenant(office.tenant) as connection:
        assert [row["role_name"] for row in await connection.fetch("SELECT role_name FROM roles")] == ["Technician"]
        assert await connection.fetchval("SELECT count(*) FROM user_roles") == 2


async def test_two_users_swap_their_login_names(office: Office) -> None:
    """Names are compared when all users of the request are as they are to be."""
    await office.put({"id": DANA, "username": "one"}, {"id": ALEX, "username": "two"})
    await office.put({"id": DANA, "username": "two"}, {"id": ALEX, "username": "one"})
    assert {user.id: user.username for user in await office.users()} == {DANA: "two", ALEX: "one"}


async def test_checking_only_changes_nothing(office: Office) -> None:
    """`validate_only` answers as an upsert does, and stores nothing."""
    answer = await office.put(FULL, validate_only=True)
    assert (answer.created, answer.users[0].username) == (1, "dana")
    assert await office.users() == []


async def test_the_list_is_by_name_and_in_pages(office: Office) -> None:
    """Pages follow each other in the order of names in any case, with no user twice or left out."""
    names = ["zoe", "Anna", "bert", "Émile", "anna", "Bob Ross", "_x"]
    await office.put(*({"id": new_id(), "username": f"u{at}", "first_name": name} for at, name in enumerate(names)))
    everybody = await office.users()
    pages: list[pb.DirectoryUser] = []
    token = ""
    while True:
        answer = await office.call("ListUsers", pb.ListUsersRequest(page_size=2, page_token=token))
        pages += answer.users
        token = answer.next_page_token
        if not token:
            break
        assert len(answer.users) == 2
    assert pages == everybody
    assert sorted(user.first_name for user in pages) == sorted(names)
    lower = [user.first_name.lower() for user in pages if user.first_name.isascii() and user.first_name.isalpha()]
    assert lower == sorted(lower)


async def test_users_are_found_by_what_people_type(office: Office) -> None:
    """Name, login name and address are searched in any case; a wildcard is a character like any other."""
    await office.put(FULL, {"id": ALEX, "username": "alex", "email": "a.b@other.test"})
    found = {text: [user.id for user in await office.users(query=text)] for text in ("a rIV", "ALEX", "@other", "%")}
    assert found == {"a rIV": [DANA], "ALEX": [ALEX], "@other": [ALEX], "%": []}


async def test_only_who_can_be_booked_is_a_technician(office: Office) -> None:
    """Inactive users, people of customers and those without the role are left out."""
    role = {"roles": ["technician"]}
    await office.put(
        {**FULL, "roles": ["TECHNICIAN"]},
        {"id": new_id(), "username": "away", "active": False, **role},
        {"id": new_id(), "username": "customer", "user_type": "client", **role},
        {"id": new_id(), "username": "clerk", "roles": ["Dispatcher"]},
    )
    assert [user.id for user in await office.users(technicians_only=True)] == [DANA]
    assert len(await office.users()) == 4


async def book(database: Database, tenant: str, user: str, start: datetime, status: str = "scheduled") -> None:
    """Puts an entry of an hour on the board."""
    entry = new_id()
    async with database.tenant(tenant) as connection:
        await connection.execute(
            "INSERT INTO schedule_entries (tenant, entry_id, title, work_item_type, scheduled_start, scheduled_end, "
            "status) VALUES ($1, $2, 'x', 'ad_hoc', $3, $3::timestamptz + interval '1 hour', $4)",
            tenant,
            entry,
            start,
            status,
        )
        await connection.execute("INSERT INTO schedule_entry_assignees VALUES ($1, $2, $3)", tenant, entry, user)


async def test_deactivating_tells_what_is_booked(office: Office, database: Database) -> None:
    """Entries to come are counted without cancelled ones, and stay; the board sees an inactive user."""
    await office.put(FULL)
    now = datetime.now(UTC)
    await book(database, office.tenant, DANA, now + timedelta(days=1))
    await book(database, office.tenant, DANA, now + timedelta(days=2), "Cancelled")
    await book(database, office.tenant, DANA, now - timedelta(days=1))
    for _ in range(2):
        answer = await office.call("DeactivateUser", pb.DeactivateUserRequest(user_id=DANA))
        assert (answer.user.active, answer.upcoming_entries) == (False, 1)
    board = Board(database, office.tenant)
    assert not (await board.users([DANA]))[DANA].is_active
    assert len(await board.booked([DANA], now - timedelta(days=3), now + timedelta(days=3))) == 3


async def test_the_board_sees_what_the_directory_stores(office: Office, database: Database) -> None:
    """Name, zone and the role of a technician, in whatever case it is written, are what booking asks for."""
    await office.put(FULL)
    user = (await Board(database, office.tenant).users([DANA]))[DANA]
    assert (user.name, user.timezone) == ("Dana Rivera", "Europe/Vienna")
    assert (user.is_active, user.is_technician) == (True, True)


async def test_parallel_upserts_of_the_same_users_all_end(office: Office) -> None:
    """Callers that give the same people in different orders wait for each other; the last one counts."""
    ids = [new_id() for _ in range(30)]

    def users(turn: int) -> list[dict[str, object]]:
        ordered = ids if turn % 2 else ids[::-1]
        return [{"id": id, "username": f"u-{id}", "last_name": f"turn {turn}", "roles": [f"r{turn}"]} for id in ordered]

    answers = await asyncio.gather(*(office.put(*users(turn)) for turn in range(8)))
    assert sorted(answer.created for answer in answers) == [0] * 7 + [30]
    listed = await office.users(page_size=100)
    assert len(listed) == 30
    assert len({user.last_name for user in listed}) == 1


async def test_reading_needs_less_than_writing(office: Office, served_directory: Caller, make_key: MakeKey) -> None:
    """`directory.read` lists and changes nothing; a key for actions does neither."""
    denied = grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED"
    bound = frozenset({office.tenant})
    reader = served_directory.using((await make_key(tenants=bound, permissions=("directory.read",)))[1])
    actions = served_directory.using((await make_key(tenants=bound, permissions=("scheduling.*", "catalog")))[1])
    for method in pb.DESCRIPTOR.services_by_name["Directory"].methods:
        request = REQUESTS[method.name]
        assert await actions.reason(method.name, request) == denied
        assert (await served_directory.reason(method.name, request))[1] == "CREDENTIALS_MISSING"
        if method.name.startswith("List"):
            await reader(method.name, request)
        else:
            assert await reader.reason(method.name, request) == denied


REQUESTS = {
    "UpsertUsers": pb.UpsertUsersRequest(users=[pb.DirectoryUser(id=KIM, username="kim")]),
    "ListUsers": pb.ListUsersRequest(),
    "DeactivateUser": pb.DeactivateUserRequest(user_id=KIM),
    "LinkAccount": pb.LinkAccountRequest(user_id=KIM, provider="microsoft", account_id=KIM),
    "SetCalendar": pb.SetCalendarRequest(user_id=KIM),
    "UpsertWorkItems": pb.UpsertWorkItemsRequest(work_items=[pb.DirectoryWorkItem(type="ticket", id=KIM, title="x")]),
    "ListWorkItems": pb.ListWorkItemsRequest(),
}
