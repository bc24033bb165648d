"""Both clients against the real server with a simulated Tactical RMM behind it."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from patchbay_client import (
    AsyncPatchbay,
    ConnectFailed,
    InFlight,
    InvalidInput,
    KeyReused,
    NotFound,
    Patchbay,
    RetryableFailure,
    StillRunning,
    Unauthenticated,
    key_for,
)
from patchbay_client.gen.patchbay import v1

from tests.support.paths import ROOT
from tests.support.served import PatchbayServer

pytestmark = pytest.mark.anyio

FIND, SCRIPTS, RUN = "tacticalrmm.agents.find", "tacticalrmm.scripts.list", "tacticalrmm.agents.run_script"
SLEEP = ["sleep=2", "stdout=awake", "exit=3"]


@pytest.fixture
def patchbay(patchbay_server: PatchbayServer) -> Iterator[Patchbay]:
    """The blocking client of the tenant."""
    server = patchbay_server
    with Patchbay(server.target, api_key=server.api_key, tenant=server.tenant, execute_timeout=60.0) as client:
        yield client


@pytest.fixture
async def awaiting(patchbay_server: PatchbayServer) -> AsyncIterator[AsyncPatchbay]:
    """The awaiting client of the tenant."""
    server = patchbay_server
    client = AsyncPatchbay(server.target, api_key=server.api_key, tenant=server.tenant, execute_timeout=60.0)
    async with client:
        yield client


def simulate(patchbay: Patchbay, status: str, *args: str) -> dict[str, Any]:
    """The input that runs the obedient script on an agent in a state."""
    agents = patchbay.execute(FIND).output["agents"]
    scripts = patchbay.execute(SCRIPTS).output["scripts"]
    agent = next(each for each in agents if each["status"] == status and each["platform"] in {"linux", "windows"})
    script = next(each for each in scripts if each["name"] == "Simulate")
    return {"agent_id": agent["agent_id"], "script_id": script["id"], "args": list(args)}


def test_once_and_replayed(patchbay: Patchbay, patchbay_server: PatchbayServer) -> None:
    """A write happens once at the vendor, and the same run and step replay its answer."""
    inputs = simulate(patchbay, "online", "stdout=hello", "exit=3")
    first = patchbay.execute(RUN, inputs, run="r", step="s")
    again = patchbay.execute(RUN, inputs, run="r", step="s")
    assert first.output["exit_code"] == 3
    assert type(first.output["exit_code"]) is int
    assert first.output["stdout"].strip() == "hello"
    assert (again.id, again.output, again.replayed) == (first.id, first.output, True)
    assert first.key == key_for("r", "s")
    assert patchbay_server.sandbox.effects().count("run_script") == 1


def test_failures(patchbay: Patchbay) -> None:
    """An offline agent is a retryable failure with effect NONE; another input under its key is refused."""
    inputs = simulate(patchbay, "offline")
    with pytest.raises(RetryableFailure, match="AGENT_OFFLINE") as caught:
        patchbay.execute(RUN, inputs, key="k")
    assert caught.value.failure.effect == v1.Effect.NONE
    with pytest.raises(KeyReused):
        patchbay.execute(RUN, {**inputs, "args": ["other"]}, key="k")


def test_invalid_input(patchbay: Patchbay) -> None:
    """Fields at fault are named with their path."""
    with pytest.raises(InvalidInput) as caught:
        patchbay.execute(RUN, {"agent_id": "short", "script_id": "1"}, key="k")
    assert [item.field for item in caught.value.violations] == ["input.agent_id"]
    assert patchbay.validate(RUN, {"agent_id": "short", "script_id": "1"}).violations[0].field == "input.agent_id"


def test_refusals(patchbay: Patchbay, patchbay_server: PatchbayServer) -> None:
    """Unknown actions and executions are not found; a wrong key is not let in."""
    with pytest.raises(NotFound):
        patchbay.action("no.such.action")
    with pytest.raises(NotFound):
        patchbay.executions.get(key="never-used")
    with (
        Patchbay(patchbay_server.target, api_key="pb_wrong", tenant=patchbay_server.tenant) as stranger,
        pytest.raises(Unauthenticated),
    ):
        stranger.catalog()


def test_running(patchbay: Patchbay) -> None:
    """A caller whose time is over learns that it goes on, and the same key waits on and brings the end."""
    inputs = simulate(patchbay, "online", *SLEEP)
    with pytest.raises(StillRunning) as caught:
        patchbay.execute(RUN, inputs, key="slow", timeout=1.0)
    with pytest.raises(InFlight) as busy:
        patchbay.execute(RUN, inputs, key="slow", in_flight="fail")
    assert busy.value.retry_after is not None
    ended = patchbay.executions.get(caught.value.execution.id, wait=30.0)
    assert ended.output["exit_code"] == 3
    assert patchbay.execute(RUN, inputs, key="slow").replayed


def test_typed_input(patchbay: Patchbay) -> None:
    """An input in protobuf bytes is answered in protobuf bytes."""
    from server.gen.patchbay.modules.tacticalrmm.v1 import tacticalrmm_pb2  # noqa: PLC0415 - one test's own types

    request = tacticalrmm_pb2.FindAgentsRequest(query="BF-", limit=5)
    found = tacticalrmm_pb2.FindAgentsResponse.FromString(
        patchbay.execute(FIND, request.SerializeToString()).output_bytes
    )
    assert found.count == len(found.agents) > 0


def test_pickers_and_catalog(patchbay: Patchbay) -> None:
    """The catalog, one action and a field's choices come back typed."""
    catalog = patchbay.catalog()
    assert "app:tacticalrmm" in [group.group_key for group in catalog.groups]
    assert patchbay.catalog(etag=catalog.etag).not_modified
    assert patchbay.action(RUN).input is not None
    options = patchbay.options(RUN, "script_id", query="Simul").options
    assert [option.label for option in options] == ["Simulate"]


def test_connections_keys_tenants(patchbay: Patchbay, patchbay_server: PatchbayServer) -> None:
    """Connections are tested, refused, ended; keys and tenants are made and listed."""
    assert patchbay.connections.test("tacticalrmm").active
    settings = {"instance_url": patchbay_server.sandbox_url, "api_key": "WRONG"}
    with pytest.raises(ConnectFailed):
        patchbay.connections.connect("tacticalrmm", settings, private_networks=["127.0.0.0/8"], plain_http=True)
    assert patchbay.connections.list()[0].active
    assert not patchbay.connections.disconnect("tacticalrmm").active
    created = patchbay.keys.create("ci", permissions=["catalog"])
    assert created.secret not in repr(patchbay.keys.list())
    patchbay.keys.revoke(created.key.id)
    with Patchbay(patchbay_server.target, api_key=created.secret) as revoked, pytest.raises(Unauthenticated):
        revoked.catalog()
    assert patchbay.tenants.create("other").slug in [tenant.slug for tenant in patchbay.tenants.list()]


async def test_awaiting_client(awaiting: AsyncPatchbay) -> None:
    """The awaiting client executes side by side over one channel."""
    found = await asyncio.gather(*(awaiting.execute(FIND, {"query": "BF-"}) for _ in range(8)))
    assert {execution.output["count"] for execution in found} == {3}


async def test_watch_sees_a_disconnect(awaiting: AsyncPatchbay) -> None:
    """A watch begins with a snapshot and then tells what changes."""
    events = awaiting.watch()
    snapshot = (await anext(events)).snapshot
    assert snapshot is not None
    await awaiting.connections.disconnect("tacticalrmm")
    change = (await anext(events)).change
    assert change is not None
    assert change.group_key == "app:tacticalrmm"
    assert change.availability.state == v1.AvailabilityState.UNAVAILABLE
    await events.aclose()


def test_grpcurl(patchbay_server: PatchbayServer) -> None:
    """The smoke test passes with the real grpcurl."""
    grpcurl = os.environ.get("GRPCURL") or shutil.which("grpcurl")
    if not grpcurl:
        pytest.skip("no grpcurl: set GRPCURL or put it on the PATH")
    environment = {
        **os.environ,
        "GRPCURL": grpcurl,
        "PATCHBAY_TARGET": patchbay_server.target,
        "PATCHBAY_TENANT": patchbay_server.tenant,
        "PATCHBAY_API_KEY": patchbay_server.api_key,
    }
    script = ROOT / "clients" / "grpcurl" / "smoke.sh"
    done = subprocess.run(["bash", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
