"""What the bot has heard decides where it speaks."""

from dataclasses import replace

import pytest

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from server.gen.patchbay.modules.teams.v1 import teams_pb2 as pb
from server.modules.teams.actions import list_teams, post_to_channel, send_dm
from server.sdk.conversations import CHANNEL, PERSONAL, ConversationReference
from tests.modules.harness import Connected
from tests.modules.teams.asking import asked, failing, messages
from tests.modules.teams.world import ALERTS, BOT, DANA, DESK, DIRECTORY, FINANCE

pytestmark = pytest.mark.anyio

CHAT = "a:1HarborDanaPatchbay"
DM = pb.SendDmRequest(microsoft_user_id=DANA, message="x")
POST = pb.PostToChannelRequest(channel_id=ALERTS, message="x")


def heard(server: SandboxServer, region: str = "emea") -> ConversationReference:
    """A chat with a person, as the bot heard of it in a region."""
    return ConversationReference(
        conversation_id=CHAT,
        bot_app_id=BOT,
        conversation_type=PERSONAL,
        service_url=f"{server.url}/connector/{region}/",
        entra_tenant_id=DIRECTORY,
        microsoft_user_id=DANA,
    )


def in_team(server: SandboxServer, team: str = DESK, name: str = "") -> ConversationReference:
    """A channel, as the bot heard of it."""
    known = replace(heard(server), conversation_id=team, conversation_type=CHANNEL, microsoft_user_id=None)
    return replace(known, team_id=team, team_name=name or None)


async def test_a_chat_that_is_known_is_used(
    connected: Connected, vendor: SandboxControl, server: SandboxServer
) -> None:
    """At the address that Teams told for it; nothing is opened."""
    await connected.conversations.remember(heard(server))
    told = await connected.run(send_dm, DM)
    assert told.conversation_id == CHAT
    (request,) = asked(vendor, "connector")
    assert request.startswith("POST /connector/emea/v3/conversations/a")


async def test_a_chat_that_is_gone_is_forgotten_and_opened_again(
    connected: Connected, vendor: SandboxControl, server: SandboxServer
) -> None:
    """One message arrives, in the chat that is opened; the one that is gone is not tried again."""
    await connected.conversations.remember(replace(heard(server), conversation_id="a:1Gone"))
    await connected.run(send_dm, DM)
    assert len(messages(vendor)) == 1
    assert await connected.conversations.personal(BOT, DANA) is None


async def test_a_tenant_that_moved_is_found(
    connected: Connected, vendor: SandboxControl, server: SandboxServer
) -> None:
    """The old region refuses; the global address takes the post, once."""
    await connected.conversations.remember(in_team(server))
    vendor.patch_state(directories={DIRECTORY: {"region": "apac"}})
    await connected.run(post_to_channel, POST)
    assert [one.split("/")[2] for one in asked(vendor, "connector")] == ["emea", "teams"]
    assert len(messages(vendor)) == 1


async def test_no_token_goes_where_a_row_says(
    connected: Connected, vendor: SandboxControl, server: SandboxServer
) -> None:
    """An address that is not Teams' is refused before anything is asked, not even a token."""
    await connected.conversations.remember(replace(heard(server), service_url="https://evil.trafficmanager.net/emea/"))
    for handler, request in ((send_dm, DM), (post_to_channel, POST)):
        assert (await failing(connected, handler, request)).reason == "UNTRUSTED_SERVICE_URL"
    assert vendor.requests(1000) == []


async def test_teams_are_those_that_were_heard_of_and_our_own(
    connected: Connected, vendor: SandboxControl, server: SandboxServer
) -> None:
    """By name; Teams is asked for the name of the connection's team while it is not known."""
    await connected.conversations.remember(in_team(server, FINANCE, "Finance"))
    told = await connected.run(list_teams, pb.ListTeamsRequest())
    assert [(one.name, one.team_id) for one in told.teams] == [("Finance", FINANCE), ("Service Desk", DESK)]
    await connected.conversations.remember(in_team(server, DESK, "Desk"))
    found = await connected.run(list_teams, pb.ListTeamsRequest(query="DESK"))
    assert [one.name for one in found.teams] == ["Desk"]
    assert len(asked(vendor)) == 1
