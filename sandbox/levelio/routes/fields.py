"""Custom fields and their values."""

from starlette.responses import Response

from sandbox.control import JsonObject
from sandbox.levelio.routing import Routes
from sandbox.levelio.wire import Call, Refused, not_found, reply


def list_fields(call: Call) -> Response:
    """Custom fields."""
    return call.page(call.matching("custom_fields"))


def get_field(call: Call) -> Response:
    """One custom field."""
    return reply(call.found("custom_fields"))


def _wish(call: Call) -> JsonObject:
    return {name: value for name, value in call.body().items() if name in {"name", "admin_only"}}


def create_field(call: Call) -> Response:
    """A new custom field."""
    wish = _wish(call)
    if not wish.get("name"):
        raise Refused(400, "Missing parameter: name")
    reference = "cf_" + wish["name"].lower().replace(" ", "_")
    row = {"id": call.world.new_id("CustomField"), "reference": reference, "admin_only": False, **wish}
    call.world.tables["custom_fields"][row["id"]] = row
    call.world.effects.record("create_field", row["id"], wish)
    return reply(row)


def edit_field(call: Call) -> Response:
    """Sets name and who may see it."""
    row, wish = call.found("custom_fields"), _wish(call)
    row.update(wish)
    call.world.effects.record("update_field", row["id"], wish)
    return reply(row)


def delete_field(call: Call) -> Response:
    """Removes a custom field."""
    row = call.found("custom_fields")
    del call.world.tables["custom_fields"][row["id"]]
    call.world.effects.record("delete_field", row["id"], {"name": row["name"]})
    return reply({})


def _shown(call: Call, value: JsonObject) -> JsonObject:
    field = call.world.tables["custom_fields"].get(value["custom_field_id"], {})
    return {**value, "custom_field_name": field.get("name")}


def list_values(call: Call) -> Response:
    """Values of one device or group, or of the organisation; `custom_field_id` has no effect, as a live client saw."""
    wanted = call.query.get("assigned_to_id")
    return call.page([_shown(call, value) for value in call.world.values if value.get("assigned_to_id") == wanted])


def _addressed(call: Call) -> JsonObject:
    wish = call.body()
    if wish.get("custom_field_id") not in call.world.tables["custom_fields"]:
        raise not_found()
    return {"custom_field_id": wish["custom_field_id"], "assigned_to_id": wish.get("assigned_to_id")}


def _without(call: Call, address: JsonObject) -> list[JsonObject]:
    return [value for value in call.world.values if {**value, **address} != value]


def set_value(call: Call) -> Response:
    """Sets a value. One for a group is answered and not stored, as a live client saw, while the switch says so."""
    address = _addressed(call)
    value = {**address, "value": call.body().get("value")}
    lost = call.world.settings.group_values_are_lost and address["assigned_to_id"] in call.world.tables["groups"]
    if not lost:
        call.world.values = [*_without(call, address), value]
        call.world.effects.record("set_value", address["custom_field_id"], value)
    return reply(_shown(call, value))


def delete_value(call: Call) -> Response:
    """Removes a value."""
    address = _addressed(call)
    call.world.values = _without(call, address)
    call.world.effects.record("delete_value", address["custom_field_id"], address)
    return reply({})


ROUTES: Routes = {
    ("GET", "custom_fields"): list_fields,
    ("POST", "custom_fields"): create_field,
    ("GET", "custom_fields/*"): get_field,
    ("PATCH", "custom_fields/*"): edit_field,
    ("DELETE", "custom_fields/*"): delete_field,
    ("GET", "custom_field_values"): list_values,
    ("PATCH", "custom_field_values"): set_value,
    ("DELETE", "custom_field_values"): delete_value,
}
