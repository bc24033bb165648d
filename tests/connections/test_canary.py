"""Planted secrets are looked for everywhere that Patchbay writes or answers."""

import base64
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import grpc
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from server.core.api_keys import split_token
from server.core.identity import Authenticator
from server.core.tenancy import Tenants
from server.edge.connections import ConnectionsServicer
from server.gen.patchbay.v1 import connections_pb2 as pb
from server.store.api_keys import ApiKeyRows
from server.store.database import Database
from server.store.tenants import Tenants as TenantRows
from tests.connections.conftest import House, settings
from tests.connections.vendor import KEY, LOOPBACK, PROVIDER, Vendor
from tests.identity.calling import Caller, served
from tests.identity.conftest import MakeKey, keys, make_key
from tests.support.postgres import Fresh

__all__ = ["keys", "make_key"]

pytestmark = pytest.mark.anyio

REFUSED = "canary-refused-83d1c2"
PASSWORD = "canary-password-19ae77"
TOTP = "CANARYTOTPJBSWY3DPEHPK3PXP"
MISPLACED = "canary-misplaced-5be0d4"
CANARIES = (KEY, REFUSED, PASSWORD, TOTP, MISPLACED)


def spellings(secret: str) -> Iterator[bytes]:
    """Returns how a secret may look: plain, hexadecimal, base64 at each offset."""
    raw = secret.encode()
    yield raw
    yield raw.hex().encode()
    for offset in range(3):
        encoded = base64.b64encode(b"x" * offset + raw)
        yield encoded[offset + 1 : -4]


async def dump(dsn: str) -> dict[str, bytes]:
    """Returns every row of every table as text, as its owner sees it; binary columns appear in hexadecimal."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("SET patchbay.tenant = '*'")
        tables = await connection.fetch(
            "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables "
            "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        found = {}
        for table in tables:
            rows = await connection.fetch(f"SELECT t::text AS text FROM {table['name']} t")
            found[table["name"]] = "\n".join(row["text"] for row in rows).encode()
        return found
    finally:
        await connection.close()


@pytest.fixture
async def caller(database: Database, house: House, keys: ApiKeyRows, make_key: MakeKey) -> AsyncIterator[Caller]:
    """An operator of a running server with the Connections service."""
    _, token = await make_key()
    service = pb.DESCRIPTOR.services_by_name["Connections"]
    servicer = ConnectionsServicer(house.connections, Tenants(TenantRows(database)))
    async with served(service, servicer, Authenticator(keys)) as anybody:
        yield anybody.using(token)


class Heard:
    """Everything that callers were told."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.told = b""

    async def __call__(self, method: str, request: Any) -> Any:
        """Calls, and keeps the answer or the error with all its metadata."""
        try:
            answer = await self.caller(method, request)
        except grpc.aio.AioRpcError as error:
            self.told += f"{error!r} {error.details()} {error.trailing_metadata()}".encode()
            return None
        self.told += answer.SerializeToString() + str(answer).encode()
        return answer


async def everything(call: Heard, house: House, vendor: Vendor) -> None:
    """Accepts, refuses, breaks, tests, lists, disconnects: every way that a secret can take."""

    def connect(**changes: Any) -> pb.ConnectRequest:
        return pb.ConnectRequest(
            tenant=house.tenant, provider=PROVIDER, settings=settings(vendor, **changes), grant=LOOPBACK
        )

    async def quote(request: web.Request) -> web.Response:
        return web.Response(status=500, text=f"<h1>bad key {request.headers['x-api-key']}</h1>")

    assert (await call("Connect", connect())).HasField("connection")
    assert (await call("Connect", connect(api_key=REFUSED))).failure.reason == "CREDENTIALS_REFUSED"
    login = {"username": "defect", "password": PASSWORD, "totp_secret": TOTP}
    assert (await call("Connect", connect(api_key=None, login=login))).failure.reason == "INTERNAL"
    for misplaced in ({"max_wait": MISPLACED}, {"instance_url": f"https://u:{MISPLACED}@x.test"}, {"key": MISPLACED}):
        await call("Connect", connect(**misplaced))
    named = {"tenant": house.tenant, "provider": PROVIDER}
    await call("TestConnection", pb.TestConnectionRequest(**named))
    vendor.answer = quote
    assert (await call("TestConnection", pb.TestConnectionRequest(**named))).HasField("failure")
    assert (await call("Connect", connect(api_key=REFUSED))).HasField("failure")
    vendor.answer = None
    vendor.accepts = PASSWORD
    login = {"username": "patchbay", "password": PASSWORD, "totp_secret": TOTP}
    assert (await call("Connect", connect(api_key=None, login=login))).HasField("connection")
    await call("ListConnections", pb.ListConnectionsRequest(tenant=house.tenant))
    await call("ListProviders", pb.ListProvidersRequest())


async def test_planted_secrets_are_found_nowhere(
    fresh: Fresh, house: House, vendor: Vendor, caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in a table, a log line or an answer, in no spelling; while connected, after failures, and afterwards."""
    heard = Heard(caller)
    caplog.set_level(logging.DEBUG)
    with capture_logs() as logged:
        await everything(heard, house, vendor)
        while_connected = await dump(fresh.dsn)
        await heard("Disconnect", pb.DisconnectRequest(tenant=house.tenant, provider=PROVIDER))
    places = {
        **while_connected,
        "logs": f"{logged} {caplog.text}".encode(),
        "answers": heard.told,
        "the row of the token": (await dump(fresh.dsn))["public.api_keys"],
    }
    assert b"patchbay" in while_connected["public.rmm_integrations"]
    assert while_connected["public.connection_credentials"]
    found = [
        (place, canary)
        for place, text in places.items()
        for canary in CANARIES
        for spelling in spellings(canary)
        if spelling in text
    ]
    assert found == []


async def test_the_search_finds_what_is_there(fresh: Fresh, house: House, database: Database) -> None:
    """The scan itself works: a secret that is planted in a text, a JSON and a binary column is found in each."""
    async with database.tenant(house.tenant) as connection:
        await connection.execute(
            "INSERT INTO rmm_integrations (tenant, integration_id, provider, instance_url, settings) "
            "VALUES ($1, gen_random_uuid(), 'x', $2, jsonb_build_object('k', $3::text))",
            house.tenant,
            REFUSED,
            f"a{PASSWORD}",
        )
        await connection.execute(
            "INSERT INTO connection_credentials SELECT tenant, integration_id, 'k', '', '', '', $1 "
            "FROM rmm_integrations",
            MISPLACED.encode(),
        )
    text = b"".join((await dump(fresh.dsn)).values())
    assert all(any(one in text for one in spellings(canary)) for canary in (REFUSED, PASSWORD, MISPLACED))
    assert any(one in base64.b64encode(b"{}" + KEY.encode() + b"{}") for one in spellings(KEY))


async def test_a_token_is_not_told_when_it_is_refused(
    caller: Caller, make_key: MakeKey, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the answer nor a log line holds a part of a key that is wrong by one character."""
    _, token = await make_key()
    parts = split_token(token)
    assert parts is not None
    wrong = token[:-1] + ("0" if token[-1] != "0" else "1")
    heard = Heard(caller.using(wrong))
    caplog.set_level(logging.DEBUG)
    with capture_logs() as logged:
        await heard("ListProviders", pb.ListProvidersRequest())
    assert b"CREDENTIALS_INVALID" in heard.told
    assert parts[1][:12] not in f"{heard.told!r} {logged} {caplog.text}"
