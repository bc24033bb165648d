"""Linked accounts and calendars of the directory's users."""

import grpc
import pytest

from server.gen.patchbay.v1 import directory_pb2 as pb
from server.store.accounts import Accounts
from server.store.database import Database
from tests.directory.conftest import Office, new_id

pytestmark = pytest.mark.anyio

DANA, ENTRA = new_id(), new_id()


@pytest.fixture
async def staffed(office: Office) -> Office:
    """A tenant with a user."""
    await office.put({"id": DANA, "username": "dana", "first_name": "Dana"})
    return office


async def link(office: Office, account_id: str = ENTRA, **more: str) -> pb.DirectoryUser:
    """Links Dana's account."""
    request = pb.LinkAccountRequest(**{"user_id": DANA, "provider": "microsoft", "account_id": account_id, **more})
    answer: pb.LinkAccountResponse = await office.call("LinkAccount", request)
    return answer.user


async def calendar(office: Office, *, connected: bool, calendar_id: str = "") -> pb.DirectoryUser:
    """Connects or disconnects Dana's calendar."""
    request = pb.SetCalendarRequest(user_id=DANA, connected=connected, calendar_id=calendar_id)
    answer: pb.SetCalendarResponse = await office.call("SetCalendar", request)
    return answer.user


async def test_a_link_is_what_modules_see(staffed: Office, database: Database) -> None:
    """The id is stored in small letters, with address and name; lists tell it, and when it was made."""
    user = await link(staffed, ENTRA.upper(), email="dana@msp.test", user_id=DANA.upper())
    (account,) = user.accounts
    assert (account.provider, account.account_id, account.email) == ("microsoft", ENTRA, "dana@msp.test")
    assert account.HasField("link_time")
    assert await staffed.users() == [user]
    seen = await Accounts(database, staffed.tenant).of_user("microsoft", DANA)
    assert seen is not None
    assert (seen.account_id, seen.email, seen.name) == (ENTRA, "dana@msp.test", "Dana")


async def test_a_later_link_takes_the_place_of_the_first(staffed: Office) -> None:
    """A user has one account at a provider, and may have one at each."""
    await link(staffed)
    await link(staffed, "108", provider="google")
    user = await link(staffed, other := new_id())
    assert [(one.provider, one.account_id) for one in user.accounts] == [("google", "108"), ("microsoft", other)]


@pytest.mark.parametrize(
    "account_id",
    ["dana@msp.test", "108", "{" + ENTRA[1:-1] + "}", ENTRA.replace("-", "")],
    ids=["address", "number", "braces", "no dashes"],
)
async def test_microsoft_accounts_are_object_ids(staffed: Office, account_id: str) -> None:
    """An address or another spelling is refused with the field, and nothing is linked."""
    request = pb.LinkAccountRequest(user_id=DANA, provider="microsoft", account_id=account_id)
    assert await staffed.call.violations("LinkAccount", request) == ["account_id"]
    assert not (await staffed.users())[0].accounts


async def test_a_calendar_needs_a_linked_account(staffed: Office) -> None:
    """Without an account the calendar cannot be connected; with one it can, be disconnected, and connected again."""
    refused = pb.SetCalendarRequest(user_id=DANA, connected=True)
    status = grpc.StatusCode.FAILED_PRECONDITION, "ACCOUNT_NOT_LINKED"
    assert await staffed.call.reason("SetCalendar", refused) == status
    await link(staffed)
    for connected in (True, True, False, False, True):
        user = await calendar(staffed, connected=connected)
        assert user.calendar_connected is connected
        assert await staffed.users() == [user]


async def test_the_chosen_calendar_is_stored(staffed: Office, database: Database) -> None:
    """Connecting sets the calendar or the default one; disconnecting leaves it."""
    await link(staffed)
    stored = []
    for connected, calendar_id in ((True, "AAMk="), (False, ""), (True, "")):
        await calendar(staffed, connected=connected, calendar_id=calendar_id)
        async with database.tenant(staffed.tenant) as connection:
            row = await connection.fetchrow("SELECT calendar_id, is_active, status FROM calendar_providers")
            stored.append(tuple(row))
    assert stored == [("AAMk=", True, "connected"), ("AAMk=", False, "disconnected"), (None, True, "connected")]


async def test_an_upsert_leaves_accounts_and_calendar(staffed: Office) -> None:
    """What the contract calls answers only is told by an upsert and never changed by it."""
    await link(staffed)
    before = await calendar(staffed, connected=True)
    answer = await staffed.put({"id": DANA, "accounts": [{"provider": "evil", "account_id": "x"}]})
    assert list(answer.users) == [before]
