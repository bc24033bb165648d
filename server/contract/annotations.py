"""Keywords that tell designers how to show a field; they do not change what is valid.

`x-workflow-*` are the names that the designer of the PSA reads already; `x-patchbay-*` say everything.
"""

import json
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from server import validate_descriptor
from server.contract import ui
from server.contract.comments import Comments
from server.contract.pickers import picker_of
from server.contract.rules import Json
from server.contract.shapes import display_of, is_secret
from server.gen.patchbay.v1 import options_pb2

NO_MESSAGE_RULES: Final[Any] = validate_descriptor.MessageRules()


def ordered(descriptor: Descriptor) -> list[FieldDescriptor]:
    """Returns the fields in the order of the form."""
    return ui.ordered_fields(descriptor)


def of(field: FieldDescriptor, comments: Comments) -> Json:
    """Returns the annotations of a field."""
    display = display_of(field)
    found: Json = {"title": ui.title_of(field)}
    if text := comments.get(field.full_name):
        found["description"] = text
    if display.default_json:
        found["default"] = json.loads(display.default_json)
    if field.GetOptions().deprecated:
        found["deprecated"] = True
    if is_secret(field):
        found["writeOnly"] = True
    return {**found, **_display(field, display), **_picker(field)}


def _display(field: FieldDescriptor, display: options_pb2.FieldDisplay) -> Json:
    found = {
        "x-patchbay-help": display.help,
        "x-patchbay-group": display.group,
        "x-patchbay-order": display.order,
        "x-patchbay-widget": ui.widget_of(field),
        "x-patchbay-visible-when": ui.visible_when(field),
    }
    found = {name: value for name, value in found.items() if value}
    if display.widget in (options_pb2.WIDGET_MULTILINE, options_pb2.WIDGET_CODE):
        editor = {"kind": "text", "inline": {"mode": "textarea"}, "dialog": {"mode": "large-text"}}
        found["x-workflow-editor"] = editor
    return found


def _picker(field: FieldDescriptor) -> Json:
    picker = picker_of(field)
    if picker is None:
        return {}
    found: Json = {"x-patchbay-picker": ui.picker_json(picker)}
    if picker.choices:
        curated = {"curatedValues": [one.value for one in picker.choices], "allowCustomValue": True}
        return {**found, "x-workflow-editor": {"kind": "text", "softEnum": curated}}
    editor = {
        "kind": "picker",
        "inline": {"mode": "picker-summary"},
        "dependencies": list(picker.depends_on),
        "allowsDynamicReference": True,
        "picker": {"resource": picker.action},
    }
    return {
        **found,
        "x-workflow-picker-kind": picker.action,
        "x-workflow-picker-dependencies": list(picker.depends_on),
        "x-workflow-editor": editor,
    }
