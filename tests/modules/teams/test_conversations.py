"""What the bot has heard decides where it speaks."""

from dataclasses import replace

import pytest

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from server.gen.patchbay.modules.teams.v1 import teams_pb2 as pb
from server.modules.teams.actions import list_teams, post_to_channel, send_dm
from server.sdk import Effect
from server.sdk.conversations import CHANNEL, PERSONAL, ConversationReference
from tests.modules.harness import Connected
from tests.modules.teams.asking import asked, failing, messages
from tests.modules.teams.world import ALERTS, APP, BOT, DANA, DESK, DIRECTORY, FINANCE, KIM, SAM

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
    """At the address that Teams told for it, where it also says whose it is; nothing is opened."""
    await connected.conversations.remember(heard(server))
    told = await connected.run(send_dm, DM)
    assert told.conversation_id == CHAT
    requests = asked(vendor, "connector")
    assert [one.split("/")[0] for one in requests] == ["GET ", "POST "]
    assert all("/connector/emea/v3/conversations/a" in one for one in requests)


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


async def test_a_chat_is_asked_about_once(connected: Connected, vendor: SandboxControl, server: SandboxServer) -> None:
    """Who is in it is asked before the first message, not before the next; news about its person asks again."""
    book = connected.conversations
    await book.remember(heard(server))
    for _ in range(2):
        await connected.run(send_dm, DM)
    await book.remember(heard(server))
    await connected.run(send_dm, DM)
    assert [one.split()[0] for one in asked(vendor, "connector")] == ["GET", "POST", "POST", "POST"]
    await book.remember(replace(heard(server), microsoft_user_id=KIM))
    await book.remember(heard(server))
    await connected.run(send_dm, DM)
    assert [one.split()[0] for one in asked(vendor, "connector")][4:] == ["GET", "POST"]


@pytest.mark.parametrize("place", ["a:1HarborSamPatchbay", ALERTS, "19:nobody@unq.gbl.spaces"])
async def test_nobody_can_lead_messages_for_a_person_into_another_chat(
    connected: Connected, vendor: SandboxControl, server: SandboxServer, place: str
) -> None:
    """A chat of somebody else, or a channel, told as the person's is forgotten; the person's own is opened."""
    vendor.patch_state(add_conversations=[{"id": "a:1HarborSamPatchbay", "bot": BOT, "user": SAM}])
    await connected.conversations.remember(replace(heard(server), conversation_id=place))
    told = await connected.run(send_dm, DM)
    assert [one["conversation"] for one in messages(vendor)] == [told.conversation_id] == [CHAT]
    assert await connected.conversations.get(BOT, place) is None


async def test_while_a_chat_cannot_be_asked_about_nothing_is_sent(
    connected: Connected, vendor: SandboxControl, server: SandboxServer
) -> None:
    """The failure has no effect and may be tried again; the chat stays known."""
    await connected.conversations.remember(heard(server))
    vendor.add_fault("status", path_regex="pagedmembers$", times=0, status=503)
    failure = await failing(connected, send_dm, DM)
    assert (failure.reason, failure.effect, failure.retryable) == ("VENDOR_UNAVAILABLE", Effect.EFFECT_NONE, True)
    assert messages(vendor) == []
    assert await connected.conversations.get(BOT, CHAT) is not None


async def test_teams_are_those_that_were_heard_of_and_our_own(
    connected: Connected, vendor: SandboxControl, server: SandboxServer
) -> None:
    """By the names that Teams tells when it is asked, once; whatever the bot was told."""
    vendor.patch_state(add_installations=[{"id": "ZmluYW5jZQ", "app": APP, "team": FINANCE}])
    await connected.conversations.remember(in_team(server, FINANCE, "Service Desk"))
    for _ in range(2):
        told = await connected.run(list_teams, pb.ListTeamsRequest())
        assert [(one.name, one.team_id) for one in told.teams] == [("Finance", FINANCE), ("Service Desk", DESK)]
    await connected.conversations.remember(in_team(server, DESK, "Desk"))
    found = await connected.run(list_teams, pb.ListTeamsRequest(query="DESK"))
    assert [one.name for one in found.teams] == ["Service Desk"]
    about = [one.rpartition("/")[2] for one in asked(vendor)]
    assert about.count(FINANCE) == 1


async def test_a_team_that_the_bot_is_not_in_is_not_offered(
    connected: Connected, vendor: SandboxControl, server: SandboxServer
) -> None:
    """Nor one of another directory, although the bot is in it; both are forgotten."""
    vendor.patch_state(add_installations=[{"id": "ZmluYW5jZQ", "app": APP, "team": FINANCE}])
    abroad = replace(in_team(server, FINANCE, "Desk"), entra_tenant_id="77777777-2222-4b1d-9f00-0123456789ab")
    for told in (in_team(server, "19:gone@thread.tacv2", "Gone"), abroad):
        await connected.conversations.remember(told)
    found = await connected.run(list_teams, pb.ListTeamsRequest())
    assert [one.team_id for one in found.teams] == [DESK]
    assert await connected.conversations.teams(BOT) == []
