"""What a tenant can do with Level."""

from collections import defaultdict
from functools import partial
from typing import Any, Final

from server.gen.patchbay.modules.levelio.v1 import levelio_pb2 as pb
from server.modules.levelio.client import LevelClient, Webhook
from server.sdk import ActionContext, ActionFailure
from server.sdk.alert_book import RESOLVED
from server.sdk.alerts import Alerts
from server.sdk.devices import Devices
from server.sdk.listing import by_name, filters_in, listed
from server.sdk.paging import Row
from server.sdk.polling import watched
from server.sdk.reading import filled, text

Context = ActionContext[LevelClient]

_DEVICES: Final = Devices(
    pb.Device, "levelio", hostname="name", group_id="organization_id", group_name="organization_name"
).where(os_name="operating_system.full_operating_system")
_ALERTS: Final = Alerts(
    pb.Alert,
    "levelio",
    alert_id="external_alert_id",
    name="title",
    description="message",
    started_at="created_at",
    is_resolved="over",
)
_ENDS: Final = frozenset({"success", "warning", "error", "canceled"})


async def find_devices(request: pb.FindDevicesRequest, ctx: Context) -> pb.FindDevicesResponse:
    """Finds devices in the inventory, or at the vendor when asked to or when the inventory is empty."""
    return listed(pb.FindDevicesResponse, await _DEVICES.find(request, ctx))


async def get_device(request: pb.GetDeviceRequest, ctx: Context) -> pb.GetDeviceResponse:
    """Asks the vendor for one device."""
    return pb.GetDeviceResponse(device=await _DEVICES.get(request.device_id, ctx))


async def list_active_alerts(request: pb.ListActiveAlertsRequest, ctx: Context) -> pb.ListActiveAlertsResponse:
    """Lists active alerts from the book while it is fresh, else from the vendor."""
    return listed(pb.ListActiveAlertsResponse, await _ALERTS.active(request, ctx))


async def resolve_alert(request: pb.ResolveAlertRequest, ctx: Context) -> pb.ResolveAlertResponse:
    """Resolves an alert at the vendor, then in the book."""
    alert = _ALERTS.of(await ctx.client.resolve(request.alert_id), request.alert_id)
    if alert.over:
        await ctx.alerts.close(request.alert_id, RESOLVED)
    return pb.ResolveAlertResponse(resolved=alert.over, alert_id=request.alert_id, alert=_ALERTS.told(alert))


async def list_updates(request: pb.ListUpdatesRequest, ctx: Context) -> pb.ListUpdatesResponse:
    """Lists updates, filtered by the vendor."""
    found = await ctx.client.many("/updates", filters_in(request), request.limit)
    return listed(pb.ListUpdatesResponse, found.items, update_id="id")


async def list_automations(request: pb.ListAutomationsRequest, ctx: Context) -> pb.ListAutomationsResponse:
    """Joins automations with their webhook triggers."""
    automations, webhooks = await ctx.client.many("/automations", {}), await ctx.client.webhooks()
    if not webhooks.complete:
        ctx.warn("WEBHOOK_TRIGGERS_INCOMPLETE", "Level told only some of the webhook triggers.", "")
    triggers: defaultdict[str | None, list[pb.WebhookTrigger]] = defaultdict(list)
    for webhook in webhooks.items:
        triggers[webhook.automation_id].append(webhook.shown)
    rows = by_name(automations.items, request.query, request.limit)
    return listed(
        pb.ListAutomationsResponse, rows, automation_id="id", webhooks=lambda row: triggers[text(row.get("id"))]
    )


async def trigger_automation(request: pb.TriggerAutomationRequest, ctx: Context) -> pb.TriggerAutomationResponse:
    """Starts an automation through the token of its webhook trigger, which is looked up unless given."""
    order: dict[str, Any] = dict(request.parameters)
    if request.device_ids:
        order["device_ids"] = list(request.device_ids)
    token = request.webhook_token
    if not token:
        webhook = await _chosen(request, ctx.client)
        token = webhook.token
        if ignored := sorted(order.keys() - set(webhook.shown.parameters)):
            ctx.warn("PARAMETERS_NOT_MAPPED", f"The webhook trigger maps no {', '.join(ignored)}.", "")
    runs = await ctx.client.trigger(token, order)
    started = [filled(pb.StartedRun, run, run_id=run.get("id")) for run in runs or ()]
    return pb.TriggerAutomationResponse(triggered=True, runs=started, runs_told=runs is not None)


async def run_status(request: pb.RunStatusRequest, ctx: Context) -> pb.RunStatusResponse:
    """Reads a run, until it has ended when there is time to wait."""
    look = partial(ctx.client.run, request.run_id, steps=request.include_steps)
    row = await watched(look, _finished, ctx.deadline.part(request.wait_seconds), ctx.client.pauses())
    run = filled(pb.Run, row, run_id=request.run_id, finished=_finished(row))
    return filled(pb.RunStatusResponse, row, run=run)


async def _chosen(request: pb.TriggerAutomationRequest, client: LevelClient) -> Webhook:
    webhooks = await client.webhooks()
    own = [one for one in webhooks.items if one.automation_id == request.automation_id]
    fitting = [one for one in own if request.webhook_name in {"", one.shown.name}]
    if len(fitting) == 1:
        return fitting[0]
    if own:
        names = ", ".join(f"`{one.shown.name}`" if one.shown.name else "one without a name" for one in own)
        raise ActionFailure(
            "WEBHOOK_TRIGGER_AMBIGUOUS", f"The automation has these webhook triggers: {names}.", field="webhook_name"
        )
    some = "" if webhooks.complete else " among those that Level told, which are not all"
    message = f"No webhook trigger of this automation was found{some}. A webhook trigger must be configured in Level."
    raise ActionFailure("WEBHOOK_TRIGGER_MISSING", message)


def _finished(run: Row) -> bool:
    """Other words than Level's own ends count once the end is told."""
    return run.get("status") in _ENDS or run.get("ended_at") is not None
