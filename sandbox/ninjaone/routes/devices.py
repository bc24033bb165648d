"""Devices and organizations: lists by page, search, single ones."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from starlette.responses import JSONResponse, Response

from sandbox.ninjaone.filters import chosen
from sandbox.ninjaone.models import Device
from sandbox.ninjaone.render import detailed_row, device_row
from sandbox.ninjaone.routing import Endpoint
from sandbox.ninjaone.wire import Call

T = TypeVar("T")


def _page(call: Call, rows: Sequence[T], ids: Callable[[T], int], shown: Callable[[T], Any]) -> Response:
    """A bare array: nothing in it says whether there is more; the next page is asked for by the last id."""
    after = call.number("after", 0) or 0
    size = call.number("pageSize", call.world.settings.page_size) or 0
    rest = sorted((row for row in rows if ids(row) > after), key=ids)
    return JSONResponse([shown(row) for row in rest[: max(0, size)]])


def _devices(call: Call, shown: Callable[[Device], Any]) -> Response:
    devices = chosen(list(call.world.devices.values()), call.query.get("df", ""))
    return _page(call, devices, lambda device: device.id, shown)


async def listed(call: Call) -> Response:
    """The plain rows."""
    return _devices(call, device_row)


async def detailed(call: Call) -> Response:
    """The rows with the operating system."""
    return _devices(call, detailed_row)


async def single(call: Call) -> Response:
    """One device, detailed."""
    return JSONResponse(detailed_row(call.device))


async def search(call: Call) -> Response:
    """Devices whose name, address or signed-in user contains a text."""
    text = call.query.get("q", "")
    limit = call.number("limit", 20) or 0
    found = []
    for device in call.world.devices.values():
        names = {
            "systemName": device.system_name,
            "displayName": device.display_name,
            "dnsName": device.dns_name,
            "lastLoggedInUser": device.last_user,
            "ipAddress": " ".join(device.ip_addresses),
        }
        hits = [(name, value) for name, value in names.items() if text and text.casefold() in value.casefold()]
        if hits:
            found.append({**device_row(device), "score": 92, "matchAttr": hits[0][0], "matchAttrValue": hits[0][1]})
    return JSONResponse({"query": text, "devices": found[: max(0, limit)]})


async def organizations(call: Call) -> Response:
    """The customers."""
    rows = call.world.tables["organizations"].values()

    def shown(row: Any) -> dict[str, Any]:
        return {"id": row.id, "name": row.name, "description": row.description, "nodeApprovalMode": "AUTOMATIC"}

    return _page(call, list(rows), lambda row: int(row.id), shown)


ENDPOINTS = [
    Endpoint("GET", "devices", listed),
    Endpoint("GET", "devices-detailed", detailed),
    Endpoint("GET", "devices/search", search),
    Endpoint("GET", "device/{id:int}", single),
    Endpoint("GET", "organizations", organizations),
]
