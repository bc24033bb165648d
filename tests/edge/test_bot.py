"""The messaging endpoint of Teams bots: what Teams tells is stored, whatever does not prove itself is not."""

from pathlib import Path
from typing import Any

import pytest

from sandbox.teams import bases
from server.app import running_server
from server.core.bot_tokens import BotTokens
from server.core.jwks import KeyPolicy
from server.core.refusals import Refusal
from server.sdk.conversations import ConversationReference
from server.settings import Settings
from tests.edge.bot_stage import KEYS, Stage, stage
from tests.sandbox.teams_caller import ALERTS, BOT, DANA, DANA_CHAT, GENERAL, KIM, LEE, OLD_BOT, OTHER_TENANT, TENANT
from tests.support.postgres import Fresh

pytestmark = pytest.mark.anyio

__all__ = ["stage"]


def personal(told: ConversationReference | None) -> tuple[str, str | None, str | None]:
    """What names a chat and its person."""
    assert told is not None
    return told.conversation_id, told.microsoft_user_id, told.user_channel_id


@pytest.mark.parametrize("order", ["installation_first", "conversation_first"])
@pytest.mark.parametrize("sparse", [True, False])
async def test_an_installation_gives_one_chat_in_either_order(stage: Stage, order: str, sparse: bool) -> None:
    """Both events of it, in any order and with or without the person's object id, make one row that knows all."""
    wish = {"event": "install", "user": DANA, "sparse": sparse}
    stage.control.patch_state(settings={"install_order": order})
    assert await stage.inbound(**wish) == [200, 200]
    told = await stage.book().personal(BOT, DANA.upper())
    assert personal(told) == (DANA_CHAT, DANA, "29:1aDanaTechHarbor")
    assert told is not None
    assert told.service_url == f"{stage.url}/connector/emea/"
    assert await stage.stored() == 1
    assert await stage.audited() == [(f"bot:{BOT}", "OK", "")] * 2


async def test_a_message_gives_a_chat_and_its_text_is_kept_nowhere(stage: Stage) -> None:
    """A person who writes can be answered; nothing of the words is stored."""
    assert await stage.inbound(event="message", user=LEE, text="zebra crossing") == [200]
    told = await stage.book().personal(BOT, LEE)
    assert told is not None
    assert "zebra" not in repr(told)


async def test_removal_takes_the_chat_out_of_the_book(stage: Stage) -> None:
    """After an uninstallation nothing is left; an upgrade's removal takes nothing."""
    await stage.inbound(event="install", user=DANA)
    assert set(await stage.inbound(event="upgrade", user=DANA)) == {200}
    assert await stage.book().personal(BOT, DANA) is not None
    assert set(await stage.inbound(event="uninstall", user=DANA)) == {200}
    assert await stage.stored() == 0


async def test_a_team_s_channels_belong_to_nobody_and_leave_with_it(stage: Stage) -> None:
    """Installing in a team gives nobody a chat; a thread tells its channel; with the team all channels leave."""
    assert set(await stage.inbound(event="install", user=DANA, team=GENERAL)) == {200}
    await stage.inbound(event="message", user=DANA, team=GENERAL, channel=ALERTS, thread="1764000000000")
    book = stage.book()
    assert await book.personal(BOT, DANA) is None
    alerts = await book.get(BOT, ALERTS)
    assert alerts is not None
    assert (alerts.conversation_type, alerts.team_id, alerts.microsoft_user_id) == ("channel", GENERAL, None)
    assert [one.team_id for one in await book.teams(BOT)] == [GENERAL]
    assert await book.newest(BOT, GENERAL) == alerts
    assert set(await stage.inbound(event="uninstall", user=DANA, team=GENERAL)) == {200}
    assert await stage.stored() == 0


async def test_a_bot_of_several_tenants_tells_the_right_ones(stage: Stage) -> None:
    """Bot and directory choose: both tenants with the pair, none with another directory or an inactive connection."""
    twin, other, gone = (
        await stage.tenant("twin"),
        await stage.tenant("other", directory=OTHER_TENANT),
        await stage.tenant("gone"),
    )
    async with stage.handle.house.database.tenant(gone) as connection:
        await connection.execute("UPDATE rmm_integrations SET is_active = false WHERE tenant = $1", gone)
    assert await stage.inbound(event="message", user=DANA) == [200]
    found = [await stage.book(one).personal(BOT, DANA) is not None for one in (stage.acme, twin, other, gone)]
    assert found == [True, True, False, False]


REFUSED = {
    "no header": (401, {"token": {"header": False}}),
    "forged": (401, {"token": {"key": "foreign"}}),
    "unknown key": (401, {"token": {"kid": "nobody"}}),
    "tampered": (401, {"token": {"tampered": True}}),
    "unsigned": (401, {"token": {"algorithm": "none"}}),
    "shared secret": (401, {"token": {"algorithm": "HS256"}}),
    "expired": (401, {"token": {"expires_in": -360}}),
    "too early": (401, {"token": {"claims": {"nbf": 4_000_000_000, "exp": 4_000_000_100}}}),
    "other issuer": (401, {"token": {"claims": {"iss": "https://login.example.com"}}}),
    "no end": (401, {"token": {"claims": {"exp": None}}}),
    "no service URL": (401, {"token": {"claims": {"serviceurl": None}}}),
    "other bot": (403, {"token": {"claims": {"aud": OLD_BOT}}}),
    "several audiences": (401, {"token": {"claims": {"aud": [BOT, OLD_BOT]}}}),
    "other service URL": (403, {"changes": {"serviceUrl": "https://smba.trafficmanager.net/emea/"}}),
    "foreign host": (403, {"service_url": "https://evil.trafficmanager.net/emea/"}),
    "Microsoft's host beside a simulator": (403, {"service_url": "https://smba.trafficmanager.net/emea/"}),
    "other recipient": (403, {"changes": {"recipient": {"id": f"28:{OLD_BOT}"}}}),
    "other channel": (403, {"changes": {"channelId": "webchat"}}),
    "unknown directory": (
        403,
        {"changes": {"channelData": {"tenant": {"id": OTHER_TENANT}}, "conversation": {"tenantId": OTHER_TENANT}}},
    ),
    "two directories": (403, {"changes": {"conversation": {"tenantId": OTHER_TENANT}}}),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_does_not_prove_itself_is_refused_and_not_stored(stage: Stage, case: str) -> None:
    """401 for a token that does not hold, 403 for a body that it does not vouch for; an audit row only with a token."""
    status, wish = REFUSED[case]
    assert await stage.inbound(event="message", user=DANA, **wish) == [status]
    assert await stage.stored() == 0
    outcomes = [outcome for _, outcome, _ in await stage.audited()]
    assert outcomes == (["REFUSED"] if status == 403 else [])


async def test_clocks_may_differ_by_five_minutes(stage: Stage) -> None:
    """A token that ended four minutes ago still counts, as Microsoft's own check has it."""
    assert await stage.inbound(event="message", user=DANA, token={"expires_in": -240}) == [200]


@pytest.mark.parametrize(("endorsed", "status"), [(["webchat"], 403), ([], 403), (None, 200)])
async def test_a_key_that_names_its_channels_must_name_teams(
    stage: Stage, endorsed: list[str] | None, status: int
) -> None:
    """Endorsements for other channels are refused; a key without any is not restricted."""
    stage.control.patch_state(settings={"endorsements": endorsed})
    assert await stage.inbound(event="message", user=DANA) == [status]
    assert await stage.stored() == (1 if status == 200 else 0)


async def test_keys_are_kept_and_unknown_ones_cause_no_stream_of_fetches(stage: Stage) -> None:
    """Many activities cost one fetch of keys, and many unknown keys right after it none."""
    assert await stage.inbound(event="message", user=DANA, times=5) == [200] * 5
    assert await stage.inbound(event="message", user=DANA, token={"kid": "nobody"}, times=5) == [401] * 5
    assert await stage.key_fetches() == 1


async def test_rolled_over_keys_count_as_soon_as_they_are_fetched(stage: Stage) -> None:
    """A token by a new key causes a fetch and holds; the old key, published no more, then does not."""
    tokens = BotTokens(bases(stage.url)["identity"], policy=KeyPolicy(pause=0.0))
    before = await stage.token()
    assert (await tokens.verify(before)).bot_app_id == BOT
    stage.control.patch_state(rotate_keys="drop")
    assert (await tokens.verify(await stage.token())).service_url == f"{stage.url}/connector/emea"
    with pytest.raises(Refusal, match="does not hold"):
        await tokens.verify(before)
    await tokens.aclose()


async def test_while_keys_cannot_be_fetched_nothing_is_judged(stage: Stage) -> None:
    """503 tells Teams to come again; nothing is stored."""
    stage.control.add_fault("status", status=500, path_regex=KEYS, times=0)
    assert await stage.inbound(event="message", user=DANA) == [503]
    assert await stage.stored() == 0


async def test_what_is_not_an_activity_is_refused(stage: Stage) -> None:
    """Other methods, types, shapes and sizes have statuses of their own; without a token nothing is read."""
    bearer = {"Authorization": f"Bearer {await stage.token()}", "Content-Type": "application/json"}
    assert await stage.post(b"", method="GET") == 405
    assert await stage.post(b"{}", path="/other", **bearer) == 404
    assert await stage.post(b"{}", **{**bearer, "Content-Type": "text/plain"}) == 415
    assert await stage.post(b"{", **bearer) == 400
    assert await stage.post(b"[]", **bearer) == 400
    assert await stage.post(b"[" * 100_000, **bearer) == 400
    assert await stage.post(b" " * (256 * 1024) + b"{}", **bearer) == 413
    assert await stage.post(b"{}", **{**bearer, "Authorization": "Bearer x.y.z"}) == 401
    assert await stage.post(b"{}", **bearer) == 403
    assert await stage.stored() == 0


@pytest.mark.parametrize("odd", [[], "x", 7, None, {"id": ["x"]}, {"id": "y" * 5000}])
@pytest.mark.parametrize("part", ["conversation", "from", "channelData", "membersAdded"])
async def test_odd_shapes_behind_a_good_token_store_nothing_broken(stage: Stage, part: str, odd: Any) -> None:
    """Whatever stands where an object should, the answer is 200 or 403."""
    activity = {
        "type": "installationUpdate",
        "action": "add",
        "channelId": "msteams",
        "serviceUrl": f"{stage.url}/connector/emea/",
        "recipient": {"id": f"28:{BOT}"},
        "from": {"id": "29:x", "aadObjectId": KIM},
        "conversation": {"conversationType": "personal", "tenantId": TENANT, "id": "a:1"},
        "channelData": {"tenant": {"id": TENANT}},
    }
    assert set(await stage.inbound(event="raw", activity={**activity, part: odd})) <= {200, 403}


async def test_invoke_activities_have_no_answer_here(stage: Stage) -> None:
    """A bot that only notifies offers nothing to invoke: 501, and nothing is stored."""
    assert await stage.inbound(event="message", user=DANA, changes={"type": "invoke"}) == [501]
    assert await stage.stored() == 0


async def test_without_the_setting_there_is_no_endpoint(fresh: Fresh, tmp_path: Path) -> None:
    """A server listens for bots only where it is told to."""
    settings = Settings(listen="127.0.0.1:0", database_url=fresh.dsn, data_dir=tmp_path)
    async with running_server(settings) as handle:
        assert (handle.http, handle.http_targets) == ([], {})
