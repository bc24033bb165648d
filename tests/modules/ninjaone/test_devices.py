"""Finding devices, writing them into the inventory, rebooting them."""

from datetime import UTC, datetime
from typing import Any

import pytest

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from server.gen.patchbay.modules.ninjaone.v1.ninjaone_pb2 import (
    Device,
    FindDevicesRequest,
    RebootDeviceRequest,
    SyncDeviceRequest,
)
from server.modules.ninjaone import client
from server.modules.ninjaone.actions import find_devices, reboot_device, sync_device
from server.sdk import DeviceFilter, Effect
from tests.modules.harness import Connect, Connected
from tests.modules.ninjaone.asking import asked, bodies, failing
from tests.modules.ninjaone.world import DESK, LINUX, MAC, OFFLINE, SERVER, by_app

pytestmark = pytest.mark.anyio


async def found(connected: Connected, **filters: Any) -> list[Device]:
    """Returns the devices that are found."""
    answer = await connected.run(find_devices, FindDevicesRequest(**filters))
    assert answer.count == len(answer.devices)
    return list(answer.devices)


def ids(devices: list[Device]) -> list[str]:
    """Ids of devices."""
    return [device.external_device_id for device in devices]


async def test_all_devices_come_from_the_detailed_list_by_name(connected: Connected, vendor: SandboxControl) -> None:
    """Names, organization, class, operating system, times in seconds; what is not told stays unset."""
    devices = await found(connected)
    assert ids(devices) == [LINUX, SERVER, DESK, OFFLINE, MAC]
    server, mac = devices[1], devices[4]
    assert (server.hostname, server.display_name, server.dns_name) == ("FS-01", "File server", "fs-01.quayside.test")
    assert (server.organization_id, server.organization_name) == ("12", "Quayside Bakery")
    assert (server.os_name, server.node_class) == ("Windows Server 2022 Standard", "WINDOWS_SERVER")
    assert server.last_seen_at.ToDatetime(UTC) == datetime.fromtimestamp(1790000000.25, UTC)
    assert [device.agent_online for device in devices[:4]] == [True, True, True, False]
    unset = ("agent_online", "organization_id", "organization_name", "last_seen_at", "os_name")
    assert not [name for name in unset if mac.HasField(name)]
    assert server.source == "ninjaone"
    assert asked(vendor)[-1].startswith("GET /v2/devices-detailed?")


async def test_the_inventory_answers_once_it_is_filled(connected: Connected, vendor: SandboxControl) -> None:
    """The second call asks nobody and tells the same, details included; `live` asks again."""
    first = await found(connected)
    before = len(asked(vendor))
    second = await found(connected)
    assert len(asked(vendor)) == before
    for device in first:
        device.source = "local"
    assert second == first
    assert all(device.asset_id for device in second)
    assert {device.source for device in await found(connected, live=True)} == {"ninjaone"}


async def test_every_page_is_read(
    connected: Connected, vendor: SandboxControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Devices and organizations go on after the last id until a page brings nothing new."""
    monkeypatch.setattr(client, "_PAGE", 2)
    assert len(await found(connected)) == 5
    lists = [one for one in asked(vendor) if "devices-detailed" in one]
    assert lists == [
        f"GET /v2/devices-detailed?pageSize=2{more}" for more in ("", "&after=40", "&after=52", "&after=53")
    ]
    assert "GET /v2/organizations?pageSize=2&after=14" in asked(vendor)


async def test_pages_that_are_shorter_than_asked_do_not_end_the_list(
    connected: Connected, vendor: SandboxControl
) -> None:
    """Only a page without news ends it: the vendor may make pages shorter than it was asked to."""
    page = [{"id": 31, "systemName": "only"}]
    vendor.add_fault("status", path_regex="devices-detailed$", status=200, body=page)
    assert len(await found(connected)) == 5


async def test_a_list_that_repeats_itself_ends(connected: Connected, vendor: SandboxControl) -> None:
    """An instance that ignores `after` is asked twice, and no device is told twice."""
    page = [{"id": 31, "systemName": "only"}, {"systemName": "without id"}]
    vendor.add_fault("status", path_regex="devices-detailed$", times=0, status=200, body=page)
    assert ids(await found(connected)) == ["31"]
    assert len([one for one in asked(vendor) if "devices-detailed" in one]) == 2


async def test_text_is_searched_and_never_a_filter(connected: Connected, vendor: SandboxControl) -> None:
    """NinjaOne's search looks at addresses and users too; its rows have no operating system."""
    assert ids(await found(connected, query="10.4.0")) == [SERVER]
    (desk,) = await found(connected, query="QUAYSIDE\\jo", live=True, limit=7)
    assert (desk.external_device_id, desk.HasField("os_name")) == (DESK, False)
    assert "GET /v2/devices/search?q=QUAYSIDE%5Cjo&limit=7" in asked(vendor)
    assert not [one for one in asked(vendor) if "df=" in one]


async def test_a_search_does_not_erase_what_was_known(connected: Connected) -> None:
    """Rows without operating system keep the one in the inventory."""
    await found(connected)
    await found(connected, query="FS-01", live=True)
    (server,) = await found(connected, device_id=SERVER)
    assert (server.source, server.os_name) == ("local", "Windows Server 2022 Standard")


async def test_one_device_is_found_by_id_or_asset(connected: Connected, vendor: SandboxControl) -> None:
    """By the vendor's id, and by the asset's; unknown ones are nobody."""
    (server,) = await found(connected, device_id=SERVER)
    assert server.os_name == "Windows Server 2022 Standard"
    assert ids(await found(connected, asset_id=server.asset_id, live=True)) == [SERVER]
    assert await found(connected, device_id="999") == []
    assert asked(vendor)[-1] == "GET /v2/device/999"


@pytest.mark.parametrize("status", [500, 403], ids=["broken", "forbidden"])
async def test_organizations_are_decoration(connected: Connected, vendor: SandboxControl, status: int) -> None:
    """Without them devices are found all the same; once NinjaOne tells them they count at once, and for a minute."""
    vendor.add_fault("status", path_regex="organizations$", status=status, body={"resultCode": "FORBIDDEN"})
    devices = await found(connected)
    assert (len(devices), devices[0].HasField("organization_name")) == (5, False)
    for _ in range(2):
        assert (await found(connected, live=True))[0].HasField("organization_name")
    assert len([one for one in asked(vendor) if "organizations" in one and "after" not in one]) == 2


async def test_sync_writes_the_inventory_row(connected: Connected, vendor: SandboxControl) -> None:
    """What the vendor tells now is in the inventory afterwards, under the same asset."""
    first = await connected.run(sync_device, SyncDeviceRequest(device_id=SERVER))
    assert (first.synced, first.external_device_id) == (True, SERVER)
    vendor.patch_state(devices={SERVER: {"offline": True, "os_name": "Windows Server 2025"}})
    again = await connected.run(sync_device, SyncDeviceRequest(device_id=SERVER))
    assert (again.asset_id, again.device.asset_id) == (first.asset_id, first.asset_id)
    (row,) = await connected.inventory.find(DeviceFilter(device_id=SERVER))
    assert (row.asset_id, row.os_name, row.online) == (first.asset_id, "Windows Server 2025", False)


async def test_an_unknown_device_is_not_synced(connected: Connected) -> None:
    """NOT_FOUND with the field; nothing is written."""
    failure = await failing(connected, sync_device, SyncDeviceRequest(device_id="999"))
    assert (failure.reason, failure.field) == ("NOT_FOUND", "device_id")
    assert list(await connected.inventory.find(DeviceFilter())) == []


@pytest.mark.parametrize(
    ("wish", "mode", "body"),
    [({}, "NORMAL", {}), ({"mode": "FORCED", "reason": "patches"}, "FORCED", {"reason": "patches"})],
)
async def test_a_reboot_has_mode_and_reason(
    connected: Connected, vendor: SandboxControl, wish: dict[str, str], mode: str, body: dict[str, str]
) -> None:
    """The mode stands in the path, the reason in the body; it happens once."""
    answer = await connected.run(reboot_device, RebootDeviceRequest(device_id=SERVER, **wish))
    assert (answer.reboot_requested, answer.external_device_id) == (True, SERVER)
    assert asked(vendor) == [f"POST /v2/device/{SERVER}/reboot/{mode}"]
    assert bodies(vendor, mode) == [body]
    (effect,) = vendor.effects().items
    assert effect["detail"] == {"mode": mode, "reason": body.get("reason")}


async def test_client_credentials_may_reboot(connect: Connect, vendor: SandboxControl, server: SandboxServer) -> None:
    """Unless the instance asks for a user: then the remedy says so."""
    connected = connect(by_app(server.url))
    assert (await connected.run(reboot_device, RebootDeviceRequest(device_id=SERVER))).reboot_requested
    vendor.patch_state(settings={"reboot_needs_user": True})
    failure = await failing(connected, reboot_device, RebootDeviceRequest(device_id=SERVER))
    assert (failure.reason, failure.effect) == ("VENDOR_PERMISSION_DENIED", Effect.EFFECT_NONE)
    assert "user sign-in" in failure.remedy.text
    assert vendor.effects().count("reboot") == 1


async def test_a_reboot_of_an_unknown_device_is_not_found(connected: Connected, vendor: SandboxControl) -> None:
    """Definite, with the field."""
    failure = await failing(connected, reboot_device, RebootDeviceRequest(device_id="999"))
    assert (failure.reason, failure.field, failure.effect) == ("NOT_FOUND", "device_id", Effect.EFFECT_NONE)


async def test_an_order_answered_by_a_page_is_unknown(connected: Connected, vendor: SandboxControl) -> None:
    """Nobody can say whether a page with status 200 after a write means that it was taken."""
    vendor.patch_state(settings={"throttle": "html"})
    failure = await failing(connected, reboot_device, RebootDeviceRequest(device_id=SERVER))
    assert (failure.reason, failure.effect) == ("OUTCOME_UNKNOWN", Effect.EFFECT_UNKNOWN)
