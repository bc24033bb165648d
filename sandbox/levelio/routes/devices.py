"""Devices."""

from starlette.responses import Response

from sandbox.control import JsonObject
from sandbox.levelio.routing import Routes
from sandbox.levelio.wire import Call, Refused, not_found, reply
from sandbox.levelio.world import PARTS


def _shown(call: Call, row: JsonObject) -> JsonObject:
    """A device without the parts that were not asked for."""
    hidden = {name for flag, names in PARTS.items() if not call.flag(flag) for name in names}
    group = " / ".join(reversed([*call.world.lineage(row.get("group_id"))])) or None
    return {name: value for name, value in row.items() if name not in hidden} | {"group_name": group}


def list_devices(call: Call) -> Response:
    """Devices by host name, serial number, group, group above, or tag."""
    rows = call.matching("devices", "hostname", "serial_number", "group_id")
    if ancestor := call.query.get("ancestor_group_id"):
        below = call.world.subtree(ancestor)
        rows = [row for row in rows if row.get("group_id") in below]
    if tag := call.query.get("tag_id"):
        name = call.world.tables["tags"].get(tag, {}).get("name")
        rows = [row for row in rows if name in row.get("tags", [])]
    return call.page([_shown(call, row) for row in rows])


def get_device(call: Call) -> Response:
    """One device."""
    return reply(_shown(call, call.found("devices")))


def edit_device(call: Call) -> Response:
    """Sets name, notes and group."""
    row, wish = call.found("devices"), call.body()
    if unknown := set(wish) - {"name", "notes", "group_id"}:
        raise Refused(400, f"Unknown parameter: {', '.join(sorted(unknown))}")
    if wish.get("group_id") is not None and wish["group_id"] not in call.world.tables["groups"]:
        raise not_found()
    row.update({"nickname" if name == "name" else name: value for name, value in wish.items()})
    call.world.effects.record("update_device", row["id"], wish)
    return reply(_shown(call, row))


def delete_device(call: Call) -> Response:
    """Removes a device."""
    row = call.found("devices")
    del call.world.tables["devices"][row["id"]]
    call.world.effects.record("delete_device", row["id"], {"hostname": row["hostname"]})
    return reply({})


ROUTES: Routes = {
    ("GET", "devices"): list_devices,
    ("GET", "devices/*"): get_device,
    ("PATCH", "devices/*"): edit_device,
    ("DELETE", "devices/*"): delete_device,
}
