"""A tenant that names the users and work items of another one."""

import grpc
import pytest

from server.gen.patchbay.v1 import directory_pb2 as pb
from server.store.database import Database
from tests.directory.conftest import Office, new_id

pytestmark = pytest.mark.anyio

DANA, TICKET = new_id(), new_id()
NOT_FOUND = grpc.StatusCode.NOT_FOUND, "USER_UNKNOWN"


@pytest.fixture
async def victim(office: Office) -> Office:
    """A tenant with a user, who has an account and a calendar, and a ticket."""
    await office.put({"id": DANA, "username": "dana", "roles": ["technician"], "timezone": "Europe/Vienna"})
    link = pb.LinkAccountRequest(user_id=DANA, provider="microsoft", account_id=new_id())
    await office.call("LinkAccount", link)
    await office.call("SetCalendar", pb.SetCalendarRequest(user_id=DANA, connected=True))
    await office.call("UpsertWorkItems", tickets("T-1", "Secret"))
    return office


def tickets(number: str, title: str) -> pb.UpsertWorkItemsRequest:
    """Returns the request that upserts the ticket."""
    item = pb.DirectoryWorkItem(type="ticket", id=TICKET, number=number, title=title)
    return pb.UpsertWorkItemsRequest(work_items=[item])


async def test_users_of_others_are_unknown(victim: Office, stranger: Office) -> None:
    """By id nobody is found, changed, linked or listed; the victim's user stays as they were."""
    before = await victim.users()
    assert await stranger.call.reason("DeactivateUser", pb.DeactivateUserRequest(user_id=DANA)) == NOT_FOUND
    link = pb.LinkAccountRequest(user_id=DANA, provider="microsoft", account_id=new_id())
    assert await stranger.call.reason("LinkAccount", link) == NOT_FOUND
    assert await stranger.call.reason("SetCalendar", pb.SetCalendarRequest(user_id=DANA)) == NOT_FOUND
    assert await stranger.users() == []
    assert await victim.users() == before


async def test_equal_ids_and_names_are_different_users(victim: Office, stranger: Office) -> None:
    """An upsert with another tenant's id and login name makes a user of one's own, and tells nothing of the other."""
    before = await victim.users()
    answer = await stranger.put({"id": DANA, "username": "dana"})
    assert answer.created == 1
    assert list(answer.users) == [pb.DirectoryUser(id=DANA, username="dana", user_type="internal", active=True)]
    await stranger.put({"id": DANA, "roles": ["admin"], "set_roles": True, "active": False})
    assert await victim.users() == before


async def test_equal_tickets_are_different_tickets(victim: Office, stranger: Office) -> None:
    """Id and number of another tenant's ticket are free, and its title stays."""
    assert not (await stranger.call("ListWorkItems")).work_items
    answer = await stranger.call("UpsertWorkItems", tickets("T-1", "Mine"))
    assert answer.created == 1
    assert [item.title for item in (await victim.call("ListWorkItems")).work_items] == ["Secret"]


async def test_the_tenant_of_others_cannot_be_named(victim: Office, stranger: Office) -> None:
    """Every rpc refuses a tenant that the key is not for."""
    forbidden = grpc.StatusCode.PERMISSION_DENIED, "TENANT_FORBIDDEN"
    for method, request in (
        ("UpsertUsers", pb.UpsertUsersRequest(users=[pb.DirectoryUser(id=DANA, username="x")])),
        ("ListUsers", pb.ListUsersRequest()),
        ("DeactivateUser", pb.DeactivateUserRequest(user_id=DANA)),
        ("LinkAccount", pb.LinkAccountRequest(user_id=DANA, provider="google", account_id="x")),
        ("SetCalendar", pb.SetCalendarRequest(user_id=DANA)),
        ("UpsertWorkItems", tickets("T-1", "x")),
        ("ListWorkItems", pb.ListWorkItemsRequest()),
    ):
        request.tenant = victim.tenant
        assert await stranger.call.reason(method, request) == forbidden


@pytest.mark.parametrize(
    "table", ["users", "roles", "user_roles", "tickets", "calendar_providers", "user_auth_accounts"]
)
async def test_rows_of_others_are_invisible(victim: Office, stranger: Office, database: Database, table: str) -> None:
    """Statements that forget the tenant find nothing, change nothing and delete nothing."""
    async with database.tenant(stranger.tenant) as connection:
        assert await connection.fetch(f"SELECT * FROM {table}") == []
        assert await connection.execute(f"DELETE FROM {table}") == "DELETE 0"
    async with database.tenant(victim.tenant) as connection:
        assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 1
