"""A vendor on loopback and the module that talks to it, under the contract of Tactical RMM."""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from server.core.registry import RegisteredModule, Registry
from server.gen.patchbay.modules.tacticalrmm.v1 import tacticalrmm_pb2
from server.gen.patchbay.v1 import connections_pb2
from server.sdk.availability import rmm_connection
from server.sdk.failures import ActionFailure
from server.sdk.http import HttpClient
from server.sdk.module import ConnectionScope, IntegrationModule
from tests.catalog.support import Vendor as Handlers

KEY = "canary-api-key-6c1f0a93"
PROVIDER = "tacticalrmm"
LOOPBACK = connections_pb2.EgressGrant(private_networks=["127.0.0.0/8"], plain_http=True)

Settings = tacticalrmm_pb2.TacticalRmmConnection


@dataclass
class Vendor:
    """Accepts one key. `url` is where it listens.

    Attributes:
        accepts: The key that it accepts now.
        checks: Keys that it was asked about.
        answer: What it does in place of checking the key.
    """

    url: str = ""
    accepts: str = KEY
    checks: list[str] = field(default_factory=list)
    answer: Callable[[web.Request], Any] | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answers one request; a refusal quotes the key, as careless vendors do."""
        key = request.headers.get("x-api-key", "")
        self.checks.append(key)
        if self.answer is not None:
            answer: web.StreamResponse = await self.answer(request)
            return answer
        if key != self.accepts:
            return web.json_response({"detail": f"the key {key} is not valid"}, status=401)
        return web.json_response({"ok": True})


@asynccontextmanager
async def running(tls: ssl.SSLContext | None = None) -> AsyncIterator[Vendor]:
    """Runs a vendor on a free loopback port."""
    vendor = Vendor()
    app = web.Application()
    app.router.add_get("/check", vendor.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    scheme = "https" if tls else "http"
    vendor.url = f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield vendor
    finally:
        await runner.cleanup()


class Client:
    """The vendor's one endpoint. Notes how many were made and closed."""

    made = 0
    closed = 0

    def __init__(self, scope: ConnectionScope[Settings]) -> None:
        type(self).made += 1
        self.settings = scope.settings
        self.scope = scope
        self._http: HttpClient = scope.http.bind(
            base_url=scope.settings.instance_url,
            headers={"x-api-key": scope.settings.api_key or scope.settings.login.password},
        )

    async def check(self) -> None:
        """Asks whether the key is accepted."""
        await self._http.request("GET", "/check")

    async def aclose(self) -> None:
        """Notes the end."""
        type(self).closed += 1


async def check(client: Client) -> None:
    """Asks the vendor; users named `defect` and `careless` stand for modules that quote a secret."""
    login = client.settings.login
    if login.username == "defect":
        raise RuntimeError(f"cannot sign in with {login.password}")
    if login.username == "careless":
        quoted = f"{login.password} was not accepted"
        raise ActionFailure("CREDENTIALS_REFUSED", quoted, vendor_message=quoted, remedy=quoted)
    await client.check()


def module(**changes: Any) -> IntegrationModule[Any, Any]:
    """Returns the module with a class of clients of its own, changed as told."""
    contract = tacticalrmm_pb2.DESCRIPTOR.services_by_name["TacticalRmm"]
    facts: dict[str, Any] = {
        "contract": contract,
        "handlers": Handlers().handlers(contract),
        "availability": rmm_connection(PROVIDER, "Tactical RMM"),
        "connect": type("CountedClient", (Client,), {"made": 0, "closed": 0}),
        "check": check,
        "instance_url": lambda settings: settings.instance_url.rstrip("/"),
    }
    return IntegrationModule(**{**facts, **changes})


def registered(registry: Registry) -> RegisteredModule:
    """Returns the module in a registry."""
    found = registry.provider(PROVIDER)
    assert found is not None
    return found
