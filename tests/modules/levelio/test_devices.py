"""Finding and getting devices: the inventory, the vendor, pages, parts, lenient types."""

import pytest

from sandbox.client import SandboxControl
from server.gen.patchbay.modules.levelio.v1.levelio_pb2 import Device, FindDevicesRequest, GetDeviceRequest
from server.modules.levelio.actions import find_devices, get_device
from server.sdk import DeviceFilter
from tests.modules.harness import Connected
from tests.modules.levelio.asking import asked, failing
from tests.modules.levelio.world import APP, DESK, LAPTOP, OFFICE, SERVERS, TOP, WEB

pytestmark = pytest.mark.anyio

PARTS = "include_operating_system=true&include_security=true"


def told(device: Device) -> Device:
    """The device without what depends on the inventory."""
    copy = Device()
    copy.CopyFrom(device)
    copy.ClearField("asset_id")
    copy.ClearField("source")
    return copy


async def test_the_first_search_asks_the_vendor_and_fills_the_inventory(
    connected: Connected, vendor: SandboxControl
) -> None:
    """All devices by name from Level, the same from the inventory afterwards, with nothing lost on the way."""
    first = await connected.run(find_devices, FindDevicesRequest())
    again = await connected.run(find_devices, FindDevicesRequest())
    assert [device.hostname for device in first.devices] == ["app-01", "Desk-02", "Laptop-03", "web-04"]
    assert {device.source for device in first.devices} == {"levelio"}
    assert {device.source for device in again.devices} == {"local"}
    assert list(map(told, first.devices)) == list(map(told, again.devices))
    assert (first.count, again.count) == (4, 4)
    assert asked(vendor) == [f"GET /v2/devices?{PARTS}&limit=100"]


async def test_a_device_tells_what_level_tells(connected: Connected) -> None:
    """Names, group, state, security and operating system are typed; times are times."""
    (device,) = (await connected.run(find_devices, FindDevicesRequest(query="APP-01"))).devices
    assert (device.device_id, device.nickname, device.serial_number) == (APP, "App server", "7HQX2K3")
    assert (device.group_id, device.group_name, device.role) == (SERVERS, "Northwind / Servers", "server")
    assert (device.online, device.platform, device.os_name) == (True, "Windows", "Windows Server 2022 Standard")
    assert (device.security_score, list(device.tags), device.maintenance_mode) == (82.0, ["production"], False)
    assert device.last_seen_at.ToJsonString() == "2026-11-20T08:55:31Z"
    assert device.last_reboot_time.ToJsonString() == "2026-11-02T03:14:09Z"
    assert device.HasField("asset_id")


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"query": "OP-"}, ["Laptop-03"]),
        ({"query": "northwind"}, ["app-01", "Desk-02", "Laptop-03"]),
        ({"group_id": OFFICE}, ["Desk-02", "Laptop-03"]),
        ({"group_id": OFFICE, "query": "desk"}, ["Desk-02"]),
        ({"group_id": TOP}, []),
        ({"device_id": APP}, ["app-01"]),
        ({"device_id": APP, "group_id": OFFICE}, []),
        ({"device_id": "nobody"}, []),
        ({"limit": 2}, ["app-01", "Desk-02"]),
    ],
)
async def test_filters_are_combined_in_the_inventory_and_at_the_vendor(
    connected: Connected, wanted: dict[str, str], found: list[str], live: bool
) -> None:
    """Id, group (the direct one), text and limit mean the same in both."""
    if not live:
        await connected.run(find_devices, FindDevicesRequest())
    answer = await connected.run(find_devices, FindDevicesRequest(live=live, **wanted))
    assert [device.hostname for device in answer.devices] == found
    assert {device.source for device in answer.devices} <= {"levelio" if live else "local"}


async def test_a_group_is_asked_for_at_the_vendor(connected: Connected, vendor: SandboxControl) -> None:
    """Level filters by group itself; such a list does not count as the whole fleet."""
    await connected.run(find_devices, FindDevicesRequest(group_id=OFFICE))
    assert asked(vendor) == [f"GET /v2/devices?{PARTS}&group_id={OFFICE}&limit=100"]
    assert (await connected.run(find_devices, FindDevicesRequest())).count == 4


async def test_an_asset_leads_to_its_device(connected: Connected, vendor: SandboxControl) -> None:
    """The id in the inventory finds the device live, by its id at the vendor, percent-encoded."""
    (device,) = (await connected.run(find_devices, FindDevicesRequest(query="app"))).devices
    answer = await connected.run(find_devices, FindDevicesRequest(asset_id=device.asset_id, live=True))
    assert [one.device_id for one in answer.devices] == [APP]
    assert asked(vendor)[-1] == f"GET /v2/devices/Z2lk%2FApp%2B01=?{PARTS}"


async def test_pages_are_walked_by_the_last_id(connected: Connected, vendor: SandboxControl) -> None:
    """250 devices are three pages; the cursor is the last id."""
    vendor.patch_state(add_devices=[{"id": f"more/{n}", "hostname": f"more-{n:03}"} for n in range(246)])
    answer = await connected.run(find_devices, FindDevicesRequest(limit=200))
    assert answer.count == 200
    cursors = [request.partition("&starting_after=")[2] for request in asked(vendor)]
    assert cursors == ["", "more/146", "more/46"]
    assert len(await connected.inventory.find(DeviceFilter(limit=1000))) == 250


async def test_a_list_without_end_is_left(connected: Connected, vendor: SandboxControl) -> None:
    """A vendor that ignores the cursor and promises more for ever is not followed; nothing is stored."""
    page = {"data": [{"id": "same", "hostname": "same"}], "has_more": True}
    vendor.add_fault("status", path_regex="/devices$", times=0, status=200, body=page)
    failure = await failing(connected, find_devices, FindDevicesRequest())
    assert failure.reason == "VENDOR_ANSWER_INVALID"
    assert len(asked(vendor)) == 2
    assert not await connected.inventory.filled()


async def test_a_fleet_beyond_the_cap_is_not_taken_for_the_whole(
    connected: Connected,
) -> None:
    """Pages end at the cap; what was told is found and stored, but the inventory does not count as filled."""
    connected.client.most = 3
    answer = await connected.run(find_devices, FindDevicesRequest())
    assert answer.count == 3
    assert len(await connected.inventory.find(DeviceFilter())) == 3
    assert not await connected.inventory.filled()


async def test_getting_a_device_asks_for_its_parts(connected: Connected, vendor: SandboxControl) -> None:
    """Operating system and security posture come typed."""
    await connected.run(find_devices, FindDevicesRequest())
    device = (await connected.run(get_device, GetDeviceRequest(device_id=APP))).device
    assert (device.source, device.HasField("asset_id")) == ("levelio", True)
    assert device.operating_system.major_version == "10"
    assert (device.security.risk, device.security.patch_compliance.bool_value) == ("low", True)
    assert device.security.firewall_enabled
    assert not device.security.HasField("antivirus_status")
    assert asked(vendor)[-1].endswith(PARTS)


async def test_types_are_read_leniently(connected: Connected, vendor: SandboxControl) -> None:
    """Sources differ: numbers for texts, a number for a truth value; nulls, nonsense and new fields are absent."""
    vendor.patch_state(
        devices={
            APP: {
                "operating_system": {"full_operating_system": None, "major_version": 10, "end_of_life": "no"},
                "security": {"score": "high", "patch_compliance": 97.5, "firewall_enabled": None},
                "security_score": None,
                "tags": None,
                "online": "yes",
                "last_seen_at": "yesterday",
                "serial_number": 1234,
                "hostname": None,
            }
        }
    )
    device = (await connected.run(get_device, GetDeviceRequest(device_id=APP))).device
    assert (device.operating_system.major_version, device.serial_number) == ("10", "1234")
    assert device.security.patch_compliance.number_value == 97.5
    absent = ("online", "last_seen_at", "security_score", "hostname", "os_name")
    assert not any(device.HasField(name) for name in absent)
    assert not device.security.HasField("score")
    assert list(device.tags) == []


async def test_a_null_part_is_absent(connected: Connected, vendor: SandboxControl) -> None:
    """A device that has no security posture is a device all the same."""
    vendor.patch_state(devices={DESK: {"security": None, "operating_system": None}})
    device = (await connected.run(get_device, GetDeviceRequest(device_id=DESK))).device
    assert (device.hostname, device.online, device.HasField("security")) == ("Desk-02", False, False)


async def test_an_unknown_device_is_not_found(connected: Connected) -> None:
    """404 says which kind of mistake it is."""
    failure = await failing(connected, get_device, GetDeviceRequest(device_id="nobody"))
    assert (failure.reason, failure.vendor_status, failure.field) == ("NOT_FOUND", 404, "device_id")


async def test_devices_that_vanish_leave_the_inventory(connected: Connected, vendor: SandboxControl) -> None:
    """A complete list is the truth about the fleet."""
    await connected.run(find_devices, FindDevicesRequest())
    vendor.patch_state(remove_devices=[WEB, LAPTOP])
    await connected.run(find_devices, FindDevicesRequest(live=True))
    found = (await connected.run(find_devices, FindDevicesRequest())).devices
    assert [device.device_id for device in found] == [APP, DESK]
