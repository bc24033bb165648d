"""The Catalog service through real gRPC, on a real database with a vendor behind real HTTP."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import grpc
import pytest
from google.protobuf.json_format import MessageToDict

from server.gen.patchbay.v1 import catalog_pb2, connections_pb2, identity_pb2
from tests.support.grpc_errors import refused
from tests.support.served import LOOPBACK, TENANT, Caller, struct

pytestmark = pytest.mark.anyio

WATCH = "/patchbay.v1.Catalog/WatchCatalog"
LAB, TACTICAL = "app:lab", "app:tacticalrmm"


def watch(caller: Caller, tenant: str = TENANT, resume_from: str = "") -> Any:
    """Opens a watch."""
    stub = caller.channel.unary_stream(
        WATCH,
        catalog_pb2.WatchCatalogRequest.SerializeToString,
        catalog_pb2.WatchCatalogResponse.FromString,
    )
    request = catalog_pb2.WatchCatalogRequest(tenant=tenant, resume_from=resume_from)
    return stub(request, metadata=caller.metadata, timeout=60)


async def disconnect(caller: Caller, provider: str = "lab") -> None:
    """Disconnects the tenant's tool."""
    await caller("Connections/Disconnect", connections_pb2.DisconnectRequest(tenant=TENANT, provider=provider))


async def states(caller: Caller) -> dict[str, str]:
    """The reason of each group's availability; empty when it is available."""
    answer = await caller("Catalog/GetCatalog", catalog_pb2.GetCatalogRequest(tenant=TENANT))
    return {group.group_key: group.availability.reason for group in answer.groups}


async def test_the_catalog(served):
    """Apps come by label; the connected one is available, the other one not; the etag is honoured."""
    answer = await served.caller("Catalog/GetCatalog", catalog_pb2.GetCatalogRequest(tenant=TENANT))
    labels = [group.label.casefold() for group in answer.groups]
    assert labels == ["scheduling", *sorted(labels[1:])], "core groups first, then by label"
    found = await states(served.caller)
    assert (found[LAB], found[TACTICAL]) == ("", "NOT_CONNECTED")
    again = catalog_pb2.GetCatalogRequest(tenant=TENANT, etag=answer.etag)
    short = await served.caller("Catalog/GetCatalog", again)
    assert (short.not_modified, short.etag, len(short.groups)) == (True, answer.etag, 0)


async def test_a_disconnection_is_in_the_next_answer(served):
    """Once a watch has told of a disconnection, the catalog and the action tell it too, whatever was cached."""
    assert (await states(served.caller))[LAB] == ""
    stream = watch(served.caller)
    await stream.read()
    await disconnect(served.caller)
    await stream.read()
    stream.cancel()
    assert (await states(served.caller))[LAB] == "INTEGRATION_INACTIVE"
    request = catalog_pb2.GetActionRequest(tenant=TENANT, action="lab.things.read")
    answer = await served.caller("Catalog/GetAction", request)
    assert answer.action.availability.reason == "INTEGRATION_INACTIVE"


async def test_an_action(served):
    """GetAction answers with both schemas; an unknown id is NOT_FOUND with its reason."""
    request = catalog_pb2.GetActionRequest(tenant=TENANT, action="tacticalrmm.agents.run_script")
    answer = await served.caller("Catalog/GetAction", request)
    assert answer.action.input.bundled_json
    assert answer.action.output.inlined_json
    with refused("ACTION_UNKNOWN", grpc.StatusCode.NOT_FOUND):
        await served.caller("Catalog/GetAction", catalog_pb2.GetActionRequest(tenant=TENANT, action="lab.nothing"))


async def test_choices_without_a_connection(served):
    """The choices of an unconnected tool are a typed failure with a remedy, not an empty list."""
    request = catalog_pb2.ListFieldOptionsRequest(
        tenant=TENANT, action="tacticalrmm.agents.run_script", field="script_id"
    )
    answer = await served.caller("Catalog/ListFieldOptions", request)
    assert answer.failure.reason == "NOT_CONNECTED"
    assert answer.failure.remedy.text


async def test_the_catalog_permission(served):
    """A key without `catalog` is refused by all four rpcs."""
    request = identity_pb2.CreateApiKeyRequest(label="narrow", permissions=["lab.*"])
    key = (await served.caller("Identity/CreateApiKey", request)).secret
    narrow = Caller(served.handle.target, key)
    asks = [
        narrow("Catalog/GetCatalog", catalog_pb2.GetCatalogRequest(tenant=TENANT)),
        narrow("Catalog/GetAction", catalog_pb2.GetActionRequest(tenant=TENANT, action="lab.things.read")),
        narrow(
            "Catalog/ListFieldOptions",
            catalog_pb2.ListFieldOptionsRequest(tenant=TENANT, action="lab.things.read", field="name"),
        ),
        watch(narrow).read(),
    ]
    for ask in asks:
        with refused("PERMISSION_DENIED", grpc.StatusCode.PERMISSION_DENIED):
            await ask
    await narrow.close()


async def test_a_watch_across_replicas(served, replicas):
    """A change made through another server process reaches the watch, and its revision resumes it."""
    other = Caller(replicas.start().target)
    stream = watch(served.caller)
    assert (await stream.read()).WhichOneof("event") == "snapshot"
    await disconnect(other)
    event = await stream.read()
    assert event.change.group_key == LAB
    assert event.change.availability.reason == "INTEGRATION_INACTIVE"
    stream.cancel()
    resumed = watch(other, resume_from=event.revision)
    first = await resumed.read()
    assert (first.WhichOneof("event"), first.revision) == ("heartbeat", event.revision)
    resumed.cancel()
    await other.close()


async def test_a_change_while_nobody_listened(served):
    """A change made while the server's listening connection was dead reaches the watch once it listens again."""
    stream = watch(served.caller)
    await stream.read()
    owner = await asyncpg.connect(served.fresh.dsn)
    listening = """
        SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'patchbay-listener'
    """
    pids = [row["pid"] for row in await owner.fetch(listening)]
    assert len(pids) == 1
    await owner.execute("SELECT set_config('patchbay.tenant', '*', false)")
    await owner.execute("SELECT pg_terminate_backend($1, 5000)", pids[0])
    await owner.execute("UPDATE rmm_integrations SET is_active = false")
    await owner.close()
    event = await stream.read()
    assert (event.change.group_key, event.change.availability.reason) == (LAB, "INTEGRATION_INACTIVE")
    stream.cancel()


async def test_a_cancelled_watch_is_forgotten(served):
    """After the client cancels, the server holds nothing of the watch."""
    watches = served.handle.house.watches
    stream = watch(served.caller)
    await stream.read()
    assert watches.open == 1
    stream.cancel()
    for _ in range(1_000):
        if not watches.open:
            break
        await asyncio.sleep(0.01)
    assert watches.open == 0


async def test_a_watch_at_shutdown(served):
    """When the server drains, a watch ends with UNAVAILABLE and reason DRAINING."""
    stream = watch(served.caller)
    await stream.read()
    served.handle.house.watches.drain()
    with refused("DRAINING", grpc.StatusCode.UNAVAILABLE):
        await stream.read()


@pytest.fixture
async def tactical(patchbay_server) -> AsyncIterator[Caller]:
    """A caller of a server whose tenant is connected to a sandbox Tactical RMM."""
    caller = Caller(patchbay_server.target, patchbay_server.api_key)
    yield caller
    await caller.close()


async def choices(caller: Caller, field: str, **more: Any) -> catalog_pb2.ListFieldOptionsResponse:
    """Choices of a field of `run_script`."""
    request = catalog_pb2.ListFieldOptionsRequest(
        tenant=TENANT, action="tacticalrmm.agents.run_script", field=field, **more
    )
    answer: catalog_pb2.ListFieldOptionsResponse = await caller("Catalog/ListFieldOptions", request)
    return answer


async def test_agents_of_a_real_connection(tactical):
    """Agents become choices with host name and client; the vendor's search narrows them; pages are complete."""
    whole = await choices(tactical, "agent_id")
    assert len(whole.options) > 1
    assert all(option.label and option.detail for option in whole.options)
    one = whole.options[0]
    narrowed = await choices(tactical, "agent_id", query=one.label.upper())
    assert one.value in [option.value for option in narrowed.options]
    assert len(narrowed.options) < len(whole.options)
    paged, token = [], ""
    for _ in whole.options:
        page = await choices(tactical, "agent_id", page_size=1, page_token=token)
        paged += page.options
        token = page.next_page_token
    assert paged == list(whole.options)
    assert not token


async def test_scripts_of_a_real_connection(tactical):
    """Scripts become choices whose value the action accepts; a search without a hit names itself."""
    found = await choices(tactical, "script_id")
    assert found.options
    assert all(MessageToDict(option.value).isdecimal() for option in found.options)
    none = await choices(tactical, "script_id", query="no such script")
    assert (len(none.options), none.HasField("failure")) == (0, False)
    assert "no such script" in none.empty_reason


async def test_a_vendor_that_fails_is_told(tactical, patchbay_server):
    """When the vendor answers 503, the choices are a retryable failure with the vendor's status."""
    patchbay_server.sandbox.add_fault("status", path_regex="/scripts/", status=503, times=0)
    answer = await choices(tactical, "script_id")
    assert answer.failure.reason == "VENDOR_UNAVAILABLE"
    assert answer.failure.vendor_status == 503
    assert answer.failure.retryable


async def test_connecting_reaches_a_watch(tactical, patchbay_server):
    """A tenant that connects a tool sees it become available on its watch."""
    key = patchbay_server.sandbox.credentials()["api_key"]
    await disconnect(tactical, "tacticalrmm")
    stream = watch(tactical)
    await stream.read()
    request = connections_pb2.ConnectRequest(
        tenant=TENANT,
        provider="tacticalrmm",
        settings=struct({"instance_url": patchbay_server.sandbox_url, "api_key": key}),
        grant=LOOPBACK,
    )
    await tactical("Connections/Connect", request)
    event = await stream.read()
    assert event.change.group_key == TACTICAL
    assert event.change.availability.state == catalog_pb2.AVAILABILITY_STATE_AVAILABLE
    stream.cancel()
