"""Tactical RMM through gRPC over two server processes: connections, all actions, and a death while a script runs."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict

from server.gen.patchbay.v1 import catalog_pb2, connections_pb2, executor_pb2, identity_pb2
from tests.modules.tacticalrmm.world import API_KEY, LINUX, OFFLINE, ONLINE, PASSWORD, TOTP_SECRET
from tests.operations.tactical import PROVIDER, RUN, Tactical, script, until
from tests.support.served import LOOPBACK, TENANT, Caller, Replica, Replicas, struct

pytestmark = pytest.mark.anyio

SUCCEEDED = executor_pb2.EXECUTION_STATE_SUCCEEDED
FAILED = executor_pb2.EXECUTION_STATE_FAILED
UNKNOWN = executor_pb2.EXECUTION_STATE_UNKNOWN
PROBED = executor_pb2.RESOLUTION_SOURCE_PROBE
GROUP = "app:tacticalrmm"
FIND, GET, SCRIPTS, COMMAND, REBOOT = (
    f"tacticalrmm.{name}"
    for name in ("agents.find", "agents.get", "scripts.list", "agents.run_command", "agents.reboot")
)


@dataclass
class Pair:
    """Two server processes on one database, with a tenant and no connection yet."""

    replicas: list[Replica]
    first: Caller
    second: Caller
    vendor: Tactical

    async def connect(self, caller: Caller, settings: dict[str, Any]) -> connections_pb2.ConnectResponse:
        """Connects the tenant."""
        request = connections_pb2.ConnectRequest(
            tenant=TENANT, provider=PROVIDER, settings=struct(settings), grant=LOOPBACK
        )
        answer: connections_pb2.ConnectResponse = await caller("Connections/Connect", request)
        assert not answer.HasField("failure"), answer.failure
        return answer

    def settings(self, way: str) -> dict[str, Any]:
        """Returns settings by `key` or by `login`."""
        return self.vendor.by_key if way == "key" else self.vendor.by_login

    def seen(self, ending: str) -> int:
        """Counts the vendor's requests whose path ends so."""
        return sum(str(one["path"]).endswith(ending) for one in self.vendor.control.requests(1000))


@pytest.fixture
async def pair(replicas: Replicas, tactical: Tactical) -> AsyncIterator[Pair]:
    """Two processes with a short lease."""
    started = [await asyncio.to_thread(replicas.start, lease_seconds=1.5) for _ in range(2)]
    callers = [Caller(replica.target) for replica in started]
    await callers[0]("Identity/CreateTenant", identity_pb2.CreateTenantRequest(slug=TENANT))
    yield Pair(started, *callers, tactical)
    for caller in callers:
        await caller.close()


async def reason(caller: Caller) -> str:
    """Returns why Tactical RMM is not available in the catalog; empty when it is."""
    answer = await caller("Catalog/GetCatalog", catalog_pb2.GetCatalogRequest(tenant=TENANT))
    return next(str(group.availability.reason) for group in answer.groups if group.group_key == GROUP)


class Watch:
    """An open watch of the catalog."""

    def __init__(self, caller: Caller) -> None:
        stub = caller.channel.unary_stream(
            "/patchbay.v1.Catalog/WatchCatalog",
            catalog_pb2.WatchCatalogRequest.SerializeToString,
            catalog_pb2.WatchCatalogResponse.FromString,
        )
        self._stream = stub(catalog_pb2.WatchCatalogRequest(tenant=TENANT), timeout=120)

    async def snapshot(self) -> None:
        """Takes the first event."""
        assert (await self._stream.read()).WhichOneof("event") == "snapshot"

    async def change(self) -> str:
        """Returns the reason in the next change; empty: available."""
        async with asyncio.timeout(30):
            while (event := await self._stream.read()).WhichOneof("event") != "change":
                pass
        assert event.change.group_key == GROUP
        return str(event.change.availability.reason)

    def close(self) -> None:
        """Ends the stream."""
        self._stream.cancel()


async def test_the_life_of_a_connection(pair: Pair) -> None:
    """Connected at one process, gone at the other at once, connected again with user name, password and code."""
    watch = Watch(pair.second)
    await watch.snapshot()
    assert await reason(pair.second) == "NOT_CONNECTED"
    made = await pair.connect(pair.first, pair.vendor.by_key)
    assert await watch.change() == ""
    assert await reason(pair.second) == ""
    assert (await pair.second.execute(GET, {"agent_id": ONLINE})).state == SUCCEEDED
    await pair.first("Connections/Disconnect", connections_pb2.DisconnectRequest(tenant=TENANT, provider=PROVIDER))
    assert await watch.change() == "INTEGRATION_INACTIVE"
    before = pair.seen("/")
    for action, given, key in ((GET, {"agent_id": ONLINE}, ""), (RUN, script("gone"), "gone")):
        told = await pair.second.execute(action, given, key)
        assert (told.state, told.failure.reason, told.id) == (FAILED, "INTEGRATION_INACTIVE", "")
        assert told.failure.remedy.text
    assert await reason(pair.second) == "INTEGRATION_INACTIVE"
    assert pair.seen("/") == before  # nothing went to the vendor
    again = await pair.connect(pair.second, pair.vendor.by_login)
    assert await watch.change() == ""
    assert again.connection.id == made.connection.id
    assert (await pair.first.execute(RUN, script("gone"), "gone")).state == SUCCEEDED  # the same key, after the fix
    assert pair.vendor.runs("gone") == 1
    watch.close()
    await told_without_secrets(pair)


async def told_without_secrets(pair: Pair) -> None:
    """No answer about connections and no log of either process holds a credential."""
    listed = await pair.first("Connections/ListConnections", connections_pb2.ListConnectionsRequest(tenant=TENANT))
    for text in (str(listed), *(replica.log.read_text() for replica in pair.replicas)):
        for secret in (API_KEY, PASSWORD, TOTP_SECRET):
            assert secret not in text


async def test_credentials_that_the_vendor_refuses_change_nothing(pair: Pair) -> None:
    """A wrong key is a failure with the vendor's word; the connection that works stays."""
    await pair.connect(pair.first, pair.vendor.by_key)
    wrong = pair.vendor.by_key | {"api_key": "no such key at all"}
    request = connections_pb2.ConnectRequest(tenant=TENANT, provider=PROVIDER, settings=struct(wrong), grant=LOOPBACK)
    answer = await pair.second("Connections/Connect", request)
    assert answer.failure.reason
    assert answer.failure.vendor_status == 401
    assert (await pair.second.execute(GET, {"agent_id": ONLINE})).state == SUCCEEDED


@pytest.mark.parametrize("way", ["key", "login"])
async def test_all_actions(pair: Pair, way: str) -> None:
    """Find, get, list, run a script, a command, reboot: each effect once at one process, replayed at the other."""
    await pair.connect(pair.first, pair.settings(way))
    done: dict[str, dict[str, Any]] = {}
    for action, given, key in (
        (FIND, {"query": "till", "live": True}, ""),
        (GET, {"agent_id": LINUX}, ""),
        (SCRIPTS, {"query": "obey"}, ""),
        (RUN, script("stdout=hello", "exit=5"), "run"),
        (COMMAND, {"agent_id": ONLINE, "command": "whoami"}, "command"),
        (REBOOT, {"agent_id": LINUX}, "reboot"),
    ):
        told = await pair.first.execute(action, given, key)
        assert (told.state, told.replayed) == (SUCCEEDED, False), told.failure
        done[action] = MessageToDict(told.output.json)
        again = await pair.second.execute(action, given, key)
        assert (again.state, again.replayed) == (SUCCEEDED, bool(key))
        assert not key or again.output == told.output
    assert [agent["hostname"] for agent in done[FIND]["agents"]] == ["till-01"]
    assert done[GET]["agent"]["hostname"] == "barn-05"
    assert [one["name"] for one in done[SCRIPTS]["scripts"]] == ["Obey"]
    assert (done[RUN]["exit_code"], done[RUN]["stdout"]) == (5, "hello")
    assert "system" in done[COMMAND]["output"]
    assert done[REBOOT]["reboot_requested"]
    effects = pair.vendor.control.effects()
    assert {kind: effects.count(kind) for kind in ("run_script", "run_command", "reboot")} == {
        "run_script": 1,
        "run_command": 1,
        "reboot": 1,
    }


async def test_an_offline_agent(pair: Pair) -> None:
    """An agent that is long gone is AGENT_OFFLINE without effect; when it is back, the same key runs, once."""
    await pair.connect(pair.first, pair.vendor.by_key)
    order = script("back", agent=OFFLINE, timeout=1)
    told = await pair.first.execute(RUN, order, "k", timeout=90)
    assert (told.state, told.failure.reason, told.failure.retryable) == (FAILED, "AGENT_OFFLINE", True)
    pair.vendor.control.patch_state(agents={OFFLINE: {"state": "online"}})
    again = await pair.second.execute(RUN, order, "k", timeout=90)
    assert (again.state, again.attempt, pair.vendor.runs("back")) == (SUCCEEDED, 2, 1)


@pytest.mark.parametrize("way", ["key", "login"])
async def test_a_death_while_a_script_runs(pair: Pair, way: str) -> None:
    """kill -9 while a script runs: the other process finds its end in the history, with exit code, and runs nothing."""
    await pair.connect(pair.first, pair.settings(way))
    order = script("mark", "stdout=survived", "exit=7", "sleep=150", timeout=200)  # 3 real seconds
    call = asyncio.create_task(pair.first.execute(RUN, order, "k", timeout=90))
    await until(lambda: pair.vendor.runs("mark"))
    await asyncio.to_thread(pair.replicas[0].kill)
    with pytest.raises(grpc.RpcError):
        await call
    states = set()
    async with asyncio.timeout(90):
        while (told := await pair.second.execute(RUN, order, "k")).state != SUCCEEDED:
            states.add(told.state)
            await asyncio.sleep(0.2)
    assert states <= {UNKNOWN}
    output = MessageToDict(told.output.json)
    assert (output["exit_code"], output["stdout"]) == (7, "survived")
    assert told.resolution.source == PROBED
    assert (told.replayed, told.attempt, pair.vendor.runs("mark")) == (True, 1, 1)
