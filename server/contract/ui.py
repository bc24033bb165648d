"""How a designer shows the fields of a message: titles, groups, order, widgets, visibility, pickers."""

import json
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from server.contract.comments import Comments
from server.contract.labels import field_label, thing_label
from server.contract.pickers import picker_of
from server.contract.shapes import display_of, is_secret, is_well_known, join, message_of
from server.gen.patchbay.v1 import options_pb2

_WIDGETS: Final = {
    options_pb2.WIDGET_MULTILINE: "multiline",
    options_pb2.WIDGET_CODE: "code",
}


def title_of(field: FieldDescriptor) -> str:
    """Returns the label of the field's control: the field's, its picker's, or one made from the field's name."""
    picker = picker_of(field)
    if picker is None:
        return display_of(field).label or field_label(field.name)
    return display_of(field).label or picker.label or thing_label(field.name)


def widget_of(field: FieldDescriptor) -> str:
    """Returns the form control's name, `secret` for what is secret; empty when the type decides."""
    return _WIDGETS.get(display_of(field).widget, "secret" if is_secret(field) else "")


def help_of(field: FieldDescriptor, comments: Comments) -> str:
    """Returns the short help under the control."""
    return display_of(field).help or comments.get(field.full_name, "")


def visible_when(field: FieldDescriptor) -> list[dict[str, Any]]:
    """Returns the conditions under which the control is shown; empty: always."""
    return [
        {"field": one.field, "equals": [json.loads(literal) for literal in one.equals_json]}
        for one in display_of(field).visible_when
    ]


def picker_json(picker: options_pb2.Picker) -> dict[str, Any]:
    """Returns a picker as JSON, what is empty left out."""
    printed: dict[str, Any] = {
        name: getattr(picker, name)
        for name in ("action", "items_path", "value_path", "label_path", "detail_path", "search_field")
        if getattr(picker, name)
    }
    if picker.limit_field:
        printed["limit_field"] = picker.limit_field
    if picker.depends_on:
        printed["depends_on"] = list(picker.depends_on)
    if picker.choices:
        printed["choices"] = [
            {"value": choice.value, "label": choice.label or choice.value} for choice in picker.choices
        ]
    if picker.fixed_input_json:
        printed["fixed_input"] = json.loads(picker.fixed_input_json)
    return printed


def ordered_fields(descriptor: Descriptor) -> list[FieldDescriptor]:
    """Returns the fields in the order of the form: by `order`, equal ones as in the proto."""
    return sorted(descriptor.fields, key=lambda field: display_of(field).order)


def ui_schema(descriptor: Descriptor, comments: Comments) -> dict[str, Any]:
    """Returns order, groups and controls of a message's form, keyed by field name."""
    return {
        field.name: _control(field, position, comments)
        for position, field in enumerate(ordered_fields(descriptor), start=1)
    }


def _control(field: FieldDescriptor, position: int, comments: Comments) -> dict[str, Any]:
    picker = picker_of(field)
    control = {
        "order": position,
        "label": title_of(field),
        "help": help_of(field, comments),
        "group": display_of(field).group,
        "widget": widget_of(field),
        "secret": is_secret(field),
        "visible_when": visible_when(field),
        "picker": picker_json(picker) if picker else None,
    }
    return {name: value for name, value in control.items() if value or name == "order"}


def pickers_of(
    descriptor: Descriptor, path: str = "", within: tuple[Descriptor, ...] = ()
) -> dict[str, options_pb2.Picker]:
    """Returns the pickers of a message by field path, those of nested messages included."""
    pickers: dict[str, options_pb2.Picker] = {}
    for field in ordered_fields(descriptor):
        place = join(path, field.name)
        picker = picker_of(field)
        if picker is not None:
            pickers[place] = picker
        target = message_of(field)
        if target is not None and not is_well_known(target) and target not in (*within, descriptor):
            pickers.update(pickers_of(target, place, (*within, descriptor)))
    return pickers
