"""Triggered conditions. A single one cannot be read; a reset one is gone, unless its condition still holds."""

from typing import Any

from starlette.responses import JSONResponse, Response

from sandbox.ninjaone.filters import chosen
from sandbox.ninjaone.render import alert_row
from sandbox.ninjaone.routing import Endpoint
from sandbox.ninjaone.wire import Call, done, missing


async def listed(call: Call) -> Response:
    """All of them at once, whatever the page size asked for."""
    kept = {device.id for device in chosen(list(call.world.devices.values()), call.query.get("df", ""))}
    wanted = call.query.get("sourceType")
    alerts = [one for one in call.world.alerts.values() if one.device in kept]
    return JSONResponse([alert_row(one) for one in alerts if wanted in {None, one.source_type}])


async def of_device(call: Call) -> Response:
    """Those of one device."""
    wanted = call.device.id
    return JSONResponse([alert_row(one) for one in call.world.alerts.values() if one.device == wanted])


class _Anything(dict[str, type]):
    """Accepts every property: the object of a reset goes into the activity as it is."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> Any:
        return object


async def reset(call: Call) -> Response:
    """Takes an alert away."""
    said = call.data(_Anything())
    alert = call.world.alerts.get(call.params["uid"])
    if alert is None:
        raise missing("alert")
    call.world.effects.record("reset_alert", alert.uid, said)
    device = call.world.devices.get(alert.device)
    call.world.clear_alert(alert)
    if device is not None:
        call.world.note(device, alert.uid, "CONDITION", "RESET", alert.source_name, data=said)
    return done()


ENDPOINTS = [
    Endpoint("GET", "alerts", listed),
    Endpoint("GET", "device/{id:int}/alerts", of_device),
    Endpoint("POST", "alert/{uid}/reset", reset, "management"),
    Endpoint("DELETE", "alert/{uid}", reset, "management"),
]
