"""What is said in Teams, and what it is said with, is found nowhere: not in rows, files, logs or answers."""

import asyncio
import json
import secrets
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from sandbox.teams import bases, create_app, demo_connection
from server.conformance.canaries import Search, forms
from server.gen.patchbay.v1 import connections_pb2, identity_pb2
from tests.modules.teams.world import ALERTS, BOT, CARD, DANA, DIRECTORY, KIM
from tests.security import places
from tests.security.hearing import Heard
from tests.support.ports import free_port
from tests.support.postgres import Fresh
from tests.support.served import LOOPBACK, TENANT, Replica, Replicas, struct

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]


def _words(what: str) -> str:
    return f'{what} {secrets.token_hex(10)} "ü\\/+&<'


@dataclass
class Said:
    """What people are told, and the tokens that were seen on the way."""

    title: str = field(default_factory=lambda: _words("title"))
    line: str = field(default_factory=lambda: _words("line"))
    dm: str = field(default_factory=lambda: _words("dm"))
    post: str = field(default_factory=lambda: _words("post"))
    card: str = field(default_factory=lambda: _words("card"))
    heard: str = field(default_factory=lambda: _words("heard"))
    learned: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, list[str]] = field(default_factory=dict)

    def named(self) -> dict[str, str]:
        """Everything by its name; of tokens the signature, without which the rest is no secret."""
        own = {name: value for name, value in vars(self).items() if isinstance(value, str)}
        bearers = {
            f"{name} {n}": one for name, some in self.tokens.items() for n, one in enumerate(dict.fromkeys(some))
        }
        return {**own, **self.learned, **{name: one.rpartition(".")[2] for name, one in bearers.items()}}


class Watched:
    """Microsoft's services, whose callers' tokens are noted."""

    def __init__(self, app: ASGIApp, said: Said) -> None:
        self._app = app
        self._said = said

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        header = dict(scope.get("headers", ())).get(b"authorization", b"").decode()
        if header.startswith("Bearer "):
            token, surface = header.removeprefix("Bearer "), scope["path"].split("/")[1]
            self._said.tokens.setdefault(surface, []).append(token)
        await self._app(scope, receive, send)


@dataclass
class Stage:
    """A server process that logs all it can, and Microsoft's services."""

    said: Said
    replica: Replica
    heard: Heard
    teams: SandboxControl
    url: str
    bot_url: str
    fresh: Fresh

    def steps(self) -> list[tuple[str, dict[str, Any]]]:
        """Every action that tells people something."""
        said = self.said
        card = {**CARD, "body": [{"type": "TextBlock", "text": said.card}]}
        return [
            ("notify_user", {"microsoft_user_id": DANA, "title": said.title, "message": said.line}),
            ("send_dm", {"microsoft_user_id": DANA, "message": said.dm, "card": card}),
            ("send_dm", {"microsoft_user_id": KIM, "message": said.dm}),
            ("post_to_channel", {"channel_id": ALERTS, "message": said.post}),
            ("post_to_channel", {"channel_id": ALERTS, "message": said.post, "card": {**card, "version": "9"}}),
            ("post_to_channel", {"channel_id": ALERTS, "message": said.post, "thread_id": said.post}),
        ]

    async def play(self, name: str, **answer: Any) -> list[Any]:
        """Does all of them; returns the executions, None for calls that were refused.

        Args:
            name: Part of the keys.
            answer: A fault; its body repeats everything that the request was sent with.
        """
        played = []
        for number, (action, given) in enumerate(self.steps()):
            if answer:
                self._spoil(given, answer)
            played.append(await self.heard.execute(f"teams.{action}", given, f"{name} {number}"))
            self.teams.clear_faults()
        return played

    def _spoil(self, given: dict[str, Any], answer: dict[str, Any]) -> None:
        told = [text for text in vars(self.said).values() if text in (given.get("title"), given.get("message"))]
        told += [self.said.card] if "card" in given else []
        for surface in ("graph", "connector"):
            known = [*told, self.said.learned["client secret"], *self.said.tokens[surface][-1:]]
            body = {"error": {"code": "X", "message": forms(known)}}
            self.teams.add_fault(method="POST", path_regex=f"^/{surface}/", times=0, body=body, **answer)

    async def tell(self, **changes: Any) -> int:
        """Lets Teams tell the bot of a message; returns the status that it got."""
        service_url = f"{self.url}/connector/emea/"
        made = await asyncio.to_thread(lambda: self.teams.order("inbound/token", service_url=service_url))
        self.said.tokens.setdefault("bot", []).append(made["token"])
        activity = {
            "type": "message",
            "id": "1764000000001",
            "text": self.said.heard,
            "channelId": "msteams",
            "serviceUrl": service_url,
            "recipient": {"id": f"28:{BOT}"},
            "from": {"id": "29:x", "aadObjectId": DANA},
            "conversation": {"conversationType": "personal", "tenantId": DIRECTORY, "id": "a:1HarborDanaPatchbay"},
            "channelData": {"tenant": {"id": DIRECTORY}},
        }
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            headers = {"authorization": f"Bearer {made['token']}"}
            return (await client.post(self.bot_url, json={**activity, **changes}, headers=headers)).status_code


@pytest.fixture
async def stage(replicas: Replicas, fresh: Fresh) -> AsyncIterator[Stage]:
    """The stage, with a connected tenant."""
    said, port = Said(), free_port()
    with SandboxServer(Watched(create_app(), said)) as server:
        teams = SandboxControl(server.url)
        credentials = teams.credentials()
        said.learned["client secret"] = credentials["client_secret"]
        identity = bases(server.url)["identity"]
        replica = replicas.start(bot_listen=f"127.0.0.1:{port}", bot_identity_url=identity)
        heard = Heard(replica.target, "")
        await heard("Identity/CreateTenant", identity_pb2.CreateTenantRequest(slug=TENANT))
        request = connections_pb2.ConnectRequest(
            tenant=TENANT, provider="teams", settings=struct(demo_connection(server.url, credentials)), grant=LOOPBACK
        )
        assert (await heard("Connections/Connect", request)).HasField("connection")
        yield Stage(said, replica, heard, teams, server.url, f"http://127.0.0.1:{port}/api/messages", fresh)
        await heard.caller.close()


async def failures(stage: Stage) -> None:
    """Every answer that may go wrong, each with all that was sent in it; answers that are lost; a wrong secret."""
    for status in (400, 401, 403, 404, 409, 412, 413, 429, 500, 503):
        played = await stage.play(f"status {status}", kind="status", status=status)
        assert all(one is None or one.HasField("failure") for one in played)
    for kind in ("reset_after", "garbage", "truncate"):
        await stage.play(kind, kind=kind)
    wrong = {**demo_connection(stage.url, stage.teams.credentials()), "bot_secret": secrets.token_hex(20)}
    stage.said.learned["wrong secret"] = wrong["bot_secret"]
    request = connections_pb2.ConnectRequest(tenant=TENANT, provider="teams", settings=struct(wrong), grant=LOOPBACK)
    assert (await stage.heard("Connections/Connect", request)).failure.reason == "CREDENTIALS_REFUSED"


async def test_what_is_said_in_teams_is_found_nowhere(stage: Stage) -> None:
    """Titles, messages, cards, what is written to the bot, the client secret, every bearer token: after all endings."""
    assert await stage.tell() == 200
    assert await stage.tell(id="1764000000002", recipient={"id": "28:other"}) == 403
    played = await stage.play("good")
    assert [one is not None and one.HasField("output") for one in played] == [True, True, False, True, False, False]
    seen = json.dumps(stage.teams.state(), ensure_ascii=False)
    assert all(json.dumps(text, ensure_ascii=False)[1:-1] in seen for text in (stage.said.dm, stage.said.card))
    await failures(stage)
    assert await asyncio.to_thread(stage.replica.kill, signal.SIGTERM) == 0
    where = {
        **await places.rows(stage.fresh),
        **await places.dump(stage.fresh),
        **await places.files(stage.fresh),
        "log": stage.replica.log.read_bytes(),
        "answers": bytes(stage.heard.told),
    }
    assert DANA.encode() in where["table public.workflow_action_invocations"]
    assert set(stage.said.tokens) == {"graph", "connector", "bot"}
    assert Search(stage.said.named())(where) == []
