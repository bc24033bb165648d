"""A15, A16: what a designer is told, and what modules share."""

import ast
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from server.gen.patchbay.v1 import catalog_pb2, connections_pb2
from tests.support.paths import ROOT
from tests.support.served import TENANT, Served


async def availability(served: Served, group: str) -> catalog_pb2.Availability:
    """What the catalog says about a group."""
    answer = await served.caller("Catalog/GetCatalog", catalog_pb2.GetCatalogRequest(tenant=TENANT))
    (found,) = [one.availability for one in answer.groups if one.group_key == group]
    return found


@asynccontextmanager
async def watching(served: Served) -> AsyncIterator[Any]:
    """A watch whose snapshot has been read."""
    open_watch = served.caller.channel.unary_stream(
        "/patchbay.v1.Catalog/WatchCatalog",
        catalog_pb2.WatchCatalogRequest.SerializeToString,
        catalog_pb2.WatchCatalogResponse.FromString,
    )
    stream: Any = open_watch(catalog_pb2.WatchCatalogRequest(tenant=TENANT), timeout=30)
    await stream.read()
    yield stream
    stream.cancel()


@pytest.mark.anyio
async def test_a15_what_is_unavailable_says_why_and_what_helps_and_is_pushed(served: Served) -> None:
    """Never connected and disconnected have reasons of their own, with a remedy; the change reaches a watch."""
    never = await availability(served, "app:tacticalrmm")
    assert (await availability(served, "app:lab")).state == catalog_pb2.AVAILABILITY_STATE_AVAILABLE
    async with watching(served) as stream:
        request = connections_pb2.DisconnectRequest(tenant=TENANT, provider="lab")
        await served.caller("Connections/Disconnect", request)
        pushed = (await stream.read()).change
    gone = await availability(served, "app:lab")
    assert (never.reason, gone.reason) == ("NOT_CONNECTED", "INTEGRATION_INACTIVE")
    assert never.remedy.text
    assert gone.remedy.text
    assert (pushed.group_key, pushed.availability) == ("app:lab", gone)


@pytest.mark.anyio
async def test_a15_a_check_that_breaks_does_not_look_like_not_connected(served: Served) -> None:
    """When the look-up itself fails, the reason says so, and the failure of an execution is retryable."""
    owner = await asyncpg.connect(served.fresh.dsn)
    served.handle.house.availabilities.forget_all()
    await owner.execute("ALTER TABLE rmm_integrations RENAME TO elsewhere")
    try:
        broken = await availability(served, "app:lab")
        done = await served.execute("post", {"name": "a"}, "k")
    finally:
        await owner.execute("ALTER TABLE elsewhere RENAME TO rmm_integrations")
        await owner.close()
    assert (broken.reason, done.failure.reason) == ("AVAILABILITY_CHECK_FAILED",) * 2
    assert done.failure.retryable
    assert broken.remedy.text


TRANSPORTS = re.compile(r"(httpx|aiohttp|requests|urllib\.request|urllib3|http\.client|socket|ssl|grpc|asyncpg)(\.|$)")


def transports(source: str) -> list[str]:
    """Modules that a file imports and that open connections."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [name for name in found if TRANSPORTS.match(name)]


def test_a16_modules_share_one_http_client() -> None:
    """No module, in this package or outside, imports a transport: each one gets the client of the SDK."""
    folders = [ROOT / "server" / "modules", ROOT / "examples" / "sample_module" / "patchbay_statusboard"]
    sources = {path: path.read_text() for folder in folders for path in folder.rglob("*.py") if "gen" not in path.parts}
    assert {path.name: found for path, text in sources.items() if (found := transports(text))} == {}
    assert sum("server.sdk" in text for text in sources.values()) >= 4
    assert transports("import http.client\nfrom urllib import request") == ["http.client", "urllib.request"]
