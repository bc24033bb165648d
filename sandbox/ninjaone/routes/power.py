"""Reboots, services, maintenance, patches: orders to a device beside scripts."""

from starlette.responses import JSONResponse, Response

from sandbox.ninjaone.routing import Endpoint
from sandbox.ninjaone.wire import Call, done, failed, missing, need_user

_FEATURES = frozenset({"ALERTS", "PATCHING", "AVSCANS", "TASKS"})


async def reboot(call: Call) -> Response:
    """Takes the order; a device that is offline never hears of it."""
    if call.world.settings.reboot_needs_user:
        need_user(call)
    mode = call.params["mode"]
    if mode not in {"NORMAL", "FORCED"}:
        raise failed(404, "FAILURE", "HTTP 404 Not Found")
    reason = call.data({"reason": str}).get("reason")
    device = call.device
    if not device.offline:
        device.needs_reboot = False
        call.world.effects.record("reboot", str(device.id), {"mode": mode, "reason": reason})
    return done()


async def services(call: Call) -> Response:
    """The services of a Windows device."""
    return JSONResponse([{"name": name, "displayName": name, "state": "RUNNING"} for name in call.device.services])


async def control_service(call: Call) -> Response:
    """Starts, pauses, stops or restarts a service."""
    action = call.data({"action": str}).get("action")
    if action not in {"START", "PAUSE", "STOP", "RESTART"}:
        raise failed(400, "FAILURE", "Cannot deserialize value of field action")
    if call.params["service"] not in call.device.services:
        raise missing("service")
    detail = {"service": call.params["service"], "action": action}
    call.world.effects.record("control_service", str(call.device.id), detail)
    return done()


async def begin_maintenance(call: Call) -> Response:
    """Silences a device for a while."""
    wish = call.data({"disabledFeatures": list, "start": int, "end": int, "reasonMessage": str})
    features = wish.get("disabledFeatures") or []
    if not features or not _FEATURES.issuperset(features) or "end" not in wish:
        raise failed(400, "FAILURE", "Invalid maintenance")
    call.device.maintenance = {"status": "IN_MAINTENANCE", "end": wish["end"] / 1000}
    call.world.effects.record("begin_maintenance", str(call.device.id), wish)
    return done()


async def end_maintenance(call: Call) -> Response:
    """Ends the silence."""
    call.device.maintenance = {}
    call.world.effects.record("end_maintenance", str(call.device.id), {})
    return done()


async def patch(call: Call) -> Response:
    """Scans for patches or applies them."""
    kind, verb = call.params["kind"], call.params["verb"]
    if kind not in {"os", "software"} or verb not in {"scan", "apply"}:
        raise failed(404, "FAILURE", "HTTP 404 Not Found")
    if call.device.platform != "WINDOWS":
        raise failed(400, "FAILURE", f"Device is not applicable for {kind} {verb}.")
    call.world.effects.record("patch", str(call.device.id), {"kind": kind, "verb": verb})
    return done()


ENDPOINTS = [
    Endpoint("POST", "device/{id:int}/reboot/{mode}", reboot, "management"),
    Endpoint("GET", "device/{id:int}/windows-services", services),
    Endpoint("POST", "device/{id:int}/windows-service/{service}/control", control_service, "management"),
    Endpoint("PUT", "device/{id:int}/maintenance", begin_maintenance, "management"),
    Endpoint("DELETE", "device/{id:int}/maintenance", end_maintenance, "management"),
    Endpoint("POST", "device/{id:int}/patch/{kind}/{verb}", patch, "management"),
]
