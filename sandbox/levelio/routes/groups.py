"""Groups of devices, a tree."""

from starlette.responses import Response

from sandbox.control import JsonObject
from sandbox.levelio.routing import Routes
from sandbox.levelio.wire import Call, Refused, not_found, reply


def _shown(call: Call, row: JsonObject, *, custom_fields: bool = False) -> JsonObject:
    world, below = call.world, call.world.subtree(row["id"])
    places = [device.get("group_id") for device in world.tables["devices"].values()]
    shown = {
        "id": row["id"],
        "parent_id": row.get("parent_id"),
        "child_ids": [one["id"] for one in world.tables["groups"].values() if one.get("parent_id") == row["id"]],
        "name": row["name"],
        "device_count": places.count(row["id"]),
        "descendent_device_count": sum(place in below for place in places),
    }
    return {**shown, "custom_fields": row.get("custom_fields", {})} if custom_fields else shown


def list_groups(call: Call) -> Response:
    """Groups; `parent_id=null` is taken for an id, as a live client saw."""
    if call.query.get("parent_id") == "null":
        raise not_found()
    return call.page([_shown(call, row) for row in call.matching("groups", "parent_id")])


def get_group(call: Call) -> Response:
    """One group with its custom fields."""
    return reply(_shown(call, call.found("groups"), custom_fields=True))


def _wish(call: Call, *known: str) -> JsonObject:
    wish = call.body()
    if unknown := set(wish) - set(known):
        raise Refused(400, f"Unknown parameter: {', '.join(sorted(unknown))}")
    if wish.get("parent_id") is not None and wish["parent_id"] not in call.world.tables["groups"]:
        raise not_found()
    return wish


def create_group(call: Call) -> Response:
    """A new group."""
    wish = _wish(call, "name", "parent_id")
    if not wish.get("name"):
        raise Refused(400, "Missing parameter: name")
    row = {"id": call.world.new_id("DeviceGroup"), **wish}
    call.world.tables["groups"][row["id"]] = row
    call.world.effects.record("create_group", row["id"], wish)
    return reply(_shown(call, row))


def edit_group(call: Call) -> Response:
    """Sets name, parent and custom fields."""
    row, wish = call.found("groups"), _wish(call, "name", "parent_id", "custom_fields")
    fields = {**row.get("custom_fields", {}), **wish.get("custom_fields", {})}
    row.update({**wish, "custom_fields": fields})
    call.world.effects.record("update_group", row["id"], wish)
    return reply(_shown(call, row, custom_fields=True))


def delete_group(call: Call) -> Response:
    """Removes a group."""
    row = call.found("groups")
    del call.world.tables["groups"][row["id"]]
    call.world.effects.record("delete_group", row["id"], {"name": row["name"]})
    return reply({})


def move_devices(call: Call) -> Response:
    """Puts devices into the group, or takes them out."""
    row, wanted = call.found("groups"), call.body().get("device_ids")
    if not isinstance(wanted, list):
        raise Refused(400, "Missing parameter: device_ids")
    for device in call.world.tables["devices"].values():
        if device["id"] in wanted:
            device["group_id"] = row["id"] if call.method == "POST" else None
    call.world.effects.record("move_devices", row["id"], {"device_ids": wanted, "method": call.method})
    return reply({"group": _shown(call, row)})


ROUTES: Routes = {
    ("GET", "groups"): list_groups,
    ("POST", "groups"): create_group,
    ("GET", "groups/*"): get_group,
    ("PATCH", "groups/*"): edit_group,
    ("DELETE", "groups/*"): delete_group,
    ("POST", "groups/*/devices"): move_devices,
    ("DELETE", "groups/*/devices"): move_devices,
}
