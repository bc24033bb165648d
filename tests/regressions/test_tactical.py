"""R10, R11, R12: a vendor's riddles, answered through the whole service."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from sandbox.tacticalrmm import create_app
from server.gen.patchbay.v1 import executor_pb2, failure_pb2
from tests.modules.tacticalrmm.world import API_KEY, OFFLINE, ONLINE, SEED
from tests.support.served import Served, set_up

pytestmark = pytest.mark.anyio

FAILED = executor_pb2.EXECUTION_STATE_FAILED
UNKNOWN = executor_pb2.EXECUTION_STATE_UNKNOWN


@dataclass
class Tactical:
    """A connected Tactical RMM."""

    served: Served
    control: SandboxControl

    async def execute(self, action: str, input: dict[str, Any], key: str = "") -> executor_pb2.Execution:
        """Executes one of its actions."""
        return await self.served.caller.execute(f"tacticalrmm.{action}", input, key)

    async def find(self, **input: Any) -> list[Any]:
        """Finds agents at the vendor."""
        done = await self.execute("agents.find", {"live": True, **input})
        return [dict(one) for one in done.output.json["agents"]]


@pytest.fixture
async def tactical(served: Served) -> AsyncIterator[Tactical]:
    """The tenant's Tactical RMM."""
    with SandboxServer(create_app(SEED)) as server:
        await set_up(served.caller, "tacticalrmm", {"instance_url": server.url, "api_key": API_KEY})
        yield Tactical(served, SandboxControl(server.url))


async def test_r10_a_200_that_says_natsdown_is_a_failure(tactical: Tactical) -> None:
    """The message bus is down: nothing was sent, the failure says so, and the key works once it is up again."""
    tactical.control.patch_state(settings={"nats": "down"})
    calls = {
        "agents.run_script": {"agent_id": ONLINE, "script_id": "3", "timeout": 5},
        "agents.run_command": {"agent_id": ONLINE, "command": "whoami", "timeout": 5},
    }
    for action, given in calls.items():
        done = await tactical.execute(action, given, action)
        told = (done.state, done.failure.effect, done.failure.retryable)
        assert told == (FAILED, failure_pb2.EFFECT_NONE, True), action
    assert tactical.control.effects().total == 0
    tactical.control.patch_state(settings={"nats": "up"})
    for action, given in calls.items():
        again = await tactical.execute(action, given, action)
        assert (again.output.json["run_requested"], again.attempt) == (True, 2)


async def test_r10_a_refusal_that_may_mean_anything_is_unknown(tactical: Tactical) -> None:
    """Of a reboot the server tells a dead bus and a silent agent with one error: no success, and no repeat."""
    tactical.control.patch_state(settings={"nats": "down"})
    done = await tactical.execute("agents.reboot", {"agent_id": ONLINE}, "k")
    assert (done.state, done.failure.effect) == (UNKNOWN, failure_pb2.EFFECT_UNKNOWN)


async def test_r10_a_200_that_says_timeout_is_no_success(tactical: Tactical) -> None:
    """An agent that has been away does not get the command: a failure without effect, not an output `timeout`."""
    given = {"agent_id": OFFLINE, "command": "whoami", "timeout": 1}
    done = await tactical.execute("agents.run_command", given, "k")
    assert (done.state, done.failure.reason) == (FAILED, "AGENT_OFFLINE")
    assert (done.failure.effect, done.failure.retryable) == (failure_pb2.EFFECT_NONE, True)
    assert tactical.control.effects().total == 0


async def test_r11_a_found_agent_can_be_got_and_has_status_and_client(tactical: Tactical) -> None:
    """The id that a search gives is the one that the detail takes; searched live, status and client are told."""
    found = await tactical.find()
    assert len(found) == 6
    for agent in found:
        done = await tactical.execute("agents.get", {"agent_id": agent["agent_id"]})
        got = dict(done.output.json["agent"])
        assert (got["hostname"], got["status"]) == (agent["hostname"], agent["status"])
        assert agent["organization_name"] in {"Quayside Bakery", "Hilltop Farm"}


async def test_r12_a_live_search_keeps_to_filter_and_limit(tactical: Tactical) -> None:
    """Limit, query and asset id cut a live answer down; the count is that of what is returned."""
    everyone = await tactical.find()
    assert [one["hostname"] for one in await tactical.find(limit=2)] == [one["hostname"] for one in everyone[:2]]
    wanted = everyone[3]["asset_id"]
    assert [one["asset_id"] for one in await tactical.find(asset_id=wanted)] == [wanted]
    farm = [one["hostname"] for one in everyone if one["organization_name"] == "Hilltop Farm"]
    assert [one["hostname"] for one in await tactical.find(query="farm", limit=1)] == farm[:1]
