"""Who is meant, who can be chosen, and which channels there are."""

import pytest

from sandbox.client import SandboxControl
from server.gen.patchbay.modules.teams.v1 import teams_pb2 as pb
from server.modules.teams.actions import link_user, list_channels, list_users, notify_user, send_dm
from tests.modules.harness import Connect, Connected
from tests.modules.teams.asking import asked, failing, messages
from tests.modules.teams.world import ALERTS, BOT, DANA, DESK, FINANCE, KIM, LEE

pytestmark = pytest.mark.anyio


async def test_a_linked_user_is_reached_by_our_id(connected: Connected, vendor: SandboxControl) -> None:
    """Linked by address, kept by object id; notices and messages then go by our id."""
    linked = await connected.run(
        link_user, pb.LinkUserRequest(user_id="u-17", microsoft_user="Dana@harbor.example.com")
    )
    assert (linked.user.microsoft_user_id, linked.user.name) == (DANA, "Dana Tech")
    told = await connected.run(notify_user, pb.NotifyUserRequest(user_id="u-17", title="T"))
    assert (told.user_id, told.microsoft_user_id) == ("u-17", DANA)
    sent = await connected.run(send_dm, pb.SendDmRequest(user_id="u-17", message="x"))
    assert (sent.user_id, len(messages(vendor))) == ("u-17", 1)


async def test_a_user_who_is_not_linked_is_told(connected: Connected, vendor: SandboxControl) -> None:
    """USER_NOT_LINKED with the field; nothing is asked."""
    for handler, request in (
        (notify_user, pb.NotifyUserRequest(user_id="u-1", title="T")),
        (send_dm, pb.SendDmRequest(user_id="u-1", message="x")),
    ):
        failure = await failing(connected, handler, request)
        assert (failure.reason, failure.field) == ("USER_NOT_LINKED", "user_id")
    assert vendor.requests(1000) == []


async def test_nobody_is_linked_to_a_person_who_does_not_exist(connected: Connected) -> None:
    """NOT_FOUND, and the link that there was stays."""
    await connected.run(link_user, pb.LinkUserRequest(user_id="u-17", microsoft_user=DANA))
    request = pb.LinkUserRequest(user_id="u-17", microsoft_user="nobody@harbor.example.com")
    failure = await failing(connected, link_user, request)
    assert (failure.reason, failure.field) == ("NOT_FOUND", "microsoft_user")
    linked = await connected.accounts.of_user("microsoft", "u-17")
    assert linked is not None
    assert linked.account_id == DANA


async def test_a_person_is_reached_by_address(connected: Connected) -> None:
    """Graph is asked for the object id."""
    told = await connected.run(send_dm, pb.SendDmRequest(email="lee@harbor.example.com", message="x"))
    assert (told.microsoft_user_id, told.HasField("user_id")) == (LEE, False)


async def test_people_are_the_linked_and_the_members(connected: Connected) -> None:
    """Once each, by name, with our id where there is one; what is typed narrows them."""
    for user, person in (("u-4", KIM), ("u-17", DANA)):
        await connected.run(link_user, pb.LinkUserRequest(user_id=user, microsoft_user=person))
    told = await connected.run(list_users, pb.ListUsersRequest())
    assert [(one.name, one.user_id) for one in told.users] == [
        ("Dana Tech", "u-17"),
        ("Kim New", "u-4"),
        ("Lee Night", ""),
        ("Sam Quiet", ""),
    ]
    found = await connected.run(list_users, pb.ListUsersRequest(query="LEE@", limit=1))
    assert [one.microsoft_user_id for one in found.users] == [LEE]
    assert found.count == 1


async def test_members_are_walked_to_the_end(connected: Connected, vendor: SandboxControl) -> None:
    """A team larger than a page is listed whole."""
    people = [f"7d9f3b54-3333-4444-8555-{number:012}" for number in range(205)]
    users = [
        {
            "id": one,
            "directory": "6a1f0c8e-2222-4b1d-9f00-0123456789ab",
            "upn": f"{one}@x.test",
            "name": one,
            "channel_id": f"29:{one}",
        }
        for one in people
    ]
    vendor.patch_state(add_users=users, teams={DESK: {"members": people}})
    rows = await connected.run(list_users, pb.ListUsersRequest(query="000000000204"))
    assert [one.microsoft_user_id for one in rows.users] == [people[204]]


async def test_channels_are_listed_by_name(connected: Connected) -> None:
    """General has its name from us; private channels are not told by Teams."""
    told = await connected.run(list_channels, pb.ListChannelsRequest())
    assert [(one.name, one.channel_id) for one in told.channels] == [("Alerts", ALERTS), ("General", DESK)]
    found = await connected.run(list_channels, pb.ListChannelsRequest(query="gen", team_id=DESK))
    assert [one.channel_id for one in found.channels] == [DESK]


@pytest.mark.parametrize(
    ("handler", "request_"), [(list_channels, pb.ListChannelsRequest), (list_users, pb.ListUsersRequest)]
)
async def test_a_team_without_the_app_tells_nothing(connected: Connected, handler: object, request_: type) -> None:
    """APP_NOT_IN_TEAM."""
    failure = await failing(connected, handler, request_(team_id=FINANCE))
    assert failure.reason == "APP_NOT_IN_TEAM"


async def test_without_a_team_only_the_linked_are_listed(connect: Connect, vendor: SandboxControl) -> None:
    """Nothing is asked of Teams."""
    connected = connect()
    connected.client.settings.team_id = ""
    assert (await connected.run(list_users, pb.ListUsersRequest())).count == 0
    assert (await connected.run(list_channels, pb.ListChannelsRequest())).count == 0
    assert asked(vendor) == []


async def test_looking_up_people_needs_a_right(connected: Connected, vendor: SandboxControl) -> None:
    """Without it an address names nobody, and the failure says so."""
    vendor.patch_state(bots={BOT: {"roles": []}})
    failure = await failing(connected, send_dm, pb.SendDmRequest(email="lee@harbor.example.com", message="x"))
    assert failure.reason == "VENDOR_PERMISSION_DENIED"
