"""Two tenants, each with its own tools, its own key, and nothing in common but the server."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from sandbox.client import SandboxControl
from sandbox.control import Sandbox
from sandbox.serving import SandboxServer
from sandbox.tacticalrmm import create_app
from server.gen.patchbay.v1 import connections_pb2, identity_pb2
from tests.modules.tacticalrmm.world import SEED
from tests.regressions.calling import new_key
from tests.support import lab_vendor
from tests.support.served import LOOPBACK, Caller, Lab, Served, struct


class OwnLab(lab_vendor.LabVendor):
    """A lab that accepts one token of its own."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; 401 without its token."""
        if dict(scope["headers"]).get(b"authorization") != f"Bearer {self._token}".encode():
            await JSONResponse({"error": "bad token"}, 401)(scope, receive, send)
            return
        await self._app(scope, receive, send)


@dataclass
class Tenant:
    """One of them. Whatever belongs to it has its name in it."""

    name: str
    id: str
    caller: Caller
    lab: Lab
    tactical: Lab

    async def execute(self, action: str, given: dict[str, Any], key: str = "", **more: Any) -> Any:
        """Executes an action for itself."""
        return await self.caller.execute(action, given, key, **{"tenant": self.name, **more})

    async def call(self, rpc: str, kind: Any, **facts: Any) -> Any:
        """Calls a service for itself."""
        return await self.caller(rpc, kind(**{"tenant": self.name, **facts}))


def _seed(name: str) -> dict[str, Any]:
    seed = deepcopy(SEED)
    seed["credentials"]["keys"]["flow"] = f"KEY-OF-{name.upper()}-0123456789"
    for agent in seed["agents"]:
        agent["agent_id"] = f"{name}{agent['agent_id']}"[:40]
        agent["hostname"] = f"{name}-{agent['hostname']}"
    for script in seed["scripts"]:
        script["name"] = f"{name} {script['name']}"
    return seed


@asynccontextmanager
async def _tenant(name: str, served: Served, operator: Caller) -> AsyncIterator[Tenant]:
    made = await operator("Identity/CreateTenant", identity_pb2.CreateTenantRequest(slug=name))
    token, seed = f"token-of-{name}-0123456789", _seed(name)
    with SandboxServer(Sandbox(OwnLab(token))) as lab, SandboxServer(create_app(seed)) as tactical:
        settings = {
            "lab": {"instance_url": lab.url, "token": token},
            "tacticalrmm": {"instance_url": tactical.url, "api_key": seed["credentials"]["keys"]["flow"]},
        }
        for provider, given in settings.items():
            facts = {"tenant": name, "provider": provider, "grant": LOOPBACK}
            request = connections_pb2.ConnectRequest(settings=struct(given), **facts)
            answer = await operator("Connections/Connect", request)
            assert answer.HasField("connection"), answer.failure
        caller = Caller(served.handle.target, await new_key(operator, tenants=[name]))
        labs = [Lab(server.url, SandboxControl(server.url)) for server in (lab, tactical)]
        yield Tenant(name, made.tenant.id, caller, *labs)
        await caller.close()


@dataclass
class Pair:
    """Both, and the server."""

    crimson: Tenant
    indigo: Tenant
    served: Served


@pytest.fixture
async def pair(served: Served) -> AsyncIterator[Pair]:
    """Tenants `crimson` and `indigo`, each with a key for everything within itself."""
    operator = Caller(served.handle.target, await new_key(served.caller))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(operator.close)
        crimson = await stack.enter_async_context(_tenant("crimson", served, operator))
        indigo = await stack.enter_async_context(_tenant("indigo", served, operator))
        yield Pair(crimson, indigo, served)
