"""The messaging endpoint of Teams bots: what Teams tells is stored, whatever does not prove itself is not."""

import asyncio
import http.client
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from sandbox.teams import bases, create_app
from server.app import ServerHandle, running_server
from server.core.bot_tokens import BotTokens
from server.core.jwks import KeyPolicy
from server.core.refusals import Refusal
from server.sdk.conversations import ConversationReference
from server.settings import Settings
from server.store.bots import prune_bot_activities
from server.store.conversations import Conversations
from tests.sandbox.teams_caller import ALERTS, BOT, DANA, DANA_CHAT, GENERAL, KIM, LEE, OLD_BOT, OTHER_TENANT, TENANT
from tests.support.postgres import Fresh

pytestmark = pytest.mark.anyio

KEYS = "/identity/v1/.well-known/keys"


@dataclass
class Stage:
    """A server with the endpoint, Microsoft's simulator, and tenant `acme` whose connection has the bot."""

    handle: ServerHandle
    control: SandboxControl
    url: str
    acme: str

    @property
    def bot_url(self) -> str:
        """Where the endpoint is."""
        return f"http://{self.handle.bot_target}/api/messages"

    async def tenant(self, slug: str, *, directory: str = TENANT, **settings: str) -> str:
        """A tenant with an active connection to Teams, as its settings are stored."""
        database = self.handle.house.database
        row = await self.handle.house.tenant_store.create(slug)
        told = {
            "bot_app_id": BOT,
            "entra_tenant_id": directory,
            "service_url": bases(self.url)["connector"],
            **settings,
        }
        async with database.tenant(row.id) as connection:
            await connection.execute(
                "INSERT INTO rmm_integrations (tenant, integration_id, provider, is_active, settings) "
                "VALUES ($1, $2, 'teams', true, $3)",
                row.id,
                str(uuid4()),
                json.dumps(told),
            )
        return row.id

    async def inbound(self, **wish: Any) -> list[int]:
        """Lets Teams tell something; returns the statuses that it got."""
        sent = await asyncio.to_thread(lambda: self.control.order("inbound", bot_url=self.bot_url, **wish))
        return [one["status"] for one in sent["sent"]]

    async def token(self, **wish: Any) -> str:
        """A token alone."""
        wish = {"service_url": f"{self.url}/connector/emea/", **wish}
        return (await asyncio.to_thread(lambda: self.control.order("inbound/token", **wish)))["token"]

    async def signed(self, activity: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
        """An activity as bytes, and headers with a token."""
        bearer = {"Authorization": f"Bearer {await self.token()}", "Content-Type": "application/json"}
        return json.dumps(activity).encode(), bearer

    async def post(self, body: bytes, *, method: str = "POST", path: str = "/api/messages", **headers: str) -> int:
        """Sends exactly this; returns the status."""
        return await asyncio.to_thread(self._post, body, method, path, headers)

    def _post(self, body: bytes, method: str, path: str, headers: dict[str, str]) -> int:
        host, _, port = self.handle.bot_target.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=20)
        try:
            connection.request(method, path, body, headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def book(self, tenant: str | None = None) -> Conversations:
        """The book of a tenant."""
        return Conversations(self.handle.house.database, tenant or self.acme)

    async def stored(self) -> int:
        """How many conversations all books hold."""
        async with self.handle.house.database.system() as connection:
            return await connection.fetchval("SELECT count(*) FROM teams_conversation_references")

    async def audited(self) -> Sequence[tuple[str, str, str]]:
        """Caller, outcome and reason of every activity in the audit log."""
        await self.handle.house.audit.flush()
        async with self.handle.house.database.system() as connection:
            rows = await connection.fetch(
                "SELECT caller, outcome, reason FROM audit_log WHERE operation = 'bot/api/messages' ORDER BY at"
            )
        return [(row["caller"], row["outcome"], row["reason"]) for row in rows]

    async def key_fetches(self) -> int:
        """How often the keys were fetched."""
        told = await asyncio.to_thread(self.control.requests)
        return sum(one["path"] == KEYS for one in told)


@pytest.fixture
async def stage(fresh: Fresh, tmp_path: Path) -> AsyncIterator[Stage]:
    """The stage."""
    with SandboxServer(create_app()) as simulator:
        settings = Settings(
            listen="127.0.0.1:0",
            bot_listen="127.0.0.1:0",
            bot_identity_url=bases(simulator.url)["identity"],
            database_url=fresh.dsn,
            data_dir=tmp_path,
        )
        async with running_server(settings) as handle:
            made = Stage(handle, SandboxControl(simulator.url), simulator.url, "")
            made.acme = await made.tenant("acme")
            yield made


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


async def test_the_same_again_changes_nothing(stage: Stage) -> None:
    """An activity counts once: sent again after the chat has ended it does not bring it back."""
    body, headers = await stage.signed(_message(stage))
    assert await stage.post(body, **headers) == 200
    await stage.book().forget(BOT, "a:1")
    assert await stage.post(body, **headers) == 200
    assert await stage.stored() == 0


@pytest.mark.parametrize(
    "change",
    [
        {"from": {"id": "29:x", "aadObjectId": LEE}},
        {"text": "other"},
        {"channelData": {"tenant": {"id": TENANT}, "team": {"id": GENERAL}}},
    ],
)
async def test_replayed_with_another_body_is_refused(stage: Stage, change: dict[str, Any]) -> None:
    """Another activity under the name of one that came before: 403, nothing changes, the audit says why."""
    activity = _message(stage)
    first, headers = await stage.signed(activity)
    assert await stage.post(first, **headers) == 200
    before = await stage.book().get(BOT, "a:1")
    again, _ = await stage.signed({**activity, **change})
    assert await stage.post(again, **headers) == 403
    assert await stage.book().get(BOT, "a:1") == before
    assert await stage.stored() == 1
    assert [reason for _, _, reason in await stage.audited()] == ["", "ANOTHER_BODY"]


async def test_what_a_token_does_not_cover_stays_unconfirmed(stage: Stage) -> None:
    """With a captured token a new activity can be made up; what it says of a person is not used on its word."""
    body, headers = await stage.signed(_message(stage))
    assert await stage.post(body, **headers) == 200
    await stage.book().confirm(BOT, "a:1", KIM)
    told = await stage.book().personal(BOT, KIM)
    assert told is not None
    assert told.confirmed
    made_up = {**_message(stage), "id": "f:2", "from": {"id": "29:y", "aadObjectId": LEE}}
    body, _ = await stage.signed(made_up)
    assert await stage.post(body, **headers) == 200
    told = await stage.book().personal(BOT, LEE)
    assert told is not None
    assert not told.confirmed


async def test_activities_are_forgotten_after_a_day(stage: Stage) -> None:
    """Until then they are known; nothing but digests is kept of them."""
    assert await stage.inbound(event="message", user=DANA, text="zebra crossing") == [200]
    await stage.inbound(event="message", user=LEE)
    async with stage.handle.house.database.system() as connection:
        await connection.execute(
            "UPDATE teams_bot_activities SET taken_at = now() - interval '25 hours' WHERE ctid IN "
            "(SELECT ctid FROM teams_bot_activities LIMIT 1)"
        )
    await prune_bot_activities(stage.handle.house.database)
    async with stage.handle.house.database.system() as connection:
        rows = await connection.fetch("SELECT name, content FROM teams_bot_activities")
    assert [(len(row["name"]), len(row["content"])) for row in rows] == [(32, 32)]


async def test_stored_names_follow_a_team(stage: Stage) -> None:
    """Renamed, its channels have the new name; deleted for good, they are gone; restored, the team is known again."""
    for channel in (GENERAL, ALERTS):
        await stage.inbound(event="message", user=DANA, team=GENERAL, channel=channel, thread="1764000000000")
    await stage.book().confirm_team(BOT, GENERAL, "Old")
    renamed = {"channelData": {"team": {"id": GENERAL, "name": "Night Desk"}}}
    told = {"event": "team", "user": DANA, "team": GENERAL}
    assert await stage.inbound(**told, event_type="teamRenamed", changes=renamed) == [200]
    found = [await stage.book().get(BOT, channel) for channel in (GENERAL, ALERTS)]
    assert [(one.team_name, one.confirmed) for one in found if one] == [("Night Desk", False)] * 2
    for event in ("teamArchived", "channelRenamed", "channelCreated"):
        assert await stage.inbound(**told, event_type=event) == [200]
    assert await stage.stored() == 2
    assert await stage.inbound(**told, event_type="teamHardDeleted") == [200]
    assert await stage.stored() == 0
    assert await stage.inbound(**told, event_type="teamRestored") == [200]
    assert [one.team_id for one in await stage.book().teams(BOT)] == [GENERAL]


def _message(stage: Stage) -> dict[str, Any]:
    """A message of Kim in a chat."""
    return {
        "type": "message",
        "id": "f:1",
        "channelId": "msteams",
        "serviceUrl": f"{stage.url}/connector/emea/",
        "recipient": {"id": f"28:{BOT}"},
        "from": {"id": "29:x", "aadObjectId": KIM},
        "conversation": {"conversationType": "personal", "tenantId": TENANT, "id": "a:1"},
        "channelData": {"tenant": {"id": TENANT}},
    }


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
        assert (handle.bot, handle.bot_target) == (None, "")
