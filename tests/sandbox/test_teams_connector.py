"""The simulated Bot Connector: messages into chats, channels and threads, and what it refuses."""

from typing import Any
from urllib.parse import quote

import pytest

from tests.sandbox.teams_caller import (
    ALERTS,
    BOT,
    CARD,
    DANA,
    DANA_CHAT,
    FINANCE,
    GENERAL,
    KIM,
    LEADS,
    LEE,
    OLD_BOT,
    OLD_CHAT,
    SAM,
    SAM_CHAT,
    TENANT,
    TeamsCaller,
)

TEXT = {"type": "message", "text": "hi"}


def seen(teams: TeamsCaller) -> list[tuple[str, Any]]:
    """Conversation and text of every message, oldest first; the attachment's type where there is no text."""
    rows = teams.control.state()["messages"]
    return [
        (row["conversation"], row["activity"].get("text") or row["activity"]["attachments"][0]["contentType"])
        for row in rows
    ]


def activity_path(conversation: str, activity: str, more: str = "") -> str:
    """Path of a message."""
    return f"/connector/emea/v3/conversations/{quote(conversation, safe='')}/activities/{activity}{more}"


def test_a_message_gets_an_id_of_milliseconds(teams: TeamsCaller) -> None:
    """Ids ascend; the path may be encoded or not."""
    first = teams.write(DANA_CHAT)
    raw = teams.call(
        "POST", f"/connector/emea/v3/conversations/{DANA_CHAT}/activities", {"type": "message", "text": "b"}
    )
    assert (first.status, raw.status, set(first.json())) == (201, 201, {"id"})
    assert 10**12 < int(first.json()["id"]) < int(raw.json()["id"])
    assert seen(teams) == [(DANA_CHAT, "hi"), (DANA_CHAT, "b")]
    assert {"ms-cv", "contextid"} < set(first.headers)


def test_text_and_card_become_two_messages_without_an_id(teams: TeamsCaller) -> None:
    """202 and no body, as for two cards; a card alone has an id."""
    both = teams.write(DANA_CHAT, {**TEXT, "attachments": [CARD]})
    two = teams.write(DANA_CHAT, {"type": "message", "attachments": [CARD, CARD]})
    assert [(one.status, one.text) for one in (both, two)] == [(202, "")] * 2
    assert teams.write(DANA_CHAT, {"type": "message", "summary": "s", "attachments": [CARD]}).status == 201
    assert len(seen(teams)) == teams.control.effects().count("send_message") == 5


def test_even_a_plain_send_may_be_answered_without_an_id(teams: TeamsCaller) -> None:
    """A setting; the message is stored all the same. An indicator of typing stores nothing."""
    teams.control.patch_state(settings={"send_answer": "accepted"})
    assert (teams.write(DANA_CHAT).status, teams.write(DANA_CHAT, {"type": "typing"}).status) == (202, 202)
    assert seen(teams) == [(DANA_CHAT, "hi")]


@pytest.mark.parametrize(
    ("activity", "code"),
    [
        ({}, "BadArgument"),
        ({"type": "event", "text": "x"}, "BadArgument"),
        ({"type": "message"}, "BadSyntax"),
        ({"type": "message", "text": "  "}, "BadSyntax"),
        ({"type": "message", "text": 1}, "BadArgument"),
        ({**TEXT, "importance": "urgent"}, "BadArgument"),
        ({**TEXT, "from": {"id": f"28:{OLD_BOT}"}}, "BadArgument"),
        ({"type": "message", "attachments": [{"content": {}}]}, "BadArgument"),
        ({"type": "message", "attachments": [{**CARD, "content": {"type": "AdaptiveCard"}}]}, "BadArgument"),
        (
            {**TEXT, "entities": [{"type": "mention", "mentioned": {"id": DANA}, "text": "<at>Dana</at>"}]},
            "BadArgument",
        ),
        ([], "BadSyntax"),
    ],
)
def test_an_activity_that_cannot_be_is_a_400(teams: TeamsCaller, activity: Any, code: str) -> None:
    """Unknown types, messages without content, cards that are none, mentions that the text does not hold."""
    assert teams.write(DANA_CHAT, activity).error() == (400, code)
    assert teams.control.effects().total == 0


def test_mentions_are_of_people_who_are_there(teams: TeamsCaller) -> None:
    """By Entra object id or the id of the channel; somebody outside the team is a 400."""

    def mentioning(id: str) -> dict[str, Any]:
        words = "<at>Dana</at>"
        entity = {"type": "mention", "mentioned": {"id": id, "name": "Dana"}, "text": words}
        return {"type": "message", "text": f"Look, {words}", "entities": [entity]}

    assert [teams.write(ALERTS, mentioning(id)).status for id in (DANA, "29:1aDanaTechHarbor", KIM)] == [201, 201, 400]


def test_a_channel_post_begins_a_thread(teams: TeamsCaller) -> None:
    """The answer names the thread and its first message; a message to the thread answers it."""
    made = teams.post().json()
    assert made["id"] == f"{ALERTS};messageid={made['activityId']}"
    assert teams.write(made["id"], {**TEXT, "replyToId": made["activityId"]}).status == 201
    assert teams.call("POST", activity_path(ALERTS, made["activityId"]), TEXT).status == 201
    rows = teams.control.state()["messages"]
    assert [(row["conversation"], row["root"]) for row in rows] == [(ALERTS, ""), *[(ALERTS, made["activityId"])] * 2]


def test_a_channel_also_takes_posts_by_its_own_id(teams: TeamsCaller) -> None:
    """Each begins a thread; the team's id is General."""
    assert [teams.write(channel).status for channel in (ALERTS, GENERAL)] == [201, 201]
    assert teams.post(GENERAL).status == 201
    assert [row["root"] for row in teams.control.state()["messages"]] == [""] * 3


def test_a_card_and_a_text_in_a_new_thread_still_tell_both_ids(teams: TeamsCaller) -> None:
    """The second message answers the first."""
    data = {"channel": {"id": ALERTS}}
    made = teams.create(isGroup=True, channelData=data, activity={**TEXT, "attachments": [CARD]}).json()
    assert [row["root"] for row in teams.control.state()["messages"]] == ["", made["activityId"]]


@pytest.mark.parametrize(
    ("root", "status", "code"),
    [("1", 404, "ActivityNotFoundInConversation"), ("0", 400, "BadArgument"), ("x", 400, "BadArgument")],
)
def test_a_thread_must_be_there(teams: TeamsCaller, root: str, status: int, code: str) -> None:
    """An unknown root is a 404, what is no id a 400."""
    assert teams.write(f"{ALERTS};messageid={root}").error() == (status, code)


def test_an_answer_is_no_thread(teams: TeamsCaller) -> None:
    """Only the message that begins one can be named, in its own channel."""
    made = teams.post().json()
    answer = teams.write(made["id"]).json()["id"]
    assert teams.write(f"{ALERTS};messageid={answer}").status == 404
    assert teams.write(f"{GENERAL};messageid={made['activityId']}").status == 404
    assert teams.call("DELETE", activity_path(ALERTS, made["activityId"])).status == 200
    assert teams.write(made["id"]).status == 404


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"channelData": {"channel": {"id": "19:other@thread.tacv2"}}, "activity": TEXT}, 404, "ConversationNotFound"),
        ({"channelData": {"channel": {"id": ALERTS}}, "activity": TEXT, "tenantId": "x"}, 404, "ConversationNotFound"),
        ({"channelData": {"channel": {"id": ALERTS}}}, 400, "BadArgument"),
        ({"channelData": {"channel": {"id": FINANCE}}, "activity": TEXT}, 403, "BotNotInConversationRoster"),
        ({"channelData": {"channel": {"id": LEADS}}, "activity": TEXT}, 403, "NotEnoughPermissions"),
        ({"members": []}, 400, "BadArgument"),
        ({"members": [{"id": DANA}, {"id": LEE}]}, 400, "BadArgument"),
        ({"members": [{"aadObjectId": LEE}]}, 400, "BadArgument"),
        ({"members": [{"id": "lee@harbor.example.com"}]}, 400, "BadArgument"),
        ({"members": [{"id": LEE}], "isGroup": True}, 400, "BadArgument"),
        ({"members": [{"id": LEE}], "tenantId": None}, 400, "BadArgument"),
        ({"members": [{"id": KIM}]}, 403, "BotNotInConversationRoster"),
        ({"members": [{"id": LEE}], "bot": {"id": f"28:{OLD_BOT}"}}, 400, "BadArgument"),
    ],
)
def test_conversations_that_cannot_be_made(teams: TeamsCaller, body: dict[str, Any], status: int, code: str) -> None:
    """Unknown, foreign and private channels; members that are none, or without the app."""
    assert teams.create(**body).error() == (status, code)
    assert teams.control.effects().total == 0


def test_a_chat_is_opened_by_object_id(teams: TeamsCaller) -> None:
    """One chat for each user, however often it is asked for; a first message may come along."""
    opened = {teams.create(isGroup=False, members=[{"id": id}]).json()["id"] for id in (LEE, "29:1aLeeNightHarbor")}
    assert len(opened) == 1
    assert teams.control.effects().total == 0
    made = teams.create(members=[{"id": LEE}], activity=TEXT).json()
    assert ({made["id"]}, seen(teams)) == (opened, [(made["id"], "hi")])
    assert made["activityId"] == teams.control.state()["messages"][0]["id"]


def test_with_a_member_a_channel_is_not_posted_to(teams: TeamsCaller) -> None:
    """The message goes into the chat of that member."""
    data = {"channel": {"id": ALERTS}}
    made = teams.create(channelData=data, members=[{"id": DANA}], activity=TEXT).json()
    assert (made["id"], seen(teams)) == (DANA_CHAT, [(DANA_CHAT, "hi")])


def test_unknown_conversations_are_a_404(teams: TeamsCaller) -> None:
    """So is a chat whose history the user cleared, until it is opened again."""
    assert teams.write("a:1nothing").error() == (404, "ConversationNotFound")
    teams.control.patch_state(remove_conversations=[DANA_CHAT])
    assert teams.write(DANA_CHAT).error() == (404, "ConversationNotFound")
    assert teams.write(teams.create(members=[{"id": DANA}]).json()["id"]).status == 201


def test_a_bot_that_left_is_on_no_roster(teams: TeamsCaller) -> None:
    """403 in the chat after an uninstall, in a team without the app, in another bot's chat, and without the scope."""
    stranger = (403, "BotNotInConversationRoster")
    assert teams.write(OLD_CHAT).error() == stranger
    assert teams.write(FINANCE).error() == stranger
    teams.control.patch_state(remove_installations=["aW5zdC1kYW5h"])
    assert teams.write(DANA_CHAT).error() == stranger
    assert teams.write(f"19:{DANA}_{BOT}@unq.gbl.spaces").error() == stranger
    app = teams.control.state()["apps"][0]["id"]
    teams.control.patch_state(apps={app: {"scopes": ["personal"]}})
    assert teams.write(ALERTS).error() == stranger


def test_a_block_is_told_in_three_ways(teams: TeamsCaller) -> None:
    """By its code, by the older code within a text, without a body; opening the chat does not tell it."""
    assert teams.create(members=[{"id": SAM}]).json() == {"id": SAM_CHAT}
    assert teams.write(SAM_CHAT).error() == (403, "ConversationBlockedByUser")
    teams.control.patch_state(settings={"blocked_answer": "subcode"})
    assert (teams.write(SAM_CHAT).json()["errorCode"], "MessageWritesBlocked" in teams.write(SAM_CHAT).text) == (
        209,
        True,
    )
    teams.control.patch_state(settings={"blocked_answer": "empty"})
    assert (teams.write(SAM_CHAT).status, teams.write(SAM_CHAT).text) == (403, "")


def test_an_administrator_may_disable_the_bot(teams: TeamsCaller) -> None:
    """403 everywhere in that directory."""
    teams.control.patch_state(bots={BOT: {"disabled_in": [TENANT]}})
    assert teams.write(DANA_CHAT).error() == (403, "BotDisabledByAdmin")
    assert teams.post().error() == (403, "BotDisabledByAdmin")


def test_a_private_channel_is_refused_under_a_name_that_can_change(teams: TeamsCaller) -> None:
    """No source names its code."""
    assert teams.write(LEADS).error() == (403, "NotEnoughPermissions")
    teams.control.patch_state(settings={"private_answer": "Forbidden"})
    assert teams.post(LEADS).error() == (403, "Forbidden")


def test_a_region_must_be_the_directorys_or_a_global_one(teams: TeamsCaller) -> None:
    """403 in the words of a wrong region, or of a directory that moved; both can be switched off."""
    wrong = teams.write(DANA_CHAT, region="amer")
    assert (wrong.error(), wrong.json()["error"]["message"]) == ((403, "BadArgument"), "User is from different region")
    assert teams.write(DANA_CHAT, region="teams").status == 201
    teams.control.patch_state(settings={"regions": "redirected"})
    assert "wrong geo" in teams.write(DANA_CHAT, region="amer").text
    teams.control.patch_state(settings={"regions": "any"})
    assert teams.write(DANA_CHAT, region="amer").status == 201


def test_a_government_directory_has_hosts_of_its_own(teams: TeamsCaller) -> None:
    """GCC is refused on the public host and served on its own; GCC High needs a token of its cloud too."""
    teams.control.patch_state(directories={TENANT: {"cloud": "gcc", "region": "gcc"}})
    assert teams.write(DANA_CHAT, region="teams").error() == (403, "InvalidBotApiHost")
    assert teams.write(DANA_CHAT, region="gcc").status == 201
    teams.control.patch_state(directories={TENANT: {"cloud": "gcch", "region": "gov"}})
    assert teams.write(DANA_CHAT, region="gov").status == 401
    bearer = teams.granted(scope="https://api.botframework.us/.default")
    assert teams.write(DANA_CHAT, region="gov", bearer=bearer).status == 201


def test_a_payload_is_measured_as_utf16(teams: TeamsCaller) -> None:
    """51,000 letters are too many, though they are 51,000 bytes; images in the text do not count. JSON or HTML."""
    assert teams.write(DANA_CHAT, {**TEXT, "text": "x" * 51_000}).status == 201
    assert teams.write(DANA_CHAT, {**TEXT, "text": "x" * 51_200}).error() == (413, "MessageSizeTooBig")
    image = {"contentType": "image/png", "contentUrl": "data:image/png;base64," + "A" * 200_000}
    assert teams.write(DANA_CHAT, {"type": "message", "attachments": [image]}).status == 201
    teams.control.patch_state(settings={"too_large": "html"})
    answer = teams.write(DANA_CHAT, {**TEXT, "text": "x" * 60_000})
    assert (answer.status, answer.headers["content-type"]) == (413, "text/html; charset=utf-8")


def test_a_message_is_replaced_and_taken_back(teams: TeamsCaller) -> None:
    """200 with the id; unknown and deleted ones are a 404."""
    path = activity_path(DANA_CHAT, teams.write(DANA_CHAT).json()["id"])
    answer = teams.call("PUT", path, {"type": "message", "text": "Resolved"})
    assert (answer.status, path.endswith(answer.json()["id"]), seen(teams)) == (200, True, [(DANA_CHAT, "Resolved")])
    assert (teams.call("DELETE", path).status, teams.call("PUT", path, TEXT).error()) == (
        200,
        (404, "ActivityNotFoundInConversation"),
    )
    assert teams.control.effects().by_kind == {"send_message": 1, "update_message": 1, "delete_message": 1}


def test_only_ones_own_messages_are_replaced(teams: TeamsCaller) -> None:
    """Another bot of the same channel cannot; nor does a message of another thread answer to the thread's id."""
    made, other = teams.post().json(), teams.post().json()
    old = teams.granted("botframework.com", OLD_BOT)
    path = activity_path(ALERTS, made["activityId"])
    assert teams.call("PUT", path, TEXT, bearer=old).error() == (403, "NotEnoughPermissions")
    assert teams.call("PUT", activity_path(other["id"], made["activityId"]), TEXT).status == 404
    assert teams.call("PUT", activity_path(made["id"], made["activityId"]), TEXT).status == 200


@pytest.mark.parametrize(("kind", "stored"), [("reset_before", 0), ("reset_after", 1)])
def test_a_connection_may_break_before_or_after_the_message(teams: TeamsCaller, kind: str, stored: int) -> None:
    """The faults of every simulator work: the client cannot tell, the effects can."""
    teams.control.add_fault(kind, method="POST", path_regex="/activities$")
    with pytest.raises(ConnectionError):
        teams.write(DANA_CHAT)
    assert teams.control.effects().count("send_message") == stored
    assert teams.write(DANA_CHAT).status == 201
