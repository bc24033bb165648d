"""Direct messages and posts: what arrives, what is told of it, what is refused."""

from typing import Any

import pytest

from sandbox.client import SandboxControl
from server.gen.patchbay.modules.teams.v1.teams_pb2 import PostToChannelRequest, SendDmRequest
from server.modules.teams.actions import post_to_channel, send_dm
from server.sdk import Effect
from tests.modules.harness import Connect, Connected
from tests.modules.teams.asking import asked, bodies, failing, messages
from tests.modules.teams.world import ALERTS, BOT, CARD, DANA, DESK, DIRECTORY, FINANCE, KIM, LEADS, LEE, SAM
from tests.support.served import struct

pytestmark = pytest.mark.anyio

DM = SendDmRequest(microsoft_user_id=DANA, message="Ticket 4217 escalated")
POST = PostToChannelRequest(channel_id=ALERTS, message="P1: FS-01 disk full")


async def test_a_direct_message_arrives_and_is_told(connected: Connected, vendor: SandboxControl) -> None:
    """One message with an id, in the chat of bot and person; tenant and person are named."""
    told = await connected.run(send_dm, DM)
    (message,) = messages(vendor)
    assert (told.sent, told.activity_id, told.microsoft_user_id) == (True, message["id"], DANA)
    assert told.conversation_id == message["conversation"]
    assert not told.HasField("user_id")
    activity = message["activity"]
    assert (activity["text"], activity["recipient"]) == (DM.message, {"aadObjectId": DANA})
    assert activity["conversation"]["tenantId"] == activity["channelData"]["tenant"]["id"] == DIRECTORY
    assert activity["from"] == {"id": f"28:{BOT}"}


async def test_a_card_carries_the_text_and_one_id(connected: Connected, vendor: SandboxControl) -> None:
    """Text and card are one message with one id: the text heads the card and is its summary."""
    told = await connected.run(
        send_dm, SendDmRequest(microsoft_user_id=DANA, message="Look", card=struct(CARD), importance="high", alert=True)
    )
    (message,) = messages(vendor)
    assert told.activity_id == message["id"]
    activity = message["activity"]
    (card,) = activity["attachments"]
    assert [one["text"] for one in card["content"]["body"]] == ["Look", "FS-01"]
    assert (activity["summary"], activity["importance"]) == ("Look", "high")
    assert activity["channelData"]["notification"] == {"alert": True}
    assert "text" not in activity


@pytest.mark.parametrize(
    "card",
    [{}, {"type": "AdaptiveCard"}, {**CARD, "version": "1.6"}, {**CARD, "body": {}}, {**CARD, "type": "Hero"}],
)
async def test_what_is_no_card_is_refused_before_anything(
    connected: Connected, vendor: SandboxControl, card: dict[str, Any]
) -> None:
    """The failure names the field; nothing is sent."""
    failure = await failing(connected, send_dm, SendDmRequest(microsoft_user_id=DANA, message="x", card=struct(card)))
    assert (failure.reason, failure.field) == ("VENDOR_REJECTED_INPUT", "card")
    assert asked(vendor) == []


async def test_a_message_taken_without_a_word_has_no_id(connected: Connected, vendor: SandboxControl) -> None:
    """202 without a body is a success."""
    vendor.patch_state(settings={"send_answer": "accepted"})
    told = await connected.run(send_dm, DM)
    assert (told.sent, told.HasField("activity_id")) == (True, False)
    assert len(messages(vendor)) == 1


async def test_a_person_without_the_app_has_no_conversation(connected: Connected, vendor: SandboxControl) -> None:
    """Opening a chat is tried, then Graph is asked; NO_CONVERSATION and no message."""
    failure = await failing(connected, send_dm, SendDmRequest(microsoft_user_id=KIM, message="x"))
    assert (failure.reason, failure.effect) == ("NO_CONVERSATION", Effect.EFFECT_NONE)
    assert [one.rpartition("/")[2] for one in asked(vendor)] == ["conversations", "installedApps"]
    assert messages(vendor) == []


async def test_graph_finds_the_chat_that_cannot_be_opened(connected: Connected, vendor: SandboxControl) -> None:
    """Where opening is refused, the chat in which the app is installed is used."""
    vendor.add_fault("status", path_regex="conversations$", times=1, status=403, body={"message": "no"})
    told = await connected.run(send_dm, DM)
    assert told.conversation_id == f"19:{DANA}_{BOT}@unq.gbl.spaces"
    assert len(messages(vendor)) == 1


@pytest.mark.parametrize("answer", ["code", "subcode"])
async def test_a_block_is_told(connected: Connected, vendor: SandboxControl, answer: str) -> None:
    """By its code, or by the older code within a text."""
    vendor.patch_state(settings={"blocked_answer": answer})
    failure = await failing(connected, send_dm, SendDmRequest(microsoft_user_id=SAM, message="x"))
    assert (failure.reason, failure.effect) == ("BLOCKED_BY_USER", Effect.EFFECT_NONE)


async def test_a_bot_that_is_disabled(connected: Connected, vendor: SandboxControl) -> None:
    """Direct messages and posts alike."""
    vendor.patch_state(bots={BOT: {"disabled_in": [DIRECTORY]}})
    assert (await failing(connected, post_to_channel, POST)).reason == "BOT_DISABLED_BY_ADMIN"
    assert (await failing(connected, send_dm, DM)).reason == "BOT_DISABLED_BY_ADMIN"


async def test_a_post_begins_a_thread_and_an_answer_joins_it(connected: Connected, vendor: SandboxControl) -> None:
    """The post tells its thread; an answer with it stands in the same thread."""
    first = await connected.run(post_to_channel, POST)
    assert (first.posted, first.channel_id, first.thread_id) == (True, ALERTS, first.activity_id)
    assert first.conversation_id == f"{ALERTS};messageid={first.thread_id}"
    answer = PostToChannelRequest(channel_id=ALERTS, message="Cleaned", thread_id=first.thread_id)
    second = await connected.run(post_to_channel, answer)
    assert (second.thread_id, second.conversation_id) == (first.thread_id, first.conversation_id)
    assert [one["root"] for one in messages(vendor)] == ["", first.thread_id]
    assert bodies(vendor)[1]["replyToId"] == first.thread_id


async def test_people_are_mentioned_by_name(connected: Connected, vendor: SandboxControl) -> None:
    """Their names stand at the beginning, with entities that say who they are; with a card, within it."""
    request = PostToChannelRequest(channel_id=ALERTS, message="look", mentions=[DANA, LEE, DANA])
    await connected.run(post_to_channel, request)
    request.card.CopyFrom(struct(CARD))
    await connected.run(post_to_channel, request)
    text, card = (one["activity"] for one in messages(vendor))
    assert text["text"] == "<at>Dana Tech</at> <at>Lee Night</at> look"
    assert [one["mentioned"]["id"] for one in text["entities"]] == ["29:1aDanaTechHarbor", "29:1aLeeNightHarbor"]
    content = card["attachments"][0]["content"]
    assert content["body"][0]["text"] == text["text"]
    assert content["msteams"]["entities"] == text["entities"]


@pytest.mark.parametrize(
    ("request_", "reason", "field"),
    [
        (PostToChannelRequest(channel_id="19:nowhere@thread.tacv2", message="x"), "CHANNEL_NOT_FOUND", "channel_id"),
        (PostToChannelRequest(channel_id=LEADS, message="x"), "PRIVATE_CHANNEL", "channel_id"),
        (PostToChannelRequest(channel_id=FINANCE, message="x"), "APP_NOT_IN_TEAM", ""),
        (PostToChannelRequest(channel_id=ALERTS, message="x", thread_id="17"), "THREAD_NOT_FOUND", "thread_id"),
        (PostToChannelRequest(channel_id=ALERTS, message="x", mentions=[KIM]), "MEMBER_NOT_FOUND", "mentions"),
    ],
)
async def test_where_a_bot_cannot_post(
    connected: Connected, vendor: SandboxControl, request_: PostToChannelRequest, reason: str, field: str
) -> None:
    """Each obstacle has its reason and its field; nobody sees anything."""
    failure = await failing(connected, post_to_channel, request_)
    assert (failure.reason, failure.field, failure.effect) == (reason, field, Effect.EFFECT_NONE)
    assert messages(vendor) == []


async def test_a_message_that_is_too_large_is_not_sent(connected: Connected, vendor: SandboxControl) -> None:
    """Card and text together are measured as Teams measures them, before anything is posted."""
    huge = {**CARD, "body": [{"type": "TextBlock", "text": "x" * 52_000}]}
    failure = await failing(
        connected, post_to_channel, PostToChannelRequest(channel_id=ALERTS, message="x", card=struct(huge))
    )
    assert failure.reason == "MESSAGE_TOO_LARGE"
    assert asked(vendor) == []


@pytest.mark.parametrize("form", [{"error": {"code": "MessageSizeTooBig"}}, "<html>413</html>"])
async def test_a_413_is_too_large(connected: Connected, vendor: SandboxControl, form: Any) -> None:
    """Told by Teams or by the gateway before it."""
    vendor.add_fault("status", path_regex="conversations$", times=1, status=413, body=form)
    assert (await failing(connected, post_to_channel, POST)).reason == "MESSAGE_TOO_LARGE"


@pytest.mark.parametrize(("status", "retryable"), [(412, True), (429, True), (400, False)])
async def test_a_refusal_has_no_effect(
    connected: Connected, vendor: SandboxControl, status: int, retryable: bool
) -> None:
    """412 and 429 are tried three times, then may be tried again with the same key."""
    vendor.add_fault("status", path_regex="conversations$", times=0, status=status, body={"error": {"code": "X"}})
    failure = await failing(connected, post_to_channel, POST)
    assert (failure.effect, failure.retryable) == (Effect.EFFECT_NONE, retryable)
    assert len(asked(vendor, "connector")) == (3 if retryable else 1)
    assert messages(vendor) == []


@pytest.mark.parametrize("status", [412, 429])
@pytest.mark.parametrize(("handler", "request_"), [(send_dm, DM), (post_to_channel, POST)])
async def test_a_refusal_that_passes_is_one_message(
    connected: Connected, vendor: SandboxControl, handler: Any, request_: Any, status: int
) -> None:
    """After 412 or 429 the message is sent again within the call, and is there once."""
    vendor.add_fault("status", path_regex="v3/conversations", times=2, status=status, headers={"Retry-After": "0"})
    await connected.run(handler, request_)
    assert vendor.effects().by_kind == {"send_message": 1}


async def test_an_answer_lost_after_a_refusal_is_not_asked_for_again(
    connected: Connected, vendor: SandboxControl
) -> None:
    """429, then a message whose answer is lost: two requests, one message, OUTCOME_UNKNOWN."""
    vendor.add_fault("status", path_regex="conversations$", times=1, status=429)
    vendor.add_fault("reset_after", path_regex="conversations$", times=0)
    failure = await failing(connected, post_to_channel, POST)
    assert (failure.reason, failure.effect) == ("OUTCOME_UNKNOWN", Effect.EFFECT_UNKNOWN)
    assert (len(asked(vendor, "connector")), len(messages(vendor))) == (2, 1)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_post_in_doubt_is_not_repeated(connected: Connected, vendor: SandboxControl, status: int) -> None:
    """The connector knows no key: OUTCOME_UNKNOWN after one request."""
    vendor.add_fault(
        "status", path_regex="conversations$", times=0, status=status, body={"error": {"code": "ServiceError"}}
    )
    failure = await failing(connected, post_to_channel, POST)
    assert (failure.reason, failure.effect) == ("OUTCOME_UNKNOWN", Effect.EFFECT_UNKNOWN)
    assert len(asked(vendor, "connector")) == 1


async def test_another_cloud_is_told(connected: Connected, vendor: SandboxControl) -> None:
    """InvalidBotApiHost names the setting."""
    vendor.patch_state(directories={DIRECTORY: {"cloud": "gcc"}})
    failure = await failing(connected, post_to_channel, POST)
    assert (failure.reason, failure.field) == ("INTEGRATION_MISCONFIGURED", "settings.cloud")


@pytest.mark.parametrize(
    ("capability", "handler", "request_"),
    [("personal_bot", send_dm, DM), ("channel_posts", post_to_channel, POST)],
)
async def test_what_is_switched_off_is_not_done(
    connect: Connect, vendor: SandboxControl, capability: str, handler: Any, request_: Any
) -> None:
    """CAPABILITY_DISABLED before anything is asked."""
    failure = await failing(connect(disabled_capabilities=[capability]), handler, request_)
    assert failure.reason == "CAPABILITY_DISABLED"
    assert vendor.requests(1000) == []


async def test_general_is_named_by_its_team(connected: Connected, vendor: SandboxControl) -> None:
    """The id of a team is the id of its first channel."""
    told = await connected.run(post_to_channel, PostToChannelRequest(channel_id=DESK, message="x"))
    assert (told.channel_id, len(messages(vendor))) == (DESK, 1)
