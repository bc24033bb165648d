"""A server process, two vendors behind their control planes, and secrets planted in all of them."""

import base64
import copy
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from sandbox.tacticalrmm import create_app
from server.gen.patchbay.v1 import connections_pb2, identity_pb2
from tests.modules.tacticalrmm.world import SEED
from tests.security.hearing import Heard
from tests.support import lab_vendor
from tests.support.certificates import self_signed
from tests.support.postgres import Fresh
from tests.support.served import LOOPBACK, TENANT, Lab, Replica, Replicas, struct


def _random() -> str:
    return secrets.token_hex(10)


@dataclass
class Planted:
    """The secrets. Some hold what has to be quoted in JSON, URLs and HTML; headers carry ASCII only."""

    lab_token: str = field(default_factory=lambda: f'lab {_random()} "/+&<=>%')
    api_key: str = field(default_factory=lambda: f"APIKEY{_random().upper()}")
    password: str = field(default_factory=lambda: f'pass {_random()} "\\ü/+&<')
    totp: str = field(default_factory=lambda: base64.b32encode(secrets.token_bytes(20)).decode())
    variable: str = field(default_factory=lambda: f"var {_random()} \"ß/+&<'=")
    secret: str = field(default_factory=lambda: f"input {_random()} \"\\é/+&<'\n:")
    refused: str = field(default_factory=lambda: f"refused {_random()}/+&=")
    misplaced: str = field(default_factory=lambda: f"misplaced{_random()}")
    master_key: str = field(default_factory=lambda: base64.b64encode(secrets.token_bytes(32)).decode())
    learned: dict[str, str] = field(default_factory=dict)

    def named(self) -> dict[str, str]:
        """Every secret by its name, with those that were learned on the way."""
        own = {name: value for name, value in vars(self).items() if isinstance(value, str)}
        return {**own, **self.learned}


class Watched:
    """An application whose callers' session tokens are noted."""

    def __init__(self, app: ASGIApp, planted: Planted) -> None:
        self._app = app
        self._planted = planted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        header = dict(scope.get("headers", ())).get(b"authorization", b"").decode()
        if header.startswith("Token "):
            token = header.removeprefix("Token ")
            self._planted.learned[f"session token {token[:4]}"] = token
        await self._app(scope, receive, send)


@dataclass
class Stage:
    """Everything on it."""

    planted: Planted
    replica: Replica
    heard: Heard
    lab: Lab
    tactical: Lab
    tls_url: str
    fresh: Fresh

    async def connect(self, provider: str, settings: dict[str, Any], timeout: float = 30.0, **more: Any) -> Any:
        """Connects; returns the answer, None after an error."""
        facts = {"tenant": TENANT, "provider": provider, "grant": LOOPBACK, **more}
        request = connections_pb2.ConnectRequest(settings=struct(settings), **facts)
        return await self.heard("Connections/Connect", request, timeout)

    async def connect_lab(self, **changes: Any) -> Any:
        """Connects the lab with its token, or with something else."""
        known = {"instance_url": self.lab.url, "token": self.planted.lab_token}
        given = {name: value for name, value in {**known, **changes}.items() if value is not None}
        return await self.connect("lab", given)

    async def connect_tactical(self, **changes: Any) -> Any:
        """Connects Tactical RMM with its API key, or with something else."""
        known = {"instance_url": self.tactical.url, "api_key": self.planted.api_key}
        given = {name: value for name, value in {**known, **changes}.items() if value is not None}
        return await self.connect("tacticalrmm", given)

    async def new_key(self, **facts: Any) -> str:
        """Makes an API key without hearing it; its secret part is looked for from now on."""
        request = identity_pb2.CreateApiKeyRequest(**{"label": "canary", "permissions": ["*"], **facts})
        key = str((await self.heard.caller("Identity/CreateApiKey", request)).secret)
        self.planted.learned[f"API key {key.split('_')[1]}"] = key.split("_")[2]
        return key


def _seed(planted: Planted) -> dict[str, Any]:
    seed = copy.deepcopy(SEED)
    seed["credentials"]["keys"]["flow"] = planted.api_key
    seed["credentials"]["passwords"] = dict.fromkeys(("flow", "careful"), planted.password)
    seed["credentials"]["totp"]["careful"] = planted.totp
    return seed


class _Quiet(BaseHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        """Says nothing."""


@pytest.fixture
def tls_url(tmp_path: Path) -> Iterator[str]:
    """A TLS server whose certificate nobody vouches for."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Quiet)
    server.socket = self_signed(tmp_path).wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Planted:
    """New secrets; the lab's vendor accepts its one."""
    made = Planted()
    monkeypatch.setattr(lab_vendor, "TOKEN", made.lab_token)
    return made


@pytest.fixture
async def stage(
    planted: Planted, replicas: Replicas, lab: Lab, tls_url: str, fresh: Fresh, tmp_path: Path
) -> AsyncIterator[Stage]:
    """A server process that wants keys and logs everything, with a master key of the test."""
    master, first = tmp_path / "master", tmp_path / "first"
    master.touch(0o600)
    master.write_text(f"planted:{planted.master_key}\n")
    replica = replicas.start(
        auth="required", master_key_file=master, bootstrap_key_file=first, lease_seconds=2, drain_seconds=10
    )
    key = first.read_text().strip()
    planted.learned["operator's key"] = key.split("_")[2]
    heard = Heard(replica.target, key)
    await heard("Identity/CreateTenant", identity_pb2.CreateTenantRequest(slug=TENANT))
    with SandboxServer(Watched(create_app(_seed(planted)), planted)) as server:
        tactical = Lab(server.url, SandboxControl(server.url))
        yield Stage(planted, replica, heard, lab, tactical, tls_url, fresh)
    await heard.caller.close()
