"""Microsoft's own client and token validator judge the simulated services (extra `judges`)."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import jwt
import pytest

from tests.sandbox.teams_bot import Received
from tests.sandbox.teams_caller import ALERTS, BOT, CARD, DANA, DANA_CHAT, GENERAL, LEE, OLD_BOT, TENANT, TeamsCaller

_WITHOUT = "the extra 'judges' is not installed: make judges"
api = pytest.importorskip("microsoft_teams.api", reason=_WITHOUT)
validators = pytest.importorskip("microsoft_teams.apps.auth.token_validator", reason=_WITHOUT)
clouds = pytest.importorskip("microsoft_teams.api.auth.cloud_environment", reason=_WITHOUT)
http = pytest.importorskip("microsoft_teams.common.http", reason=_WITHOUT)

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore::DeprecationWarning")]  # of the judges themselves


@pytest.fixture
async def client(teams: TeamsCaller) -> AsyncIterator[Any]:
    """Microsoft's client, as the single-tenant bot."""
    options = http.ClientOptions(token=api.JsonWebToken(teams.bearer))
    made = api.ApiClient(f"{teams.url}/connector/emea/", options)
    yield made
    await made.http.http.aclose()


def judge(teams: TeamsCaller, app_id: str = BOT) -> Any:
    """Microsoft's validator, pointed at the simulated identity."""
    document = f"{teams.url}/identity/v1/.well-known/openidconfiguration"
    cloud = clouds.with_overrides(clouds.PUBLIC, openid_metadata_url=document)
    return validators.TokenValidator.for_service(app_id, cloud=cloud)


def message(text: str) -> Any:
    """A message as its classes write it."""
    return api.MessageActivityInput(text=text)


async def test_it_accepts_what_the_vendor_sends(teams: TeamsCaller, bot: Received) -> None:
    """Token and service URL of every kind of event; a slash at the end does not count."""
    for event in ("install", "message", "uninstall"):
        teams.control.order("inbound", bot_url=bot.url, event=event)
    for activity, header in zip(bot.activities, bot.headers, strict=True):
        token = (header or "").removeprefix("Bearer ")
        claims = await judge(teams).validate_token(token, activity["serviceUrl"].rstrip("/"))
        assert claims["aud"] == BOT


@pytest.mark.parametrize(
    "wish",
    [
        {"claims": {"aud": OLD_BOT}},
        {"claims": {"iss": "https://api.botframework.us"}},
        {"claims": {"serviceurl": None}},
        {"claims": {"serviceurl": "https://smba.trafficmanager.net/emea/"}},
        {"claims": {"nbf": 4_000_000_000}},
        {"expires_in": -360},
        {"key": "foreign"},
        {"tampered": True},
        {"algorithm": "HS256"},
        {"algorithm": "none"},
    ],
)
async def test_it_refuses_what_a_knob_breaks(teams: TeamsCaller, bot: Received, wish: dict[str, Any]) -> None:
    """Audience, issuer, service URL, life, signature."""
    teams.control.order("inbound", bot_url=bot.url, token=wish)
    with pytest.raises(jwt.InvalidTokenError):
        await judge(teams).validate_token(bot.token, bot.activities[0]["serviceUrl"])


async def test_it_knows_no_key_that_is_not_published(teams: TeamsCaller, bot: Received) -> None:
    """Neither an unknown name nor a key that was dropped; the new one is accepted."""
    teams.control.order("inbound", bot_url=bot.url)
    old = bot.token
    teams.control.patch_state(rotate_keys="drop")
    teams.control.order("inbound", bot_url=bot.url, token={"kid": "unknown"})
    for token in (old, bot.token):
        with pytest.raises(jwt.PyJWKClientError):
            await judge(teams).validate_token(token)
    teams.control.order("inbound", bot_url=bot.url)
    assert (await judge(teams).validate_token(bot.token))["aud"] == BOT


@pytest.mark.parametrize(("late", "accepted"), [(240, True), (360, False)])
async def test_it_gives_five_minutes(teams: TeamsCaller, bot: Received, late: int, accepted: bool) -> None:
    """Four minutes over is taken, six are not."""
    teams.control.order("inbound", bot_url=bot.url, token={"expires_in": -late})
    if accepted:
        assert (await judge(teams).validate_token(bot.token))["aud"] == BOT
    else:
        with pytest.raises(jwt.ExpiredSignatureError):
            await judge(teams).validate_token(bot.token)


async def test_its_activities_read_what_the_vendor_sends(teams: TeamsCaller, bot: Received) -> None:
    """Each event is parsed into a class of its own."""
    teams.control.patch_state(settings={"install_order": "installation_first"})
    for wish in ({"event": "install"}, {"event": "message", "team": GENERAL, "channel": ALERTS}):
        teams.control.order("inbound", bot_url=bot.url, **wish)
    read = [api.ActivityTypeAdapter.validate_python(one) for one in bot.activities]
    assert [one.type for one in read] == ["installationUpdate", "conversationUpdate", "message"]
    assert [one.recipient.id for one in read] == [f"28:{BOT}"] * 3
    assert read[2].channel_data.team.aad_group_id == "99990000-1111-4222-8333-444455556666"


async def test_its_client_sends_into_a_chat(teams: TeamsCaller, client: Any) -> None:
    """Sent, replaced, taken back; the id is that of the stored message."""
    activities = client.conversations.activities(DANA_CHAT)
    sent = await activities.create(message("hi"))
    assert (await activities.update(sent.id, message("Resolved"))).id == sent.id
    await activities.delete(sent.id)
    (stored,) = teams.control.state()["messages"]
    assert (stored["id"], stored["activity"]["text"], stored["deleted"]) == (sent.id, "Resolved", True)


async def test_its_client_posts_into_a_channel(teams: TeamsCaller, client: Any) -> None:
    """With `conversations.create`, which sends no `isGroup`, and by the channel's id; then into the thread."""
    first = api.CreateConversationParams(
        tenant_id=TENANT, activity=message("P1"), channel_data={"channel": {"id": ALERTS}}
    )
    made = await client.conversations.create(first)
    await client.conversations.activities(made.id).reply(made.activity_id, message("Acknowledged"))
    await client.conversations.activities(ALERTS).create(message("P2"))
    roots = [one["root"] for one in teams.control.state()["messages"]]
    assert roots == ["", made.activity_id, ""]


async def test_its_client_opens_a_chat(client: Any) -> None:
    """With the Entra object id as the member's id."""
    wish = api.CreateConversationParams(tenant_id=TENANT, members=[api.Account(id=LEE)])
    made = await client.conversations.create(wish)
    assert (await client.conversations.activities(made.id).create(message("hi"))).id.isdigit()


async def test_its_client_reads_rosters_and_channels(client: Any) -> None:
    """Members in both spellings, the team, its channels."""
    people = client.conversations.members(ALERTS)
    assert next(one.aad_object_id for one in await people.get_all()) == DANA
    assert (await people.get(LEE)).aad_object_id == LEE
    assert [one.name for one in await client.teams.get_conversations(GENERAL)] == [None, "Alerts"]
    assert (await client.teams.get_by_id(GENERAL)).name == "Service Desk"


async def test_its_client_gets_no_id_of_text_and_card(teams: TeamsCaller, client: Any) -> None:
    """It puts a placeholder there; both messages are there all the same."""
    card = api.Attachment(content_type=CARD["contentType"], content=CARD["content"])
    both = api.MessageActivityInput(text="hi", attachments=[card])
    sent = await client.conversations.activities(DANA_CHAT).create(both)
    assert (sent.id, len(teams.control.state()["messages"])) == ("DO_NOT_USE_PLACEHOLDER_ID", 2)


async def test_its_client_reports_refusals(teams: TeamsCaller, client: Any) -> None:
    """The status comes through."""
    teams.control.patch_state(remove_installations=["aW5zdC1kYW5h"])
    with pytest.raises(httpx.HTTPStatusError) as refused:
        await client.conversations.activities(DANA_CHAT).create(message("hi"))
    assert refused.value.response.json()["error"]["code"] == "BotNotInConversationRoster"
