"""Automations, their webhook triggers and their runs."""

from starlette.responses import Response

from sandbox.control import JsonObject
from sandbox.levelio.routing import TRIGGER, Routes, check_key
from sandbox.levelio.wire import Call, Refused, not_found, reply
from sandbox.levelio.world import now

_SHOWN = ("id", "name", "description", "group_id", "group_name")
_ADDRESS = "https://api.level.io/v2/automations/webhooks/"


def list_automations(call: Call) -> Response:
    """Automations."""
    return call.page([{name: row.get(name) for name in _SHOWN} for row in call.matching("automations")])


def _trigger_row(call: Call, row: JsonObject) -> JsonObject:
    """A webhook trigger as it is told: without id, the token only in its address."""
    automation = call.world.tables["automations"][row["automation_id"]]
    return {
        "url": _ADDRESS + call.world.vault.tokens[row["id"]],
        "name": row.get("name"),
        "automation_id": automation["id"],
        "automation_name": automation["name"],
        "group_name": automation.get("group_name"),
        "parameters": row.get("parameters", ["device_ids"]),
        "requires_authorization_header": row.get("requires_authorization_header", False),
    }


def list_triggers(call: Call) -> Response:
    """Webhook triggers. They have no id, so there is no cursor to a second page."""
    rows = [_trigger_row(call, row) for row in call.matching("triggers")]
    return reply(rows) if call.world.settings.webhooks_answer == "list" else call.page(rows)


def _passing(call: Call, trigger: JsonObject, wanted: list[str] | None) -> list[JsonObject]:
    """Devices that were named, or all, as far as they meet the trigger's conditions."""
    devices = call.world.tables["devices"].values()
    conditions = trigger.get("conditions", {}).items()
    named = [device for device in devices if wanted is None or device["id"] in wanted]
    return [device for device in named if all(device.get(name) == value for name, value in conditions)]


def _start(call: Call, automation: JsonObject, device: JsonObject) -> JsonObject:
    run: JsonObject = {
        "id": call.world.new_id("AutomationRun"),
        "automation_id": automation["id"],
        "automation_name": automation["name"],
        "device_id": device["id"],
        "device_hostname": device["hostname"],
        "status": "queued",
        "started_at": now(),
        "ended_at": None,
        "steps": automation.get("steps", []),
        "outcome": automation.get("outcome", "success"),
    }
    call.world.tables["runs"][run["id"]] = run
    call.world.effects.record("run", device["id"], {"automation_id": automation["id"], "run_id": run["id"]})
    return run


def trigger(call: Call) -> Response:
    """Starts the automation, one run a device. The token is enough, unless the trigger asks for a key."""
    row = call.world.tables["triggers"].get(call.world.vault.trigger_of(call.params[0]) or "")
    if row is None:
        raise not_found()
    if row.get("requires_authorization_header"):
        check_key(call, writes=True)
    body = call.body()
    wanted = body.get("device_ids")
    if wanted is not None and not isinstance(wanted, list):
        raise Refused(422, "device_ids must be a list")
    mapped = {
        name: body[name] for name in row.get("parameters", ["device_ids"]) if name in body and name != "device_ids"
    }
    automation = call.world.tables["automations"][row["automation_id"]]
    detail = {"webhook": row.get("name"), "device_ids": wanted, "parameters": mapped, "with_key": bool(call.key)}
    call.world.effects.record("trigger", automation["id"], detail)
    runs = [_start(call, automation, device) for device in _passing(call, row, wanted)]
    if call.world.settings.trigger_answer == "empty":
        return Response()
    return reply({"runs": [{"id": run["id"], "device_id": run["device_id"]} for run in runs]})


def get_run(call: Call) -> Response:
    """One run, with its steps when asked for; reading it may move it on."""
    run = call.found("runs")
    hidden = {"outcome"} if call.flag("include_steps") else {"outcome", "steps"}
    shown = {name: value for name, value in run.items() if name not in hidden}
    if call.world.settings.runs_move == "on_read":
        call.world.advance(run)
    return reply(shown)


ROUTES: Routes = {
    ("GET", "automations"): list_automations,
    ("GET", "automations/webhooks"): list_triggers,
    ("POST", TRIGGER): trigger,
    ("GET", "automation-runs/*"): get_run,
}
