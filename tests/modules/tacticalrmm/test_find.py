"""agents.find and agents.get: the inventory in PostgreSQL, the vendor, and what one tells the other."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from server.gen.patchbay.modules.tacticalrmm.v1.tacticalrmm_pb2 import (
    FindAgentsRequest,
    FindAgentsResponse,
    GetAgentRequest,
)
from server.modules.tacticalrmm.actions import find_agents, get_agent
from server.sdk import DeviceFilter
from tests.modules.harness import Connect, Connected
from tests.modules.tacticalrmm.asking import failing
from tests.modules.tacticalrmm.world import FARM_KEY, LINUX, MAC, NOBODY, OFFLINE, ONLINE, OVERDUE, SLOW, by_key

pytestmark = pytest.mark.anyio

EVERYONE = ["barn-05", "office-04", "OVEN-02", "store-03", "Studio-06", "till-01"]


async def find(connected: Connected, **wanted: Any) -> FindAgentsResponse:
    """Finds agents."""
    return await connected.run(find_agents, FindAgentsRequest(**wanted))


def names(answer: FindAgentsResponse) -> list[str]:
    """Returns the host names, in their order."""
    assert answer.count == len(answer.agents)
    return [agent.hostname for agent in answer.agents]


def lists(vendor: SandboxControl) -> int:
    """Counts the times that the whole list was asked for."""
    return sum(one["path"] == "/agents/" for one in vendor.requests(1000))


async def test_an_empty_inventory_is_filled_by_asking_the_vendor(connected: Connected, vendor: SandboxControl) -> None:
    """The first search asks the vendor, by host name in any case, and fills the inventory for the next ones."""
    answer = await find(connected)
    assert names(answer) == EVERYONE
    assert {agent.source for agent in answer.agents} == {"tacticalrmm"}
    assert await connected.inventory.filled()
    again = await find(connected)
    assert names(again) == EVERYONE
    assert {agent.source for agent in again.agents} == {"local"}
    assert lists(vendor) == 1


async def test_a_live_search_asks_the_vendor_each_time(connected: Connected, vendor: SandboxControl) -> None:
    """`live` leaves out the inventory."""
    for _ in range(2):
        assert {agent.source for agent in (await find(connected, live=True)).agents} == {"tacticalrmm"}
    assert lists(vendor) == 2


async def test_an_agent_has_all_that_the_vendor_tells(connected: Connected, vendor: SandboxControl) -> None:
    """Names, system, status, last report and the client's id; the inventory repeats it."""
    live = (await find(connected, query="till")).agents[0]
    assert (live.agent_id, live.hostname, live.platform) == (ONLINE, "till-01", "windows")
    assert (live.organization_name, live.organization_id, live.site_name) == ("Quayside Bakery", "7", "Shop")
    assert (live.status, live.agent_online) == ("online", True)
    assert live.os_name.startswith("Windows 11 Pro")
    assert datetime.now(UTC) - live.last_seen_at.ToDatetime(UTC) < timedelta(minutes=4)
    assert live.asset_id
    local = (await find(connected, query="till")).agents[0]
    assert local.source == "local"
    local.source = live.source
    assert local == live


async def test_offline_and_overdue_agents_are_not_online(connected: Connected) -> None:
    """`agent_online` is false for both, live and from the inventory."""
    for live in (True, False):
        found = {agent.agent_id: agent for agent in (await find(connected, live=live)).agents}
        assert [found[one].agent_online for one in (ONLINE, OFFLINE, OVERDUE)] == [True, False, False]
        assert [found[one].status for one in (OFFLINE, OVERDUE)] == ["offline", "overdue"]


async def test_what_the_vendor_does_not_tell_is_unset(connected: Connected, vendor: SandboxControl) -> None:
    """A bare row has an id and nothing that is made up."""
    row = {"agent_id": LINUX, "hostname": "", "status": None, "last_seen": None, "plat": None}
    vendor.add_fault("status", path_regex="/agents/$", status=200, body=[row])
    (agent,) = (await find(connected)).agents
    told = {field.name for field, _ in agent.ListFields()}
    assert told == {"agent_id", "asset_id", "source"}


async def test_rows_without_an_id_are_left_out(connected: Connected, vendor: SandboxControl) -> None:
    """Nothing could be done with them."""
    vendor.add_fault("status", path_regex="/agents/$", status=200, body=[{"hostname": "x"}, {"agent_id": LINUX}])
    assert [agent.agent_id for agent in (await find(connected)).agents] == [LINUX]


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"query": "oven"}, ["OVEN-02"]),
        ({"query": "HILLTOP"}, ["barn-05", "Studio-06"]),
        ({"query": "stable"}, ["barn-05", "Studio-06"]),
        ({"query": "%"}, []),
        ({"query": "-0", "limit": 2}, ["barn-05", "office-04"]),
        ({"agent_id": SLOW}, ["office-04"]),
        ({"agent_id": SLOW, "query": "till"}, []),
        ({"agent_id": NOBODY}, []),
        ({"asset_id": "5b2f8f8e-52a8-4b6b-8d3c-0d6f1f1a0a01"}, []),
    ],
)
async def test_filters_mean_the_same_in_both_places(
    connected: Connected, live: bool, wanted: dict[str, Any], expected: list[str]
) -> None:
    """Host, client and site in any case, ids exactly, combined, and cut after filtering."""
    await find(connected)
    assert names(await find(connected, live=live, **wanted)) == expected


async def test_an_asset_is_found_live_too(connected: Connected, vendor: SandboxControl) -> None:
    """The inventory tells which agent it is, and only that one is asked for."""
    asset = next(agent.asset_id for agent in (await find(connected)).agents if agent.agent_id == MAC)
    before = lists(vendor)
    (agent,) = (await find(connected, live=True, asset_id=asset)).agents
    assert (agent.agent_id, agent.asset_id, agent.source) == (MAC, asset, "tacticalrmm")
    assert lists(vendor) == before
    assert names(await find(connected, live=True, asset_id=asset, agent_id=ONLINE)) == []


async def test_a_whole_live_list_replaces_the_inventory(connected: Connected, vendor: SandboxControl) -> None:
    """Agents that are gone at the vendor are gone from the inventory, even when the search wanted others."""
    await find(connected)
    vendor.patch_state(remove_agents=[MAC], agents={ONLINE: {"hostname": "till-01b"}})
    await find(connected, live=True, query="oven", limit=1)
    expected = ["barn-05", "office-04", "OVEN-02", "store-03", "till-01b"]
    assert (
        sorted((device.name or "" for device in await connected.inventory.find(DeviceFilter())), key=str.casefold)
        == expected
    )


async def test_a_single_live_answer_touches_one_row(connected: Connected, vendor: SandboxControl) -> None:
    """Asking for one agent does not say that the others are gone, nor that the inventory is filled."""
    await find(connected, live=True, agent_id=ONLINE)
    assert not await connected.inventory.filled()
    await find(connected)
    vendor.patch_state(remove_agents=[MAC], agents={ONLINE: {"hostname": "till-02"}})
    await find(connected, live=True, agent_id=ONLINE)
    found = [device.name for device in await connected.inventory.find(DeviceFilter())]
    assert found == ["barn-05", "office-04", "OVEN-02", "store-03", "Studio-06", "till-02"]


async def test_get_asks_the_vendor_and_refreshes_that_row(connected: Connected, vendor: SandboxControl) -> None:
    """Always live, the same fields as a search, and the inventory learns it."""
    await find(connected)
    vendor.patch_state(agents={LINUX: {"state": "offline"}})
    agent = (await connected.run(get_agent, GetAgentRequest(agent_id=LINUX))).agent
    assert (agent.agent_online, agent.status, agent.source) == (False, "offline", "tacticalrmm")
    assert (agent.organization_name, agent.organization_id, agent.site_name) == ("Hilltop Farm", "9", "Stable")
    assert agent.os_name == "Debian 12 x86_64"
    (device,) = await connected.inventory.find(DeviceFilter(device_id=LINUX))
    assert (device.status, device.asset_id) == ("offline", agent.asset_id)


async def test_a_failing_list_leaves_the_inventory_alone(connected: Connected, vendor: SandboxControl) -> None:
    """A vendor error is the answer; nothing counts as gone."""
    await find(connected)
    vendor.add_fault("status", path_regex="/agents/$", times=0, status=500, body="<h1>Oh</h1>")
    failure = await failing(connected, FindAgentsRequest(live=True), find_agents)
    assert failure.reason == "VENDOR_ERROR"
    assert len(await connected.inventory.find(DeviceFilter())) == 6


async def test_without_the_right_to_list_clients_their_ids_are_unset(
    connected: Connected, vendor: SandboxControl
) -> None:
    """Agents are found all the same; once the right is granted the next call has the ids."""
    vendor.patch_state(roles={"workflow": {"permissions": ["can_list_agents"]}})
    agents = (await find(connected, live=True)).agents
    assert len(agents) == 6
    assert not any(agent.HasField("organization_id") for agent in agents)
    assert all(agent.organization_name for agent in agents)
    vendor.patch_state(roles={"workflow": {"permissions": ["can_list_agents", "can_list_clients"]}})
    assert all(agent.HasField("organization_id") for agent in (await find(connected, live=True)).agents)


async def test_a_limited_role_finds_its_own_agents(connect: Connect, server: SandboxServer) -> None:
    """The list obeys the account's role."""
    connected = connect(by_key(server.url, FARM_KEY))
    assert names(await find(connected, live=True)) == ["barn-05", "Studio-06"]


async def test_the_default_limit_is_fifty(connected: Connected, vendor: SandboxControl) -> None:
    """More agents than that are cut, by name."""
    rows = [{"agent_id": f"{one:040}", "hostname": f"h{one:03}"} for one in reversed(range(60))]
    vendor.add_fault("status", path_regex="/agents/$", times=2, status=200, body=rows)
    found = names(await find(connected, live=True))
    assert found == [f"h{one:03}" for one in range(50)]
    assert len(names(await find(connected, live=True, limit=200))) == 60
