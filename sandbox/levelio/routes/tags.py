"""Tags. Devices hold their names, the calls take their ids."""

from starlette.responses import Response

from sandbox.control import JsonObject
from sandbox.levelio.routing import Routes
from sandbox.levelio.wire import Call, Refused, reply


def _shown(call: Call, row: JsonObject) -> JsonObject:
    carried = [name for device in call.world.tables["devices"].values() for name in device.get("tags", [])]
    return {**row, "device_count": carried.count(row["name"])}


def list_tags(call: Call) -> Response:
    """Tags, all or those of one device."""
    rows = call.matching("tags")
    if device_id := call.query.get("device_id"):
        carried = call.world.tables["devices"].get(device_id, {}).get("tags", [])
        rows = [row for row in rows if row["name"] in carried]
    return call.page([_shown(call, row) for row in rows])


def get_tag(call: Call) -> Response:
    """One tag."""
    return reply(_shown(call, call.found("tags")))


def _name(call: Call) -> str:
    name = call.body().get("name")
    if not isinstance(name, str) or not name:
        raise Refused(400, "Missing parameter: name")
    return name


def create_tag(call: Call) -> Response:
    """A new tag."""
    row = {"id": call.world.new_id("Tag"), "name": _name(call)}
    call.world.tables["tags"][row["id"]] = row
    call.world.effects.record("create_tag", row["id"], {"name": row["name"]})
    return reply(_shown(call, row))


def rename_tag(call: Call) -> Response:
    """Renames the tag, on its devices too."""
    row, name = call.found("tags"), _name(call)
    for device in call.world.tables["devices"].values():
        device["tags"] = [name if one == row["name"] else one for one in device.get("tags", [])]
    row["name"] = name
    call.world.effects.record("update_tag", row["id"], {"name": name})
    return reply(_shown(call, row))


def delete_tag(call: Call) -> Response:
    """Removes the tag."""
    row = call.found("tags")
    del call.world.tables["tags"][row["id"]]
    call.world.effects.record("delete_tag", row["id"], {"name": row["name"]})
    return reply({})


def apply_tag(call: Call) -> Response:
    """Puts the tag on devices, or takes it off."""
    row, wanted = call.found("tags"), call.body().get("device_ids")
    if not isinstance(wanted, list):
        raise Refused(400, "Missing parameter: device_ids")
    for device in call.world.tables["devices"].values():
        if device["id"] in wanted:
            others = [name for name in device.get("tags", []) if name != row["name"]]
            device["tags"] = [*others, row["name"]] if call.method == "POST" else others
    call.world.effects.record("apply_tag", row["id"], {"device_ids": wanted, "method": call.method})
    return reply(_shown(call, row))


ROUTES: Routes = {
    ("GET", "tags"): list_tags,
    ("POST", "tags"): create_tag,
    ("GET", "tags/*"): get_tag,
    ("PATCH", "tags/*"): rename_tag,
    ("DELETE", "tags/*"): delete_tag,
    ("POST", "tags/*/devices"): apply_tag,
    ("DELETE", "tags/*/devices"): apply_tag,
}
