"""Scripts: what may run where, and running it. The device reports through the activity log, never to the caller."""

from typing import Any
from uuid import uuid4

from starlette.responses import JSONResponse, Response

from sandbox.ninjaone.models import Device, Platform, Script
from sandbox.ninjaone.render import script_item
from sandbox.ninjaone.routing import Endpoint
from sandbox.ninjaone.wire import Call, done, failed, missing, need_user

ROLES: dict[Platform, list[str]] = {
    "WINDOWS": ["system", "loggedonuser", "SR_LOCAL_ADMINISTRATOR", "SR_DOMAIN_ADMINISTRATOR"],
    "MAC": ["system", "loggedonuser", "SR_MAC_SCRIPT"],
    "LINUX": ["system", "SR_LINUX_SCRIPT"],
}
"""Roles to run as, by system; the names are the vendor's, their split by system is a guess."""


def _runnable(call: Call, device: Device) -> list[Script]:
    fitting = (one for one in call.world.scripts.values() if device.platform in one.operating_systems)
    return [one for one in fitting if one.active]


async def options(call: Call) -> Response:
    """What may run on a device, and as whom."""
    device = call.device
    credentials = [
        {"id": one.id, "name": one.name, "type": one.type} for one in call.world.tables["stored_credentials"].values()
    ]
    scripts = [script_item(one) for one in _runnable(call, device)]
    return JSONResponse(
        {
            "categories": [{"id": 1, "name": "Maintenance", "internal": False}],
            "scripts": scripts,
            "credentials": {"roles": ROLES[device.platform], "credentials": credentials},
        }
    )


async def library(call: Call) -> Response:
    """Every script of the tenant; built-in actions are not among them."""
    rows = [
        {**script_item(one), "active": one.active, "operatingSystems": one.operating_systems}
        for one in call.world.scripts.values()
        if one.id
    ]
    return JSONResponse(rows)


async def run(call: Call) -> Response:
    """Takes an order. Whether and how the device carries it out is told in its activities."""
    need_user(call)
    device = call.device
    order = call.data({"type": str, "id": int, "uid": str, "parameters": str, "runAs": str})
    script = _ordered(call, device, order)
    _refuse_role(call, device, order.get("runAs"))
    series = str(uuid4())
    _dispatch(call, device, script, order, series)
    return _accepted(call, series)


def _ordered(call: Call, device: Device, order: dict[str, Any]) -> Script:
    kind = order.get("type")
    if kind not in {"SCRIPT", "ACTION"}:
        raise failed(400, "FAILURE", f"Cannot deserialize value of type: {kind!r} is no script type")
    for script in _runnable(call, device):
        if kind == "SCRIPT" and script.id and script.id == order.get("id"):
            return script
        if kind == "ACTION" and script.uid and script.uid == order.get("uid"):
            return script
    raise missing("script")


def _refuse_role(call: Call, device: Device, role: str | None) -> None:
    if role is None and not call.world.settings.run_as_required:
        return
    known = {str(one) for one in call.world.tables["stored_credentials"]} | set(ROLES[device.platform])
    if role not in known:
        raise failed(400, "INVALID_CREDENTIAL", f"Unknown credential role: {role}")


def _dispatch(call: Call, device: Device, script: Script, order: dict[str, Any], series: str) -> None:
    world, kind = call.world, "ACTION" if script.uid else "SCRIPTING"
    user = call.token.grant.user if call.token else ""
    facts = {"script": script.name, "parameters": order.get("parameters"), "runAs": order.get("runAs"), "user": user}
    world.note(device, series, kind, "START_REQUESTED", script.name, subject="Script")
    if device.offline:
        return
    world.effects.record("run_script", str(device.id), {**facts, "series": series})
    world.note(device, series, kind, "STARTED", script.name, subject="Script")

    def end() -> None:
        if script.result:
            more = {"result": script.result, "data": script.data, "subject": "Script"}
            world.note(device, series, kind, script.status_code, script.name, **more)

    world.later(script.seconds, end)


def _accepted(call: Call, series: str) -> Response:
    settings = call.world.settings
    uid = series if settings.uid_is_series else str(uuid4())
    number = call.world.activities[-1].id if call.world.activities else 1
    bodies: dict[str, Any] = {
        "id": {"id": number},
        "activity_id": {"activityId": number},
        "job_uid": {"jobUid": uid},
        "uuid": uid,
        "integer": number,
    }
    return done() if settings.run_answer == "empty" else JSONResponse(bodies[settings.run_answer])


ENDPOINTS = [
    Endpoint("GET", "device/{id:int}/scripting/options", options),
    Endpoint("GET", "automation/scripts", library),
    Endpoint("POST", "device/{id:int}/script/run", run, "management"),
]
