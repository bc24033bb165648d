"""The activity log: newest first, by page, over the account and by device."""

from typing import Any

from starlette.responses import JSONResponse, Response

from sandbox.ninjaone.models import Activity
from sandbox.ninjaone.render import activity_row
from sandbox.ninjaone.routing import Endpoint
from sandbox.ninjaone.wire import Call, failed

_SMALLEST, _USUAL, _LARGEST = 10, 200, 1000


def _page(call: Call, rows: list[Activity], type_name: str) -> list[dict[str, Any]]:
    size = call.number("pageSize", _USUAL) or 0
    if not _SMALLEST <= size <= _LARGEST:
        raise failed(400, "FAILURE", f"pageSize must be between {_SMALLEST} and {_LARGEST}")
    newer, older = call.number("newerThan"), call.number("olderThan")
    wanted = {"type": call.query.get(type_name), "status_code": call.query.get("status")}
    wanted["series"] = call.query.get("seriesUid")
    kept = [
        row
        for row in reversed(rows)
        if (newer is None or row.id > newer)
        and (older is None or row.id < older)
        and all(value in {None, getattr(row, name)} for name, value in wanted.items())
    ]
    return [activity_row(row) for row in kept[:size]]


def _newest(rows: list[Activity]) -> int:
    return rows[-1].id if rows else 0


async def of_device(call: Call) -> Response:
    """What happened on one device; the filter by type is called `activityType`."""
    everything = call.world.activities
    rows = [one for one in everything if one.device == call.device.id]
    page = _page(call, rows, "activityType")
    newest = {"lastActivityId": _newest(everything), "lastNodeActivityId": _newest(rows)}
    return JSONResponse({**newest, "activities": page})


async def listed(call: Call) -> Response:
    """What happened in the account; the filter by type is called `type`."""
    page = _page(call, call.world.activities, "type")
    return JSONResponse({"lastActivityId": _newest(call.world.activities), "activities": page})


ENDPOINTS = [
    Endpoint("GET", "activities", listed),
    Endpoint("GET", "device/{id:int}/activities", of_device),
]
