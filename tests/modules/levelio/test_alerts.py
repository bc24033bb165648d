"""Listing and resolving alerts, and listing updates."""

import pytest

from sandbox.client import SandboxControl
from server.gen.patchbay.modules.levelio.v1.levelio_pb2 import (
    FindDevicesRequest,
    ListActiveAlertsRequest,
    ListUpdatesRequest,
    ResolveAlertRequest,
)
from server.modules.levelio.actions import find_devices, list_active_alerts, list_updates, resolve_alert
from server.sdk import Effect
from tests.modules.harness import Connect, Connected
from tests.modules.levelio.asking import asked, failing
from tests.modules.levelio.world import APP, DISK_ALERT, LAPTOP, OFFLINE_ALERT, OLD_ALERT, READ_ONLY_KEY

pytestmark = pytest.mark.anyio

ALERTS = ListActiveAlertsRequest()


async def test_active_alerts_come_from_the_vendor_then_from_the_book(
    connected: Connected, vendor: SandboxControl
) -> None:
    """Newest first, typed, and the same a moment later without another request."""
    await connected.run(find_devices, FindDevicesRequest())
    first = await connected.run(list_active_alerts, ALERTS)
    again = await connected.run(list_active_alerts, ALERTS)
    assert [alert.alert_id for alert in first.alerts] == [DISK_ALERT, OFFLINE_ALERT]
    disk = first.alerts[0]
    assert (disk.name, disk.description, disk.severity) == ("Low disk space", "Low disk space was seen.", "critical")
    assert (disk.device_id, disk.device_hostname, disk.is_resolved) == (APP, "app-01", False)
    assert disk.started_at.ToJsonString() == "2026-11-20T07:41:12Z"
    assert disk.HasField("asset_id")
    assert not disk.HasField("resolved_at")
    assert {alert.source for alert in first.alerts} == {"levelio"}
    assert {alert.source for alert in again.alerts} == {"local"}
    for alert in (*first.alerts, *again.alerts):
        alert.ClearField("source")
    assert list(first.alerts) == list(again.alerts)
    assert asked(vendor)[1:] == ["GET /v2/alerts?status=active&limit=100"]


@pytest.mark.parametrize("live", [False, True])
async def test_alerts_of_one_device(connected: Connected, vendor: SandboxControl, live: bool) -> None:
    """Level chooses them itself; the book does too, and one device's alerts do not pass for all."""
    if not live:
        await connected.run(list_active_alerts, ALERTS)
    answer = await connected.run(list_active_alerts, ListActiveAlertsRequest(device_id=LAPTOP, live=live))
    assert [alert.alert_id for alert in answer.alerts] == [OFFLINE_ALERT]
    if live:
        assert asked(vendor) == [f"GET /v2/alerts?status=active&device_id={LAPTOP}&limit=100"]
        assert (await connected.run(list_active_alerts, ALERTS)).count == 2


async def test_a_limit_cuts_the_oldest(connected: Connected) -> None:
    """The newest alert is the one that is kept."""
    answer = await connected.run(list_active_alerts, ListActiveAlertsRequest(limit=1))
    assert ([alert.alert_id for alert in answer.alerts], answer.count) == ([DISK_ALERT], 1)


async def test_resolving_an_alert(connected: Connected, vendor: SandboxControl) -> None:
    """It is resolved at Level and in the book; the id travels percent-encoded; the answer is the alert afterwards."""
    await connected.run(list_active_alerts, ALERTS)
    answer = await connected.run(resolve_alert, ResolveAlertRequest(alert_id=DISK_ALERT))
    assert (answer.resolved, answer.alert_id) == (True, DISK_ALERT)
    assert (answer.alert.is_resolved, answer.alert.HasField("resolved_at")) == (True, True)
    assert asked(vendor)[-1] == "POST /v2/alerts/alert%2Fdisk%2B1=/resolve"
    assert vendor.requests()[-1]["body"] == ""
    left = (await connected.run(list_active_alerts, ALERTS)).alerts
    assert [(alert.alert_id, alert.source) for alert in left] == [(OFFLINE_ALERT, "local")]


async def test_resolving_again_changes_nothing(connected: Connected, vendor: SandboxControl) -> None:
    """An alert that is resolved is answered as it stands: no effect, no failure."""
    answer = await connected.run(resolve_alert, ResolveAlertRequest(alert_id=OLD_ALERT))
    assert (answer.resolved, answer.alert.resolved_at.ToJsonString()) == (True, "2026-11-20T09:00:00Z")
    assert vendor.effects().total == 0


async def test_a_read_only_key_cannot_resolve(connect: Connect, vendor: SandboxControl) -> None:
    """403 is not 401: the remedy is another key, and nothing happened."""
    failure = await failing(connect(READ_ONLY_KEY), resolve_alert, ResolveAlertRequest(alert_id=DISK_ALERT))
    assert (failure.reason, failure.vendor_status) == ("VENDOR_PERMISSION_DENIED", 403)
    assert (failure.effect, "read and write" in failure.remedy.text) == (Effect.EFFECT_NONE, True)
    assert "read-only" in failure.vendor_message
    assert vendor.effects().total == 0


async def test_an_unknown_alert_is_not_found(connected: Connected) -> None:
    """404 has no effect and names the input."""
    failure = await failing(connected, resolve_alert, ResolveAlertRequest(alert_id="nobody"))
    assert (failure.reason, failure.effect, failure.field) == ("NOT_FOUND", Effect.EFFECT_NONE, "alert_id")


async def test_an_answer_that_is_not_resolved_is_told_as_such(connected: Connected, vendor: SandboxControl) -> None:
    """The answer decides; the book keeps the alert active."""
    await connected.run(list_active_alerts, ALERTS)
    vendor.add_fault("status", path_regex="/resolve$", status=200, body={"id": DISK_ALERT, "is_resolved": False})
    answer = await connected.run(resolve_alert, ResolveAlertRequest(alert_id=DISK_ALERT))
    assert not answer.resolved
    assert (await connected.run(list_active_alerts, ALERTS)).count == 2


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, ["update-3", "update-2", "update-1"]),
        ({"status": "available"}, ["update-3", "update-2"]),
        ({"status": "installed"}, ["update-1"]),
        ({"device_id": APP, "status": "available"}, ["update-2"]),
        ({"category": "Firmware"}, ["update-3"]),
        ({"limit": 2}, ["update-3", "update-2"]),
    ],
)
async def test_updates_are_filtered_by_the_vendor(
    connected: Connected, wanted: dict[str, str], found: list[str]
) -> None:
    """Device, status, category and limit."""
    answer = await connected.run(list_updates, ListUpdatesRequest(**wanted))
    assert [update.update_id for update in answer.updates] == found
    assert answer.count == len(found)


async def test_an_update_tells_what_level_tells(connected: Connected) -> None:
    """Times are times, absent ones are unset."""
    update = (await connected.run(list_updates, ListUpdatesRequest(status="installed"))).updates[0]
    assert (update.device_id, update.device_hostname, update.category) == (APP, "app-01", "Security Updates")
    assert (list(update.kb_ids), update.is_available) == (["KB5099001"], False)
    assert update.installed_on.ToJsonString() == "2026-10-15T02:00:00Z"
    assert not update.HasField("error")


async def test_no_more_updates_are_asked_for_than_wanted(connected: Connected, vendor: SandboxControl) -> None:
    """250 updates are three pages of 100; the walk ends there."""
    vendor.patch_state(add_updates=[{"id": f"u{n}", "name": "x", "installed_on": None} for n in range(400)])
    answer = await connected.run(list_updates, ListUpdatesRequest(limit=250))
    assert answer.count == len({update.update_id for update in answer.updates}) == 250
    assert [request.partition("&")[0].rpartition("=")[2] for request in asked(vendor)] == ["100", "100", "100"]


@pytest.mark.parametrize("more", [False, True])
async def test_a_vendor_that_tells_more_than_asked_is_cut(
    connected: Connected, vendor: SandboxControl, more: bool
) -> None:
    """The limit holds however long a page is."""
    page = {"data": [{"id": f"u{number}"} for number in range(5)], "has_more": more}
    vendor.add_fault("status", path_regex="/updates$", status=200, body=page)
    answer = await connected.run(list_updates, ListUpdatesRequest(limit=2))
    assert [update.update_id for update in answer.updates] == ["u0", "u1"]
