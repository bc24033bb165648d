"""Two tenants at once, and one that tries to reach the other."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest

from server.gen.patchbay.v1 import catalog_pb2, connections_pb2, executor_pb2, failure_pb2, identity_pb2
from tests.gen.torture.lab.v1 import lab_pb2
from tests.regressions.calling import direct
from tests.security.pair import Pair, Tenant, pair
from tests.support.grpc_errors import refused

__all__ = ["pair"]

pytestmark = pytest.mark.anyio

SUCCEEDED = executor_pb2.EXECUTION_STATE_SUCCEEDED
UNKNOWN = executor_pb2.EXECUTION_STATE_UNKNOWN
FORBIDDEN = grpc.StatusCode.PERMISSION_DENIED


async def choices(tenant: Tenant, field: str) -> Any:
    """Choices of a field of run_script."""
    asked = {"action": "tacticalrmm.agents.run_script", "field": field}
    return await tenant.call("Catalog/ListFieldOptions", catalog_pb2.ListFieldOptionsRequest, **asked)


async def work(one: Tenant, n: int) -> Any:
    """One of ten kinds of calls."""
    named, key = f"{one.name}-{n}", f"key-{n}"
    listing = {"page_size": 500}
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: one.execute("lab.things.post", {"name": named}, key),
        lambda: one.execute("lab.things.run_raw", {"text": named}, key),
        lambda: one.execute("lab.things.put", {"name": named}, key),
        lambda: one.execute("lab.things.read", {"name": named}),
        lambda: one.execute("tacticalrmm.agents.find", {"live": n % 20 < 10}),
        lambda: choices(one, "agent_id"),
        lambda: choices(one, "script_id"),
        lambda: one.call("Catalog/GetCatalog", catalog_pb2.GetCatalogRequest),
        lambda: one.call("Connections/ListConnections", connections_pb2.ListConnectionsRequest),
        lambda: one.call("ActionExecutor/ListExecutions", executor_pb2.ListExecutionsRequest, **listing),
    ]
    return await calls[n % len(calls)]()


async def test_two_hundred_calls_at_once_keep_apart(pair: Pair) -> None:
    """Two tenants with equal keys, 100 calls each, of every kind: answers, vendors, inventory and audit never mix."""
    tasks = {
        (tenant.name, number): asyncio.create_task(work(tenant, number))
        for number in range(100)
        for tenant in (pair.crimson, pair.indigo)
    }
    answers = {place: await task for place, task in tasks.items()}
    for own, foreign in ((pair.crimson, pair.indigo), (pair.indigo, pair.crimson)):
        told = [str(answer) for (name, _), answer in answers.items() if name == own.name]
        signs = (foreign.name, foreign.id, foreign.lab.url, foreign.tactical.url)
        assert [(sign, text[:500]) for text in told for sign in signs if sign in text] == []
        assert sum(own.name in text for text in told) >= 60
        assert {one["target"].split("-")[0] for one in own.lab.control.effects().items} == {own.name}
        assert own.lab.control.effects().total == 30
    executions = [answer for answer in answers.values() if isinstance(answer, executor_pb2.Execution)]
    assert {one.state for one in executions} == {SUCCEEDED}
    assert not any(one.replayed for one in executions)
    await check_rows(pair)


async def check_rows(pair: Pair) -> None:
    """What the database holds of each tenant."""
    house = pair.served.handle.house
    await house.reads.flush()
    await house.audit.flush()
    for own, foreign in ((pair.crimson, pair.indigo), (pair.indigo, pair.crimson)):
        key = own.caller.metadata[0][1].split("_")[1]
        async with house.database.tenant(own.id) as connection:
            callers = await connection.fetch("SELECT DISTINCT caller FROM audit_log WHERE operation LIKE '%Execut%'")
            agents = await connection.fetch("SELECT name, rmm_device_id FROM assets")
            ran = await connection.fetch("SELECT caller, input_json::text AS input FROM workflow_action_invocations")
        assert [row["caller"] for row in callers] == [f"key:{key}"]
        assert len(agents) == 6
        assert all(row["name"].startswith(f"{own.name}-") for row in agents)
        assert {row["caller"] for row in ran} == {f"key:{key}"}
        assert not any(foreign.name in row["input"] for row in ran)
        assert len(ran) >= 50


@pytest.fixture
async def unsure(pair: Pair) -> executor_pb2.Execution:
    """An execution of indigo whose outcome is unknown."""
    pair.indigo.lab.control.add_fault("reset_after", method="POST", path_regex="^/things")
    done: executor_pb2.Execution = await pair.indigo.execute("lab.things.run_raw", {"text": "indigo-1"}, "k")
    assert done.state == UNKNOWN
    return done


VERDICT = executor_pb2.FailedVerdict(effect=failure_pb2.EFFECT_NONE)
REACHING: dict[str, tuple[str, type, dict[str, Any]]] = {
    "get": ("ActionExecutor/GetExecution", executor_pb2.GetExecutionRequest, {}),
    "cancel": ("ActionExecutor/CancelExecution", executor_pb2.CancelExecutionRequest, {}),
    "resolve": (
        "ActionExecutor/ResolveExecution",
        executor_pb2.ResolveExecutionRequest,
        {"failed": VERDICT, "reason": "mine"},
    ),
}


@pytest.mark.parametrize(("rpc", "kind", "facts"), REACHING.values(), ids=REACHING)
async def test_a_foreign_execution_cannot_be_reached_by_its_id(
    pair: Pair, unsure: executor_pb2.Execution, rpc: str, kind: type, facts: dict[str, Any]
) -> None:
    """Under its own name a tenant does not find it, as if it did not exist; under the other's name it is forbidden."""
    with refused("EXECUTION_UNKNOWN", grpc.StatusCode.NOT_FOUND):
        await pair.crimson.call(rpc, kind, id=unsure.id, **facts)
    with refused("EXECUTION_UNKNOWN", grpc.StatusCode.NOT_FOUND):
        await pair.crimson.call(rpc, kind, tenant="", id=unsure.id, **facts)
    for name in ("indigo", pair.indigo.id, pair.indigo.id.upper(), "INDIGO", "indigo ", "nobody"):
        with refused("TENANT_FORBIDDEN", FORBIDDEN):
            await pair.crimson.call(rpc, kind, tenant=name, id=unsure.id, **facts)
    kept = await pair.indigo.call("ActionExecutor/GetExecution", executor_pb2.GetExecutionRequest, id=unsure.id)
    assert kept.execution.state == UNKNOWN


async def test_a_foreign_key_is_nobodys_key(pair: Pair, unsure: executor_pb2.Execution) -> None:
    """The other's idempotency key can neither be read nor collided with, and does not show in ValidateAction."""
    with refused("EXECUTION_UNKNOWN", grpc.StatusCode.NOT_FOUND):
        await pair.crimson.call("ActionExecutor/GetExecution", executor_pb2.GetExecutionRequest, idempotency_key="k")
    call = executor_pb2.ExecuteActionRequest(tenant="crimson", action="lab.things.run_raw", idempotency_key="k")
    call.input.json.update({"text": "indigo-1"})
    request = executor_pb2.ValidateActionRequest(call=call)
    assert not (await pair.crimson.caller("ActionExecutor/ValidateAction", request)).HasField("existing")
    own = await pair.crimson.execute("lab.things.run_raw", {"text": "crimson-1"}, "k")
    assert (own.state, own.replayed, pair.crimson.lab.posts(), pair.indigo.lab.posts()) == (SUCCEEDED, False, 1, 1)


async def test_lists_and_pages_stay_within_the_tenant(pair: Pair) -> None:
    """Another's page token continues one's own list at most; filters reach nobody else's rows."""
    for tenant in (pair.crimson, pair.indigo):
        for number in range(3):
            await tenant.execute("lab.things.post", {"name": f"{tenant.name}-{number}"}, f"k{number}")
    rpc, kind = "ActionExecutor/ListExecutions", executor_pb2.ListExecutionsRequest
    page = await pair.indigo.call(rpc, kind, page_size=1)
    for asked in ({"page_token": page.next_page_token}, {}, {"action": "lab.things.post"}, {"page_size": 500}):
        answer = await pair.crimson.call(rpc, kind, **asked)
        assert {one.tenant for one in answer.executions} <= {pair.crimson.id}
    asked = {"action": "tacticalrmm.agents.run_script", "field": "agent_id", "page_size": 1}
    options = await pair.indigo.call("Catalog/ListFieldOptions", catalog_pb2.ListFieldOptionsRequest, **asked)
    with refused("INPUT_INVALID", grpc.StatusCode.INVALID_ARGUMENT, "page_token"):
        token = {"page_token": options.next_page_token}
        await pair.crimson.call("Catalog/ListFieldOptions", catalog_pb2.ListFieldOptionsRequest, **asked, **token)


FOREIGN: dict[str, tuple[str, Any]] = {
    "execute": ("ActionExecutor/ExecuteAction", executor_pb2.ExecuteActionRequest(action="lab.things.read")),
    "list": ("ActionExecutor/ListExecutions", executor_pb2.ListExecutionsRequest()),
    "catalog": ("Catalog/GetCatalog", catalog_pb2.GetCatalogRequest()),
    "action": ("Catalog/GetAction", catalog_pb2.GetActionRequest(action="lab.things.read")),
    "choices": (
        "Catalog/ListFieldOptions",
        catalog_pb2.ListFieldOptionsRequest(action="tacticalrmm.agents.get", field="agent_id"),
    ),
    "connections": ("Connections/ListConnections", connections_pb2.ListConnectionsRequest()),
    "test": ("Connections/TestConnection", connections_pb2.TestConnectionRequest(provider="lab")),
    "disconnect": ("Connections/Disconnect", connections_pb2.DisconnectRequest(provider="lab")),
    "connect": ("Connections/Connect", connections_pb2.ConnectRequest(provider="lab", settings={})),
}


@pytest.mark.parametrize(("rpc", "request_"), FOREIGN.values(), ids=FOREIGN)
async def test_no_service_answers_for_a_foreign_tenant(pair: Pair, rpc: str, request_: Any) -> None:
    """With a key of crimson nothing can be asked or changed for indigo, by slug or by id; indigo stays connected."""
    for name in ("indigo", pair.indigo.id):
        asked = type(request_)()
        asked.CopyFrom(request_)
        asked.tenant = name
        with refused("TENANT_FORBIDDEN", FORBIDDEN):
            await pair.crimson.caller(rpc, asked)
    assert (await pair.indigo.execute("lab.things.read", {"name": "indigo-1"})).state == SUCCEEDED


async def test_keys_and_tenants_of_others_are_hidden(pair: Pair) -> None:
    """A tenant's admin sees its own tenant and keys; it can neither make nor revoke a key beyond them."""
    crimson = pair.crimson.caller
    tenants = (await crimson("Identity/ListTenants", identity_pb2.ListTenantsRequest())).tenants
    assert [one.slug for one in tenants] == ["crimson"]
    keys = (await crimson("Identity/ListApiKeys", identity_pb2.ListApiKeysRequest())).keys
    assert {tuple(one.tenants) for one in keys} == {(pair.crimson.id,)}
    theirs = pair.indigo.caller.metadata[0][1].split("_")[1]
    with refused("API_KEY_UNKNOWN", grpc.StatusCode.NOT_FOUND):
        await crimson("Identity/RevokeApiKey", identity_pb2.RevokeApiKeyRequest(id=theirs))
    for tenants in (["indigo"], ["crimson", "indigo"], [pair.indigo.id]):
        with refused("TENANT_FORBIDDEN", FORBIDDEN):
            await crimson("Identity/CreateApiKey", identity_pb2.CreateApiKeyRequest(label="x", tenants=tenants))
    made = await crimson("Identity/CreateApiKey", identity_pb2.CreateApiKeyRequest(label="x", permissions=["*"]))
    assert list(made.key.tenants) == [pair.crimson.id]
    with refused("PERMISSION_DENIED", FORBIDDEN):
        await crimson("Identity/CreateTenant", identity_pb2.CreateTenantRequest(slug="green"))


@pytest.mark.parametrize(
    "names",
    [["indigo"], ["crimson", "indigo"], ["indigo", "crimson"], ["indigo", "indigo"], ["crimson,indigo"]],
    ids=" ".join,
)
async def test_a_modules_own_rpc_obeys_the_same_wall(pair: Pair, names: list[str]) -> None:
    """Foreign, doubled and joined tenants in the metadata: refused, or crimson's own; indigo sees nothing."""
    metadata = [("x-patchbay-tenant", name) for name in names]
    request = lab_pb2.PostThingRequest(name="crimson-1")
    code = grpc.StatusCode.OK
    try:
        await direct(pair.crimson.caller, "Lab/PostThing", request, *metadata, ("idempotency-key", "k"))
    except grpc.RpcError as error:
        code = error.code()
    assert code == (grpc.StatusCode.OK if names[-1] == "crimson" else FORBIDDEN)
    assert pair.crimson.lab.posts() == (code == grpc.StatusCode.OK)
    assert pair.indigo.lab.posts() == 0
    with refused("EXECUTION_UNKNOWN", grpc.StatusCode.NOT_FOUND):
        await pair.indigo.call("ActionExecutor/GetExecution", executor_pb2.GetExecutionRequest, idempotency_key="k")
