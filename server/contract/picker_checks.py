"""Defects of pickers: what they name must exist in the listing action and fit."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor, ServiceDescriptor

from server.contract.options import action_options, effect_of, is_action, module_options
from server.contract.parsing import parser_for
from server.contract.problems import ContractError, Violation
from server.contract.scalars import INTEGER_RANGES
from server.contract.shapes import (
    declared_display,
    display_of,
    is_map,
    is_well_known,
    named_picker,
    nested_messages,
    owner_of,
)
from server.gen.patchbay.v1 import options_pb2

_LISTING_PARTS: Final = (
    "items_path",
    "value_path",
    "label_path",
    "detail_path",
    "search_field",
    "limit_field",
    "fixed_input_json",
)


def shared_picker_defects(service: ServiceDescriptor) -> Iterator[str]:
    """Yields the defects of the module's list of pickers. What they hold is checked with the fields that name them."""
    modules = map(module_options, service.file.services_by_name.values())
    declared = Counter(picker.name for module in modules for picker in module.pickers)
    messages = service.file.message_types_by_name.values()
    fields = [field for message in messages for one in nested_messages(message) for field in one.fields]
    used = {declared_display(field).picker.name for field in fields}
    for name in dict.fromkeys(picker.name for picker in module_options(service).pickers):
        if not name or declared[name] > 1:
            yield f"picker `{name}` needs a name of its own"
        elif name not in used:
            yield f"picker `{name}` is named by no field"


def picker_defects(service: ServiceDescriptor, descriptor: Descriptor) -> Iterator[str]:
    """Yields the defects of every picker in a message and the messages inside it."""
    for one in nested_messages(descriptor):
        for field in one.fields:
            if display_of(field).HasField("picker"):
                yield from (f"picker of {field.full_name}: {defect}" for defect in _defects(service, field))


def _defects(service: ServiceDescriptor, field: FieldDescriptor) -> Iterator[str]:
    declared, picker = declared_display(field).picker, display_of(field).picker
    if declared.name and named_picker(field) is None:
        yield f"no module of {owner_of(field).file.name} declares a picker `{declared.name}`"
    elif declared.name and declared != options_pb2.Picker(name=declared.name):
        yield f"the name `{declared.name}` stands alone; the rest is the module's to say"
    elif declared.label:
        yield "label is for pickers of the module"
    elif bool(picker.action) == bool(picker.choices):
        yield "it needs either an action or choices"
    elif picker.choices:
        yield from _choice_defects(picker)
    else:
        yield from _listing_defects(service, field, picker)


def _choice_defects(picker: options_pb2.Picker) -> Iterator[str]:
    values = [choice.value for choice in picker.choices]
    if len(set(values)) != len(values):
        yield "two choices have the same value"
    for name in (*_LISTING_PARTS, "depends_on"):
        if getattr(picker, name):
            yield f"{name} needs an action"


def _listing_defects(service: ServiceDescriptor, field: FieldDescriptor, picker: options_pb2.Picker) -> Iterator[str]:
    listing = _newest(service, picker.action)
    if listing is None:
        yield f"action `{picker.action}` is not an action of the module"
        return
    if effect_of(listing) != options_pb2.EFFECT_CLASS_READ:
        yield f"action `{picker.action}` is not READ"
    yield from _path_defects(listing.output_type, picker)
    yield from _input_defects(listing.input_type, owner_of(field), picker)


def _newest(service: ServiceDescriptor, action: str) -> MethodDescriptor | None:
    found = [one for one in service.methods if is_action(one) and action_options(one).id == action]
    return max(found, key=lambda one: action_options(one).version, default=None)


def _path_defects(output: Descriptor, picker: options_pb2.Picker) -> Iterator[str]:
    items = _resolve(output, picker.items_path)
    if items is None or not items.is_repeated or is_map(items):
        yield f"items_path `{picker.items_path}` is no list in {output.full_name}"
        return
    item = items.message_type
    if item is None:
        if picker.value_path or picker.label_path or picker.detail_path:
            yield "items of a list of plain values have no paths inside"
        return
    for name, path in (("value_path", picker.value_path), ("label_path", picker.label_path)):
        if not path:
            yield f"{name} is missing"
    for name in ("value_path", "label_path", "detail_path"):
        path = getattr(picker, name)
        target = _resolve(item, path) if path else None
        if path and (target is None or target.is_repeated or target.message_type is not None):
            yield f"{name} `{path}` is no plain value in {item.full_name}"


def _resolve(descriptor: Descriptor, path: str) -> FieldDescriptor | None:
    field: FieldDescriptor | None = None
    for name in path.split("."):
        if field is not None:
            inner = field.message_type
            if inner is None or field.is_repeated or is_well_known(inner):
                return None
            descriptor = inner
        field = descriptor.fields_by_name.get(name)
        if field is None:
            return None
    return field


def _input_defects(inputs: Descriptor, own: Descriptor, picker: options_pb2.Picker) -> Iterator[str]:
    search = inputs.fields_by_name.get(picker.search_field)
    if picker.search_field and (search is None or search.type != FieldDescriptor.TYPE_STRING):
        yield f"search_field `{picker.search_field}` is no text input of `{picker.action}`"
    limit = inputs.fields_by_name.get(picker.limit_field)
    if picker.limit_field and (limit is None or limit.cpp_type not in INTEGER_RANGES):
        yield f"limit_field `{picker.limit_field}` is no integer input of `{picker.action}`"
    for name in picker.depends_on:
        if name not in own.fields_by_name:
            yield f"depends_on `{name}` is no field of {own.full_name}"
        if name not in inputs.fields_by_name:
            yield f"depends_on `{name}` is no input of `{picker.action}`"
    if picker.fixed_input_json:
        yield from _fixed_defects(inputs, picker.fixed_input_json)


def _fixed_defects(inputs: Descriptor, literal: str) -> Iterator[str]:
    errors: list[Violation] = []
    try:
        parser_for(inputs)(json.loads(literal), "", errors)
    except ValueError as error:
        yield f"fixed_input_json is no JSON: {error}"
    except ContractError as error:
        yield from error.defects
    yield from (f"fixed_input_json {error.field}: {error.message}" for error in errors)
