"""Bad input gets a clear error that names the field or the remedy; nothing is stored, nothing is lost."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import grpc
import pytest

from server.gen.patchbay.v1 import catalog_pb2, connections_pb2, executor_pb2, identity_pb2
from tests.support.certificates import self_signed
from tests.support.grpc_errors import fields, reasons
from tests.support.served import LOOPBACK, TENANT, Caller, Served, struct

pytestmark = pytest.mark.anyio

Code = grpc.StatusCode
Attempt = Callable[[Served], Awaitable[object]]


def execute(action: str = "lab.things.post", input: object = None, key: str = "k", **more: object) -> Attempt:
    """An execution."""
    value = {"name": "a"} if input is None else input

    async def attempt(served: Served) -> object:
        return await served.caller.execute(action, value, key, **more)

    return attempt


def execute_as(**key: object) -> Attempt:
    """An execution with a new API key."""

    async def attempt(served: Served) -> object:
        await served.caller("Identity/CreateTenant", identity_pb2.CreateTenantRequest(slug="other"))
        request = identity_pb2.CreateApiKeyRequest(label="test", permissions=["*"], **key)
        secret = (await served.caller("Identity/CreateApiKey", request)).secret
        caller = Caller(served.handle.target, secret)
        try:
            await _wait_until(key.get("expire_time"))
            return await caller.execute("lab.things.post", {"name": "a"}, "k", tenant=TENANT)
        finally:
            await caller.close()

    return attempt


async def _wait_until(time: object) -> None:
    while isinstance(time, datetime) and datetime.now(UTC) <= time:
        await asyncio.sleep(0.05)


async def execute_when_expired(served: Served) -> object:
    """A key that ends before it is used."""
    return await execute_as(expire_time=datetime.now(UTC) + timedelta(milliseconds=400))(served)


async def execute_with_a_broken_key(served: Served) -> object:
    """A key that looks right and is none."""
    caller = Caller(served.handle.target, f"pb_{'a' * 12}_{'0' * 64}")
    try:
        return await caller.execute("lab.things.post", {"name": "a"}, "k")
    finally:
        await caller.close()


async def reuse_a_key(served: Served) -> object:
    """The same key, another input."""
    await served.execute("post", {"name": "first"}, "k0")
    return await served.execute("post", {"name": "other"}, "k0")


async def give_more_than_one_has(served: Served) -> object:
    """A key may not make a broader one."""
    request = identity_pb2.CreateApiKeyRequest(label="admin", permissions=["identity"])
    secret = (await served.caller("Identity/CreateApiKey", request)).secret
    caller = Caller(served.handle.target, secret)
    try:
        return await caller("Identity/CreateApiKey", identity_pb2.CreateApiKeyRequest(label="x", permissions=["*"]))
    finally:
        await caller.close()


def get(**name: str) -> Attempt:
    """Reading an execution."""

    async def attempt(served: Served) -> object:
        return await served.caller("ActionExecutor/GetExecution", executor_pb2.GetExecutionRequest(**name))

    return attempt


def options(field: str) -> Attempt:
    """Asking for choices."""
    request = catalog_pb2.ListFieldOptionsRequest(tenant=TENANT, action="tacticalrmm.agents.run_command", field=field)

    async def attempt(served: Served) -> object:
        return await served.caller("Catalog/ListFieldOptions", request)

    return attempt


def connect(settings: object, **more: object) -> Attempt:
    """Connecting."""
    fields = {"tenant": TENANT, "provider": "lab", "grant": LOOPBACK, **more}

    async def attempt(served: Served) -> object:
        request = connections_pb2.ConnectRequest(settings=struct(settings), **fields)
        return await served.caller("Connections/Connect", request)

    return attempt


REFUSED: dict[str, tuple[Attempt, Code, str, str]] = {
    "unknown action": (execute("lab.things.pots"), Code.NOT_FOUND, "ACTION_UNKNOWN", ""),
    "unknown version": (execute(version=7), Code.NOT_FOUND, "ACTION_UNKNOWN", ""),
    "unknown field": (
        execute(input={"name": "a", "tims": 2}),
        Code.INVALID_ARGUMENT,
        "INPUT_INVALID",
        "input.tims",
    ),
    "camel case field": (
        execute("tacticalrmm.scripts.list", {"Query": "x"}, ""),
        Code.INVALID_ARGUMENT,
        "INPUT_INVALID",
        "input.Query",
    ),
    "wrong type": (execute(input={"name": 7}), Code.INVALID_ARGUMENT, "INPUT_INVALID", "input.name"),
    "not a whole number": (
        execute(input={"name": "a", "times": 1.5}),
        Code.INVALID_ARGUMENT,
        "INPUT_INVALID",
        "input.times",
    ),
    "out of range": (
        execute(input={"name": "a", "times": 10}),
        Code.INVALID_ARGUMENT,
        "INPUT_INVALID",
        "input.times",
    ),
    "missing field": (execute(input={}), Code.INVALID_ARGUMENT, "INPUT_INVALID", "input.name"),
    "missing key": (execute(key=""), Code.INVALID_ARGUMENT, "IDEMPOTENCY_KEY_REQUIRED", "idempotency_key"),
    "oversize input": (
        execute(input={"name": "a", "secret": "s" * 1_100_000}),
        Code.INVALID_ARGUMENT,
        "INPUT_TOO_LARGE",
        "input",
    ),
    "unreadable bytes": (
        lambda served: served.caller(
            "ActionExecutor/ExecuteAction",
            executor_pb2.ExecuteActionRequest(
                tenant=TENANT,
                action="lab.things.post",
                idempotency_key="k",
                input=executor_pb2.Payload(proto=b"\xff\xff"),
            ),
        ),
        Code.INVALID_ARGUMENT,
        "INPUT_INVALID",
        "input",
    ),
    "unknown in-flight mode": (execute(in_flight=99), Code.INVALID_ARGUMENT, "INPUT_INVALID", "in_flight"),
    "broken API key": (execute_with_a_broken_key, Code.UNAUTHENTICATED, "CREDENTIALS_INVALID", ""),
    "expired API key": (execute_when_expired, Code.UNAUTHENTICATED, "CREDENTIALS_EXPIRED", ""),
    "other tenant's API key": (execute_as(tenants=["other"]), Code.PERMISSION_DENIED, "TENANT_FORBIDDEN", ""),
    "key that gives more than it has": (give_more_than_one_has, Code.PERMISSION_DENIED, "PERMISSION_DENIED", ""),
    "unknown tenant": (execute(tenant="nobody"), Code.NOT_FOUND, "TENANT_UNKNOWN", ""),
    "no tenant": (execute(tenant=""), Code.INVALID_ARGUMENT, "TENANT_REQUIRED", ""),
    "key reused with other input": (reuse_a_key, Code.ALREADY_EXISTS, "IDEMPOTENCY_KEY_REUSED", ""),
    "execution id that is none": (get(tenant=TENANT, id="7"), Code.INVALID_ARGUMENT, "INPUT_INVALID", "id"),
    "execution of nobody": (
        get(tenant=TENANT, idempotency_key="never"),
        Code.NOT_FOUND,
        "EXECUTION_UNKNOWN",
        "",
    ),
    "picker of an unknown field": (options("shel"), Code.NOT_FOUND, "FIELD_UNKNOWN", ""),
    "picker of a free field": (options("command"), Code.FAILED_PRECONDITION, "FIELD_WITHOUT_PICKER", ""),
    "unknown provider": (connect({}, provider="nope"), Code.NOT_FOUND, "PROVIDER_UNKNOWN", ""),
    "missing credential": (
        connect({"instance_url": "https://example.com"}),
        Code.INVALID_ARGUMENT,
        "INPUT_INVALID",
        "settings.token",
    ),
    "grant that is no network": (
        connect(
            {"instance_url": "https://example.com", "token": "t"},
            grant=connections_pb2.EgressGrant(private_networks=["10.0.0.0/99"]),
        ),
        Code.INVALID_ARGUMENT,
        "INPUT_INVALID",
        "grant.private_networks[0]",
    ),
}


async def stored(served: Served) -> tuple[int, str]:
    """What must not change: executions, connections."""
    await served.handle.house.reads.flush()
    async with served.handle.house.database.system() as connection:
        executions = await connection.fetchval("SELECT count(*) FROM workflow_action_invocations")
        found = await connection.fetch("SELECT tenant, provider, is_active, revision FROM rmm_integrations")
    return executions, str(found)


@pytest.mark.parametrize(("attempt", "code", "reason", "field"), REFUSED.values(), ids=REFUSED)
async def test_refused(served: Served, attempt: Attempt, code: Code, reason: str, field: str) -> None:
    """Status, reason and field are as the table says, the message says something, nothing was stored or sent."""
    before = await stored(served)
    with pytest.raises(grpc.RpcError) as caught:
        await attempt(served)
    error = caught.value
    assert (error.code(), reasons(error)) == (code, [reason]), error.details()
    assert len(error.details()) > 15
    if field:
        assert field in fields(error), f"{fields(error)}: {error.details()}"
    after = await stored(served)
    assert after[1] == before[1]
    assert after[0] - before[0] == (1 if attempt is reuse_a_key else 0)
    assert served.lab.posts() == (1 if attempt is reuse_a_key else 0)


class _Quiet(BaseHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        """Says nothing."""


@pytest.fixture
def self_signed_url(tmp_path: Path) -> Iterator[str]:
    """A TLS server whose certificate nobody vouches for."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Quiet)
    server.socket = self_signed(tmp_path).wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


NO_GRANT = connections_pb2.EgressGrant()
FAILED: dict[str, tuple[str, connections_pb2.EgressGrant, str, str]] = {
    "credentials the vendor refuses": ("{lab}", LOOPBACK, "CREDENTIALS_REFUSED", "credentials"),
    "self-signed certificate": ("{tls}", LOOPBACK, "TLS_FAILED", "certificate"),
    "plain http": ("http://example.com", NO_GRANT, "EGRESS_REFUSED", "https"),
    "private address": ("https://10.1.2.3", NO_GRANT, "EGRESS_REFUSED", "grant"),
    "loopback": ("https://127.0.0.1", NO_GRANT, "EGRESS_REFUSED", "grant"),
    "decimal loopback": ("https://2130706433", NO_GRANT, "EGRESS_REFUSED", ""),
    "cloud metadata": ("https://169.254.169.254", NO_GRANT, "EGRESS_REFUSED", "grant"),
    "nobody there": ("http://127.0.0.1:1", LOOPBACK, "VENDOR_UNAVAILABLE", ""),
}


@pytest.mark.parametrize(("url", "grant", "reason", "remedy"), FAILED.values(), ids=FAILED)
async def test_connecting_fails_with_a_remedy(
    served: Served, self_signed_url: str, url: str, grant: connections_pb2.EgressGrant, reason: str, remedy: str
) -> None:
    """Connect tells what is wrong and what helps, stores nothing, and leaves the working connection alone."""
    before = await stored(served)
    settings = {"instance_url": url.format(lab=served.lab.url, tls=self_signed_url), "token": "wrong-token-1"}
    request = connections_pb2.ConnectRequest(tenant=TENANT, provider="lab", settings=struct(settings), grant=grant)
    answer = await served.caller("Connections/Connect", request)
    assert not answer.HasField("connection")
    assert answer.failure.reason == reason, answer.failure
    assert remedy in answer.failure.remedy.text
    assert "wrong-token-1" not in str(answer)
    assert await stored(served) == before
    assert (await served.execute("post", {"name": "a"}, "k")).state == executor_pb2.EXECUTION_STATE_SUCCEEDED


async def test_a_disconnected_integration_is_a_failure_with_a_remedy(served: Served) -> None:
    """An action of a tool that is not connected: a typed failure, nothing stored."""
    done = await served.caller.execute("tacticalrmm.agents.reboot", {"agent_id": "a" * 40}, "k")
    assert (done.failure.reason, done.id) == ("NOT_CONNECTED", "")
    assert "Connect" in done.failure.remedy.text
    assert await stored(served) == (0, (await stored(served))[1])


async def test_validate_action_makes_every_check_and_stores_nothing(served: Served) -> None:
    """ValidateAction: violations, or what would be sent with secrets masked; nothing is stored or sent."""
    bad = executor_pb2.ExecuteActionRequest(
        tenant=TENANT, action="lab.things.post", input=executor_pb2.Payload(json=struct({"name": "", "times": 10}))
    )
    answer = await served.caller("ActionExecutor/ValidateAction", executor_pb2.ValidateActionRequest(call=bad))
    assert sorted(one.field for one in answer.violations) == ["input.name", "input.times"]
    good = executor_pb2.ExecuteActionRequest(
        tenant=TENANT,
        action="lab.things.post",
        input=executor_pb2.Payload(json=struct({"name": "a", "secret": "canary-1"})),
    )
    answer = await served.caller("ActionExecutor/ValidateAction", executor_pb2.ValidateActionRequest(call=good))
    assert not answer.violations
    assert (answer.input["secret"], answer.input["times"]) == ("***", 1)
    assert (await stored(served))[0] == served.lab.posts() == 0
