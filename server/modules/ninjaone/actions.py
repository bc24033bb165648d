"""What a tenant can do with NinjaOne."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from server.gen.patchbay.modules.ninjaone.v1 import ninjaone_pb2 as pb
from server.modules.ninjaone.client import NinjaClient
from server.modules.ninjaone.runs import followed, marked, told
from server.sdk import (
    ActionContext,
    ActionFailure,
    Alert,
    FailureCategory,
    OutcomeUnknown,
    sends_at_once,
)
from server.sdk.alert_book import RESOLVED
from server.sdk.alerts import Alerts
from server.sdk.devices import Devices
from server.sdk.listing import by_name
from server.sdk.reading import filled, inner, inner_rows, text

Context = ActionContext[NinjaClient]

_DEVICES: Final = Devices(
    pb.Device, "ninjaone", external_device_id="device_id", display_name="name", agent_online="online"
)
_ALERTS: Final = Alerts(pb.Alert, "ninjaone", acknowledged="over")


async def find_devices(request: pb.FindDevicesRequest, ctx: Context) -> pb.FindDevicesResponse:
    """Finds devices in the inventory, or at the vendor when asked to or when the inventory is empty."""
    shown = await _DEVICES.find(request, ctx)
    return pb.FindDevicesResponse(devices=shown, count=len(shown))


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
    return pb.ScriptingOptionsResponse(scripts=shown, count=len(shown), run_as=_run_as(options))


async def run_script(request: pb.RunScriptRequest, ctx: Context) -> pb.RunScriptResponse:
    """Orders a run, once, and follows it through the device's activities when asked to; see `runs`."""
    client, device_id = ctx.client, request.device_id
    if not client.acts_for_user:
        raise ActionFailure(
            "USER_SIGN_IN_REQUIRED",
            "The connection has client credentials; NinjaOne runs scripts only for a user who has signed in.",
            category=FailureCategory.FAILURE_CATEGORY_CONNECTION,
        )
    options = await client.scripting_options(device_id)
    order, run_as = _runnable(request, options), _role(request.run_as, _run_as(options))
    name = order.pop("name")
    if request.parameters:
        order["parameters"] = request.parameters
    async with ctx.lock("run_script", device_id, name):
        mark = await marked(client, device_id, name, run_as)
        ctx.remember(mark)
        answer = await client.run_script(device_id, {**order, "runAs": run_as})
        if not request.wait_for_result:
            return told(request, mark, answer, None)
        end = await followed(client, device_id, mark, answer, ctx.deadline.part(request.timeout))
    if end is None:
        raise OutcomeUnknown(f"NinjaOne took the order and told no end of it within {request.timeout} s.")
    return told(request, mark, answer, end)


async def list_active_alerts(request: pb.ListActiveAlertsRequest, ctx: Context) -> pb.ListActiveAlertsResponse:
    """Lists active alerts from the book while it is fresh, else from the vendor."""
    shown = await _ALERTS.active(ctx, device_id=request.device_id, live=request.live, limit=request.limit)
    return pb.ListActiveAlertsResponse(alerts=shown, count=len(shown))


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


def _run_as(options: Mapping[str, Any]) -> list[pb.RunAs]:
    known = inner(options, "credentials")
    roles = [role for role in known.get("roles") or () if isinstance(role, str)]
    stored = [filled(pb.RunAs, row, value=row.get("id")) for row in inner_rows(known, "credentials")]
    return [*(pb.RunAs(value=role, name=role, type="ROLE") for role in roles), *stored]


def _runnable(request: pb.RunScriptRequest, options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what the order says about the script: its type is what the item itself says."""
    field = request.WhichOneof("runnable") or ""
    key = "id" if field == "script_id" else "uid"
    wanted = getattr(request, field)
    for row in inner_rows(options, "scripts"):
        if text(row.get(key)) == wanted.lower():
            if request.type not in {"", row.get("type")}:
                raise ActionFailure("SCRIPT_NOT_AVAILABLE", f"The item is no {request.type}.", field="type")
            return {"type": row.get("type"), key: row[key], "name": text(row.get("name")) or ""}
    raise ActionFailure("SCRIPT_NOT_AVAILABLE", "The device has no such script or action to run.", field=field)


def _role(wanted: str, choices: Sequence[pb.RunAs]) -> str:
    values = [one.value for one in choices] or ["system"]
    if wanted and wanted not in values:
        known = ", ".join(values)
        raise ActionFailure("RUN_AS_NOT_AVAILABLE", f"The device knows {known} to run as.", field="run_as")
    return wanted or ("system" if "system" in values else values[0])
