"""The simulated Bot Connector: who is there, which channels a team has, and how much may be asked."""

import pytest

from sandbox.teams.limits import Limits, Window
from tests.sandbox.teams_caller import (
    ALERTS,
    CARD,
    DANA,
    DANA_CHAT,
    FINANCE,
    GENERAL,
    KIM,
    LEADS,
    LEE,
    OLD_BOT,
    TENANT,
    TeamsCaller,
)

TEAM = f"/connector/emea/v3/teams/{GENERAL}"
START = 1_800_000_000.0


@pytest.fixture
def teams(teams: TeamsCaller) -> TeamsCaller:
    """The demo world with its limits, its clock standing still."""
    teams.control.patch_state(settings={"clock": START, "limits": True})
    teams.sign_in()
    return teams


def members(conversation: str, more: str = "members") -> str:
    """Path of a conversation's people."""
    return f"/connector/emea/v3/conversations/{conversation}/{more}"


def test_members_are_told_in_two_spellings(teams: TeamsCaller) -> None:
    """A single member has `aadObjectId`, a row of the list `objectId`; a stranger is a 404."""
    single = teams.call("GET", members(DANA_CHAT, "members/29:1aDanaTechHarbor")).json()
    assert (single["aadObjectId"], single["userPrincipalName"]) == (DANA, "dana@harbor.example.com")
    assert teams.call("GET", members(ALERTS, f"members/{DANA}")).json()["name"] == "Dana Tech"
    rows = teams.call("GET", members(ALERTS)).json()
    assert ([row["objectId"] for row in rows][:2], "aadObjectId" in rows[0]) == ([DANA, LEE], False)
    answer = teams.call("GET", members(ALERTS, f"members/{KIM}"))
    assert answer.error() == (404, "MemberNotFoundInConversation")
    assert teams.call("GET", members(FINANCE)).error() == (403, "BotNotInConversationRoster")


def test_members_come_in_pages(teams: TeamsCaller) -> None:
    """The last page has no token for a next one."""
    first = teams.call("GET", members(ALERTS, "pagedmembers?pageSize=2")).json()
    token = first["continuationToken"]
    last = teams.call("GET", members(ALERTS, f"pagedmembers?pageSize=2&continuationToken={token}")).json()
    assert (len(first["members"]), len(last["members"]), set(last)) == (2, 1, {"members"})
    assert teams.call("GET", members(ALERTS, "pagedmembers?pageSize=x")).status == 400


def test_a_message_has_readers(teams: TeamsCaller) -> None:
    """The people of its conversation; an unknown message is a 404."""
    made = teams.post().json()["activityId"]
    assert len(teams.call("GET", members(ALERTS, f"activities/{made}/members")).json()) == 3
    assert teams.call("GET", members(ALERTS, "activities/1/members")).status == 404


def test_a_team_tells_itself_and_its_channels(teams: TeamsCaller) -> None:
    """General has no name; private channels are told only where the setting says so."""
    assert teams.call("GET", TEAM).json()["name"] == "Service Desk"
    rows = teams.call("GET", f"{TEAM}/conversations").json()["conversations"]
    assert rows == [
        {"id": GENERAL, "channelType": "standard"},
        {"id": ALERTS, "name": "Alerts", "channelType": "standard"},
    ]
    teams.control.patch_state(settings={"list_private": True})
    rows = teams.call("GET", f"{TEAM}/conversations").json()["conversations"]
    assert {"id": LEADS, "name": "Leads", "channelType": "private"} in rows


def test_teams_without_the_bot_tell_nothing(teams: TeamsCaller) -> None:
    """403 for a known one, 404 for an unknown one."""
    assert teams.call("GET", f"/connector/emea/v3/teams/{FINANCE}/conversations").error()[0] == 403
    assert teams.call("GET", "/connector/emea/v3/teams/19:none@thread.tacv2").error()[0] == 404


def test_seven_messages_fit_into_a_second_of_a_conversation(teams: TeamsCaller) -> None:
    """Then 429 with the seconds to wait; other conversations and bots have their own room. A clock opens it again."""
    assert [teams.write(DANA_CHAT).status for _ in range(8)] == [201] * 7 + [429]
    answer = teams.write(DANA_CHAT)
    assert (answer.error(), answer.headers["retry-after"]) == ((429, "Throttled"), "1")
    old = teams.granted("botframework.com", OLD_BOT)
    assert (teams.write(ALERTS).status, teams.write(ALERTS, bearer=old).status) == (201, 201)
    teams.control.patch_state(settings={"clock": START + 1})
    assert [teams.write(DANA_CHAT).status for _ in range(2)] == [201, 429]
    assert teams.control.effects(kind="send_message", target=DANA_CHAT).count("send_message") == 10


def test_parts_of_a_split_message_count_apart(teams: TeamsCaller) -> None:
    """Four of them are eight messages, which is one too many."""
    both = {"type": "message", "text": "hi", "attachments": [CARD]}
    assert [teams.write(DANA_CHAT, both).status for _ in range(4)] == [202] * 3 + [429]


def test_longer_windows_have_longer_waits(teams: TeamsCaller) -> None:
    """Sixty messages in thirty seconds: the next has to wait for the first of them to grow old."""
    sent = 0
    for second in range(10):
        teams.control.patch_state(settings={"clock": START + 2 * second})
        sent += sum(teams.write(DANA_CHAT).status == 201 for _ in range(6))
    assert sent == 60
    teams.control.patch_state(settings={"clock": START + 20})
    answer = teams.write(DANA_CHAT)
    assert (answer.status, answer.headers["retry-after"]) == (429, "10")


def test_making_and_sending_are_counted_apart(teams: TeamsCaller) -> None:
    """Seven new threads, then seven messages by the channel's id; a reset forgets all."""
    assert [teams.post().status for _ in range(8)] == [201] * 7 + [429]
    assert [teams.write(ALERTS).status for _ in range(8)] == [201] * 7 + [429]
    teams.control.reset()
    teams.sign_in()
    assert teams.post().status == 201


def test_all_bots_share_twice_as_much(teams: TeamsCaller) -> None:
    """With a third bot at work, its messages meet what the others sent."""
    third = "2d9e4e40-1111-4c55-8f52-2f1f6c0a9d12"
    app = {"id": third, "external_id": third, "name": "Third", "bot": third}
    teams.control.patch_state(
        add_bots=[{"app_id": third, "name": "Third", "directory": TENANT}],
        add_apps=[app],
        add_installations=[{"id": "third", "app": third, "team": GENERAL}],
    )
    teams.secrets |= {one["app_id"]: one["client_secret"] for one in teams.control.credentials()["bots"]}
    bearers = [teams.bearer, teams.granted("botframework.com", OLD_BOT)]
    assert {teams.write(ALERTS, bearer=bearer).status for bearer in bearers for _ in range(7)} == {201}
    assert teams.write(ALERTS, bearer=teams.granted(bot=third)).status == 429


def test_reading_has_twice_the_room_and_ends_at_fifty_a_second(teams: TeamsCaller) -> None:
    """Fourteen a second for a conversation; fifty for a bot in a directory."""
    assert [teams.call("GET", members(ALERTS)).status for _ in range(15)] == [200] * 14 + [429]
    assert [teams.call("GET", TEAM).status for _ in range(15)] == [200] * 14 + [429]
    assert [teams.call("GET", members(DANA_CHAT)).status for _ in range(15)] == [200] * 14 + [429]
    assert [teams.write(DANA_CHAT).status for _ in range(8)] == [201] * 7 + [429]
    assert [teams.write(ALERTS).status for _ in range(2)] == [201, 429]


def test_a_message_of_more_parts_than_a_window_holds_waits_for_an_empty_one() -> None:
    """It is counted once nothing else is there, and then keeps others away."""
    limits, windows = Limits(), [Window(("x",), ((1, 2),))]
    assert [limits.admit(windows, at, cost) for at, cost in ((0.0, 1), (0.5, 5), (1.0, 5), (1.5, 1))] == [0, 1, 0, 1]
