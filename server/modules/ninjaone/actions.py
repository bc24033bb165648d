"""What a tenant can do with NinjaOne."""

from typing import Final

from server.gen.patchbay.modules.ninjaone.v1 import ninjaone_pb2 as pb
from server.modules.ninjaone.client import NinjaClient
from server.modules.ninjaone.runs import run_as_choices
from server.sdk import ActionContext, ActionFailure, Alert, sends_at_once
from server.sdk.alert_book import RESOLVED
from server.sdk.alerts import Alerts
from server.sdk.devices import Devices
from server.sdk.listing import by_name, listed
from server.sdk.reading import filled, inner_rows
from server.sdk.rows import unless

Context = ActionContext[NinjaClient]

_DEVICES: Final = Devices(
    pb.Device, "ninjaone", external_device_id="device_id", display_name="name", agent_online="online"
).where(
    display_name=("displayName", "systemName"),
    hostname="systemName",
    agent_online=unless("offline"),
    last_seen_at="lastContact",
    os_name="os.name",
)
_ALERTS: Final = Alerts(pb.Alert, "ninjaone", acknowledged="over").where(
    external_alert_id="uid", title=("sourceName", "subject"), created_at="createTime", updated_at="updateTime"
)


async def find_devices(request: pb.FindDevicesRequest, ctx: Context) -> pb.FindDevicesResponse:
    """Finds devices in the inventory, or at the vendor when asked to or when the inventory is empty."""
    return listed(pb.FindDevicesResponse, await _DEVICES.find(request, ctx))


async def sync_device(request: pb.SyncDeviceRequest, ctx: Context) -> pb.SyncDeviceResponse:
    """Writes what the vendor tells about a device into the inventory."""
    device = await _DEVICES.get(request.device_id, ctx)
    return pb.SyncDeviceResponse(
        synced=True, external_device_id=request.device_id, asset_id=device.asset_id or None, device=device
    )


@sends_at_once
async def reboot_device(request: pb.RebootDeviceRequest, ctx: Context) -> pb.RebootDeviceResponse:
    """Orders a reboot."""
    await ctx.client.reboot(request.device_id, request.mode, request.reason)
    return pb.RebootDeviceResponse(reboot_requested=True, external_device_id=request.device_id)


async def scripting_options(request: pb.ScriptingOptionsRequest, ctx: Context) -> pb.ScriptingOptionsResponse:
    """Lists what may run on a device, and as whom."""
    options = await ctx.client.scripting_options(request.device_id)
    shown = [filled(pb.Script, row) for row in by_name(inner_rows(options, "scripts"), request.query)]
    return pb.ScriptingOptionsResponse(scripts=shown, count=len(shown), run_as=run_as_choices(options))


async def list_active_alerts(request: pb.ListActiveAlertsRequest, ctx: Context) -> pb.ListActiveAlertsResponse:
    """Lists active alerts from the book while it is fresh, else from the vendor."""
    return listed(pb.ListActiveAlertsResponse, await _ALERTS.active(request, ctx))


async def get_alert(request: pb.GetAlertRequest, ctx: Context) -> pb.GetAlertResponse:
    """Finds one alert."""
    _, shown = await _known(request, ctx)
    return pb.GetAlertResponse(alert=shown)


async def reset_alert(request: pb.ResetAlertRequest, ctx: Context) -> pb.ResetAlertResponse:
    """Resets an alert at the vendor, then in the book; one that was known and is gone is what was wanted."""
    alert, _ = await _known(request, ctx)
    try:
        await ctx.client.reset(alert.external_alert_id)
    except ActionFailure as failure:
        # After a lost answer it was asked again: gone is what the first request did.
        if failure.failure.vendor_status != 404 or failure.failure.reason not in {"NOT_FOUND", "OUTCOME_UNKNOWN"}:
            raise
        ctx.warn("ALREADY_GONE", "The alert was gone at NinjaOne.", failure.failure.vendor_message)
    await ctx.alerts.close(alert.external_alert_id, RESOLVED)
    return pb.ResetAlertResponse(acknowledged=True, alert_id=alert.alert_id, external_alert_id=alert.external_alert_id)


async def _known(request: pb.GetAlertRequest | pb.ResetAlertRequest, ctx: Context) -> tuple[Alert, pb.Alert]:
    field = request.WhichOneof("alert") or ""
    return await _ALERTS.find(getattr(request, field).lower(), ctx, about=field)
