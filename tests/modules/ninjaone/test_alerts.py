"""Listing, finding and resetting alerts, by the vendor's uid."""

import asyncio
from typing import Any

import pytest

from sandbox.client import SandboxControl
from server.gen.patchbay.modules.ninjaone.v1.ninjaone_pb2 import (
    Alert,
    GetAlertRequest,
    ListActiveAlertsRequest,
    ResetAlertRequest,
    SyncDeviceRequest,
)
from server.modules.ninjaone.actions import get_alert, list_active_alerts, reset_alert, sync_device
from server.sdk import Effect
from tests.modules.harness import Connected
from tests.modules.ninjaone.asking import asked, failing
from tests.modules.ninjaone.world import DESK, DISK_ALERT, NO_ALERT, SERVER, SPOOLER_ALERT

pytestmark = pytest.mark.anyio


async def listed(connected: Connected, **wish: Any) -> list[Alert]:
    """Returns active alerts."""
    answer = await connected.run(list_active_alerts, ListActiveAlertsRequest(**wish))
    assert answer.count == len(answer.alerts)
    return list(answer.alerts)


async def test_alerts_are_told_newest_first(connected: Connected) -> None:
    """With the vendor's uid, times in seconds, the id in the book and the asset of a known device."""
    device = await connected.run(sync_device, SyncDeviceRequest(device_id=SERVER))
    spooler, disk = await listed(connected)
    assert (spooler.external_alert_id, disk.external_alert_id) == (SPOOLER_ALERT, DISK_ALERT)
    assert (disk.severity, disk.priority, disk.title) == ("MAJOR", "HIGH", "Disk low")
    assert (disk.message, disk.device_id, disk.asset_id) == ("C: free space below 10%", SERVER, device.asset_id)
    assert (disk.status, disk.acknowledged, disk.source) == ("active", False, "ninjaone")
    assert disk.created_at.seconds == 1790000100
    assert disk.alert_id
    assert not spooler.HasField("asset_id")


async def test_the_list_is_not_paged_and_cut_to_the_limit(connected: Connected, vendor: SandboxControl) -> None:
    """All come at once, without a page size."""
    assert [one.external_alert_id for one in await listed(connected, limit=1)] == [SPOOLER_ALERT]
    assert asked(vendor) == ["GET /v2/alerts"]


async def test_the_book_answers_while_it_is_fresh(connected: Connected, vendor: SandboxControl) -> None:
    """The second call asks nobody; `live` does, and what is gone is resolved then."""
    await listed(connected)
    vendor.patch_state(remove_alerts=[SPOOLER_ALERT])
    assert [one.source for one in await listed(connected)] == ["local", "local"]
    assert asked(vendor) == ["GET /v2/alerts"]
    assert [one.external_alert_id for one in await listed(connected, live=True)] == [DISK_ALERT]
    answer = await connected.run(get_alert, GetAlertRequest(alert_uid=SPOOLER_ALERT))
    assert (answer.alert.status, answer.alert.acknowledged, answer.alert.source) == ("resolved", True, "local")


async def test_alerts_of_one_device(connected: Connected, vendor: SandboxControl) -> None:
    """They are asked from the device; that says nothing about the others."""
    assert [one.external_alert_id for one in await listed(connected, device_id=DESK)] == [SPOOLER_ALERT]
    assert asked(vendor) == [f"GET /v2/device/{DESK}/alerts"]
    assert len(await listed(connected)) == 2
    failure = await failing(connected, list_active_alerts, ListActiveAlertsRequest(device_id="999", live=True))
    assert (failure.reason, failure.field) == ("NOT_FOUND", "device_id")


@pytest.mark.parametrize("field", ["alert_uid", "external_alert_id"])
async def test_one_alert_comes_from_the_vendors_list_when_the_book_has_none(
    connected: Connected, vendor: SandboxControl, field: str
) -> None:
    """A single one cannot be asked for; the second time the book has it, under the uid or its own id."""
    first = (await connected.run(get_alert, GetAlertRequest(**{field: DISK_ALERT.upper()}))).alert
    assert (first.external_alert_id, first.source) == (DISK_ALERT, "ninjaone")
    for id in (DISK_ALERT, first.alert_id):
        again = (await connected.run(get_alert, GetAlertRequest(alert_uid=id))).alert
        assert (again.external_alert_id, again.alert_id, again.source) == (DISK_ALERT, first.alert_id, "local")
    assert asked(vendor) == ["GET /v2/alerts"]


@pytest.mark.parametrize("field", ["alert_uid", "external_alert_id"])
@pytest.mark.parametrize(("handler", "kind"), [(get_alert, GetAlertRequest), (reset_alert, ResetAlertRequest)])
async def test_an_unknown_alert_is_not_found(
    connected: Connected, vendor: SandboxControl, handler: Any, kind: Any, field: str
) -> None:
    """With the field that named it; nothing is sent for a reset."""
    failure = await failing(connected, handler, kind(**{field: NO_ALERT}))
    assert (failure.reason, failure.field) == ("NOT_FOUND", field)
    assert asked(vendor) == ["GET /v2/alerts"]


async def test_a_reset_clears_the_alert_by_its_uid(connected: Connected, vendor: SandboxControl) -> None:
    """It is gone at the vendor and resolved in the book: NinjaOne has no acknowledging."""
    (_, disk) = await listed(connected)
    answer = await connected.run(reset_alert, ResetAlertRequest(alert_uid=disk.alert_id))
    assert (answer.acknowledged, answer.external_alert_id, answer.alert_id) == (True, DISK_ALERT, disk.alert_id)
    assert asked(vendor)[-1] == f"POST /v2/alert/{DISK_ALERT}/reset"
    assert [one["target"] for one in vendor.effects().items] == [DISK_ALERT]
    assert [one.external_alert_id for one in await listed(connected)] == [SPOOLER_ALERT]
    assert connected.told.warnings == []


async def test_a_reset_again_is_harmless(connected: Connected, vendor: SandboxControl) -> None:
    """A known alert that is gone counts as done, with a warning; nothing happens a second time."""
    for _ in range(2):
        answer = await connected.run(reset_alert, ResetAlertRequest(alert_uid=DISK_ALERT))
        assert (answer.acknowledged, answer.external_alert_id) == (True, DISK_ALERT)
    ((reason, _),) = connected.told.warnings
    assert reason == "ALREADY_GONE"
    assert vendor.effects().count("reset_alert") == 1


async def test_a_condition_that_lasts_triggers_under_another_uid(connected: Connected, vendor: SandboxControl) -> None:
    """A repeated reset never clears the new alert."""
    vendor.patch_state(alerts={DISK_ALERT: {"lasting": True}})
    for _ in range(2):
        await connected.run(reset_alert, ResetAlertRequest(alert_uid=DISK_ALERT))
    assert len(await listed(connected, live=True)) == 2
    assert vendor.effects().count("reset_alert") == 1


@pytest.mark.parametrize(("status", "body"), [(401, "insufficient_privileges"), (403, "x")])
async def test_a_reset_that_is_not_permitted_changes_nothing(
    connected: Connected, vendor: SandboxControl, status: int, body: str
) -> None:
    """The alert stays active, in the book too."""
    vendor.add_fault("status", method="POST", path_regex="reset$", times=0, status=status, body={"error": body})
    failure = await failing(connected, reset_alert, ResetAlertRequest(alert_uid=DISK_ALERT))
    assert (failure.reason, failure.effect) == ("VENDOR_PERMISSION_DENIED", Effect.EFFECT_NONE)
    assert {one.status for one in await listed(connected)} == {"active"}


async def test_calls_that_meet_do_not_lose_the_alert(connected: Connected, vendor: SandboxControl) -> None:
    """While one resets it, others find it in the book or gone, never unknown; it is reset once."""
    requests = [connected.run(reset_alert, ResetAlertRequest(alert_uid=DISK_ALERT)) for _ in range(8)]
    requests += [connected.run(get_alert, GetAlertRequest(alert_uid=DISK_ALERT)) for _ in range(8)]
    await asyncio.gather(*requests)
    assert vendor.effects().count("reset_alert") == 1
