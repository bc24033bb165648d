"""The simulated Bot Framework: what it sends to a bot, how it signs, and how it signs wrongly at a test's wish."""

import time
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest

from sandbox import levelio
from sandbox.client import SandboxControl, SandboxRefused
from sandbox.serving import SandboxServer
from sandbox.teams import create_app
from tests.sandbox.teams_bot import Received
from tests.sandbox.teams_caller import ALERTS, BOT, DANA_CHAT, FINANCE, GENERAL, KIM, OLD_BOT, TENANT, TeamsCaller
from tests.support.web import fetch

LEE_AT_CHANNEL = "29:1aLeeNightHarbor"


@pytest.fixture
def teams(teams: TeamsCaller) -> TeamsCaller:
    """The demo world; the installation's event comes first."""
    teams.control.patch_state(settings={"install_order": "installation_first"})
    return teams


def fetched(url: str) -> Any:
    """The JSON behind an address on loopback."""
    parts = urlsplit(url)
    return fetch(parts.netloc, "GET", parts.path).json()


def verified(teams: TeamsCaller, token: str, audience: str = BOT, folder: str = "/identity") -> dict[str, Any]:
    """The claims, checked with what the OpenID document publishes. Raises what PyJWT finds wrong."""
    document = fetched(f"{teams.url}{folder}/v1/.well-known/openidconfiguration")
    keys = jwt.PyJWKSet.from_dict(fetched(document["jwks_uri"]))
    key = next((one for one in keys.keys if one.key_id == jwt.get_unverified_header(token)["kid"]), None)
    if key is None:
        raise jwt.InvalidKeyError("unknown kid")
    needed = {"require": ["exp", "nbf", "serviceurl"]}
    claims: dict[str, Any] = jwt.decode(
        token, key, ["RS256"], audience=audience, issuer=document["issuer"], options=needed, leeway=300
    )
    return claims


def test_an_installation_is_told_twice(teams: TeamsCaller, bot: Received) -> None:
    """Both events name the chat, the user and the directory; afterwards the bot may write."""
    sent = teams.control.order("inbound", bot_url=bot.url, event="install", user=KIM)["sent"]
    assert [one["status"] for one in sent] == [200, 200]
    assert [one["activity"] for one in sent] == bot.activities
    first, second = bot.activities
    assert (first["type"], first["action"]) == ("installationUpdate", "add")
    assert (second["type"], second["membersAdded"]) == ("conversationUpdate", [{"id": f"28:{BOT}"}])
    assert (first["from"]["aadObjectId"], first["channelData"]["tenant"]["id"]) == (KIM, TENANT)
    assert first["serviceUrl"] == f"{teams.url}/connector/emea/"
    assert first["conversation"]["conversationType"] == "personal"
    assert teams.write(second["conversation"]["id"]).status == 201


def test_the_order_of_the_two_events_is_a_setting(teams: TeamsCaller, bot: Received) -> None:
    """By default it is random."""
    teams.control.patch_state(settings={"install_order": "conversation_first"})
    teams.control.order("inbound", bot_url=bot.url, event="install")
    teams.control.patch_state(settings={"install_order": "random"})
    teams.control.order("inbound", bot_url=bot.url, event="install", times=3)
    kinds = [one["type"] for one in bot.activities]
    assert kinds[:2] == ["conversationUpdate", "installationUpdate"]
    assert sorted(kinds[2:4]) == ["conversationUpdate", "installationUpdate"]
    assert kinds[2:4] == kinds[4:6] == kinds[6:8]


def test_a_team_is_told_with_its_channel(teams: TeamsCaller, bot: Received) -> None:
    """The conversation is the selected channel; the sender is who installed the app."""
    teams.control.order("inbound", bot_url=bot.url, event="install", team=GENERAL, channel=ALERTS, sparse=True)
    first, second = bot.activities
    assert (first["conversation"]["id"], first["conversation"]["name"], first["conversation"]["isGroup"]) == (
        ALERTS,
        "Alerts",
        True,
    )
    assert first["channelData"]["team"]["aadGroupId"] == "99990000-1111-4222-8333-444455556666"
    assert first["channelData"]["settings"]["selectedChannel"] == {"id": ALERTS}
    assert (second["channelData"]["eventType"], second["from"]) == ("teamMemberAdded", {"id": "29:1aDanaTechHarbor"})


def test_installing_in_a_team_opens_it_and_removing_closes_it(teams: TeamsCaller, bot: Received) -> None:
    """The world follows the events."""
    for event, status in (("install", 201), ("uninstall", 403)):
        teams.control.order("inbound", bot_url=bot.url, event=event, team=FINANCE)
        assert teams.write(FINANCE).status == status
    assert [one["action"] for one in bot.activities if "action" in one] == ["add", "remove"]
    assert bot.activities[-1]["membersRemoved"] == [{"id": f"28:{BOT}"}]
    teams.control.order("inbound", bot_url=bot.url, event="uninstall")
    assert teams.write(DANA_CHAT).error() == (403, "BotNotInConversationRoster")


def test_an_upgrade_changes_nothing(teams: TeamsCaller, bot: Received) -> None:
    """Removed and added in one breath."""
    teams.control.order("inbound", bot_url=bot.url, event="upgrade")
    assert [one["action"] for one in bot.activities] == ["remove-upgrade", "add-upgrade"]
    assert teams.write(DANA_CHAT).status == 201


def test_a_message_of_a_user_ends_the_block(teams: TeamsCaller, bot: Received) -> None:
    """The user goes by name or id; in a channel the conversation carries the thread."""
    teams.control.order("inbound", bot_url=bot.url, user="sam@harbor.example.com", text="back")
    assert (bot.activities[0]["text"], bot.activities[0]["channelId"]) == ("back", "msteams")
    assert teams.write(bot.activities[0]["conversation"]["id"]).status == 201
    root = teams.post().json()["activityId"]
    teams.control.order("inbound", bot_url=bot.url, user=LEE_AT_CHANNEL, team=GENERAL, channel=ALERTS, thread=root)
    assert bot.activities[1]["conversation"]["id"] == f"{ALERTS};messageid={root}"


def test_other_events_of_a_team_come_from_the_team(teams: TeamsCaller, bot: Received) -> None:
    """Its id is the conversation; whatever the event is called."""
    wish = {"team": GENERAL, "channel": ALERTS, "event_type": "channelRenamed"}
    teams.control.order("inbound", bot_url=bot.url, event="team", **wish)
    told = bot.activities[0]
    assert (told["conversation"]["id"], told["channelData"]["eventType"]) == (GENERAL, "channelRenamed")
    assert told["channelData"]["channel"] == {"id": ALERTS, "name": "Alerts"}


def test_an_activity_can_be_changed_or_brought_along(teams: TeamsCaller, bot: Received) -> None:
    """Changes reach into objects, null takes a field away; a raw one is sent as it is."""
    changes = {"from": {"aadObjectId": None}, "channelData": {"tenant": {"id": "other"}}, "locale": None}
    teams.control.order("inbound", bot_url=bot.url, changes=changes)
    teams.control.order("inbound", bot_url=bot.url, event="raw", activity={"type": "invoke"})
    assert bot.activities[0]["from"] == {"id": "29:1aDanaTechHarbor", "name": "Dana Tech"}
    assert (bot.activities[0]["channelData"]["tenant"], "locale" in bot.activities[0]) == ({"id": "other"}, False)
    assert bot.activities[1] == {"type": "invoke"}


def test_a_token_stands_up_to_what_is_published(teams: TeamsCaller, bot: Received) -> None:
    """Issuer, audience, signature, life and the service URL of the activity."""
    teams.control.order("inbound", bot_url=bot.url)
    claims = verified(teams, bot.token)
    assert claims["serviceurl"] == bot.activities[0]["serviceUrl"]
    assert (set(claims), claims["exp"] > time.time()) == ({"iss", "aud", "exp", "nbf", "serviceurl"}, True)
    keys = fetched(f"{teams.url}/identity/v1/.well-known/keys")["keys"]
    assert [(key["alg"], key["use"], key["endorsements"]) for key in keys] == [("RS256", "sig", ["msteams"])]


@pytest.mark.parametrize(
    ("wish", "error"),
    [
        ({"claims": {"aud": OLD_BOT}}, jwt.InvalidAudienceError),
        ({"claims": {"iss": "https://api.botframework.us"}}, jwt.InvalidIssuerError),
        ({"claims": {"serviceurl": None}}, jwt.MissingRequiredClaimError),
        ({"expires_in": -301}, jwt.ExpiredSignatureError),
        ({"claims": {"nbf": 4_000_000_000}}, jwt.ImmatureSignatureError),
        ({"kid": "unknown"}, jwt.InvalidKeyError),
        ({"key": "foreign"}, jwt.InvalidSignatureError),
        ({"tampered": True}, jwt.InvalidSignatureError),
        ({"algorithm": "none"}, jwt.InvalidAlgorithmError),
        ({"algorithm": "HS256"}, jwt.InvalidAlgorithmError),
    ],
)
def test_a_token_can_be_wrong_in_one_thing(
    teams: TeamsCaller, bot: Received, wish: dict[str, Any], error: type[Exception]
) -> None:
    """Each knob breaks what it says, and PyJWT names it."""
    teams.control.order("inbound", bot_url=bot.url, token=wish)
    with pytest.raises(error):
        verified(teams, bot.token)


def test_a_token_may_be_late_within_the_leeway(teams: TeamsCaller, bot: Received) -> None:
    """Four minutes over, signed rightly."""
    teams.control.order("inbound", bot_url=bot.url, token={"expires_in": -240})
    assert verified(teams, bot.token)["aud"] == BOT


def test_a_request_may_come_without_a_token_or_with_that_of_another_address(teams: TeamsCaller, bot: Received) -> None:
    """The claim and the body disagree then; a foreign service URL can also stand in both."""
    other = "https://smba.trafficmanager.net/emea/"
    teams.control.order("inbound", bot_url=bot.url, token={"header": False})
    teams.control.order("inbound", bot_url=bot.url, token={"claims": {"serviceurl": other}})
    assert (bot.headers[0], verified(teams, bot.token)["serviceurl"]) == (None, other)
    assert bot.activities[1]["serviceUrl"] != other
    teams.control.order("inbound", bot_url=bot.url, service_url=other)
    assert bot.activities[2]["serviceUrl"] == verified(teams, bot.token)["serviceurl"] == other


def test_keys_roll_over(teams: TeamsCaller, bot: Received) -> None:
    """An old key stays published or not; a reset brings the first one back."""
    teams.control.order("inbound", bot_url=bot.url)
    first = bot.token
    teams.control.patch_state(rotate_keys="keep")
    assert verified(teams, first)["aud"] == BOT
    teams.control.order("inbound", bot_url=bot.url)
    assert jwt.get_unverified_header(bot.token)["kid"] != jwt.get_unverified_header(first)["kid"]
    teams.control.patch_state(rotate_keys="drop")
    teams.control.order("inbound", bot_url=bot.url, token={"key": "retired"})
    for token in (first, bot.token):
        with pytest.raises(jwt.InvalidKeyError):
            verified(teams, token)
    teams.control.reset()
    assert verified(teams, first)["aud"] == BOT


@pytest.mark.parametrize("endorsements", [["webchat"], [], None])
def test_endorsements_are_a_setting(teams: TeamsCaller, endorsements: list[str] | None) -> None:
    """Other channels, none, or a key that does not say."""
    teams.control.patch_state(settings={"endorsements": endorsements})
    (key,) = fetched(f"{teams.url}/identity/v1/.well-known/keys")["keys"]
    assert key.get("endorsements") == endorsements


def test_clouds_have_issuers_of_their_own(teams: TeamsCaller, bot: Received) -> None:
    """What a directory of GCC High sends is issued in its cloud."""
    teams.control.patch_state(directories={TENANT: {"cloud": "gcch", "region": "gov"}})
    teams.control.order("inbound", bot_url=bot.url)
    assert verified(teams, bot.token, folder="/identity/gcch")["iss"] == "https://api.botframework.us"
    assert bot.activities[0]["serviceUrl"].endswith("/connector/gov/")
    assert teams.send("GET", "/identity/mars/v1/.well-known/keys").status == 404


def test_a_token_can_be_had_without_a_request(teams: TeamsCaller) -> None:
    """For tests that send themselves: the same token under another body, for example."""
    made = teams.control.order("inbound/token", app_id=OLD_BOT, service_url="https://smba.trafficmanager.net/emea")
    assert verified(teams, made["token"], OLD_BOT)["serviceurl"] == "https://smba.trafficmanager.net/emea"


def test_the_bots_refusal_is_told(teams: TeamsCaller, bot: Received) -> None:
    """Status and body; an error where nobody listens."""
    bot.status = 403
    (one,) = teams.control.order("inbound", bot_url=bot.url)["sent"]
    assert (one["status"], one["body"]) == (403, "{}")
    with SandboxServer(create_app()) as gone:
        url = gone.url
    (one,) = teams.control.order("inbound", bot_url=url)["sent"]
    assert one["error"].startswith("ConnectError")


@pytest.mark.parametrize(
    "wish",
    [
        {"bot_url": "https://bot.example.com/api/messages"},
        {"bot_url": "http://127.0.0.1.example.com/"},
        {"bot_url": "http://[::1"},
        {},
        {"bot_url": "http://127.0.0.1:9/", "event": "dance"},
        {"bot_url": "http://127.0.0.1:9/", "user": "nobody"},
        {"bot_url": "http://127.0.0.1:9/", "team": "19:none@thread.tacv2"},
        {"bot_url": "http://127.0.0.1:9/", "app_id": "none"},
        {"bot_url": "http://127.0.0.1:9/", "token": {"key": "retired"}},
        {"bot_url": "http://127.0.0.1:9/", "token": {"colour": "red"}},
    ],
)
def test_a_wish_that_cannot_be_is_refused(teams: TeamsCaller, wish: dict[str, Any]) -> None:
    """Bots elsewhere than on loopback, unknown events, people, teams, bots, keys and knobs."""
    with pytest.raises(SandboxRefused, match="400"):
        teams.control.order("inbound", **wish)


@pytest.mark.parametrize(
    "changes",
    [
        {"users": {"nobody": {"name": "x"}}},
        {"settings": {"regions": "mars"}},
        {"settings": {"limits": False}, "planets": {}},
        {"rotate_keys": "burn"},
        {"expire_tokens": False},
        {"add_users": [{"id": "x"}]},
        {"remove_teams": ["none"]},
    ],
)
def test_a_state_that_cannot_be_changes_nothing(teams: TeamsCaller, changes: dict[str, Any]) -> None:
    """The whole wish is refused."""
    before = teams.control.state()
    with pytest.raises(SandboxRefused, match="nothing changed"):
        teams.control.patch_state(**changes)
    assert teams.control.state() == before


def test_orders_belong_to_one_simulator(teams: TeamsCaller) -> None:
    """Another simulator's control plane has no such route."""
    with SandboxServer(levelio.create_app()) as running, pytest.raises(SandboxRefused, match="404"):
        SandboxControl(running.url).order("inbound", bot_url=teams.url)
