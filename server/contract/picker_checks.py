"""Defects of pickers: what they name must exist in the listing action and fit."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor, ServiceDescriptor

from server.contract.options import effect_of, module_options
from server.contract.parsing import parser_for
from server.contract.pickers import listing_of, picker_of, shared_pickers
from server.contract.problems import ContractError, Violation
from server.contract.scalars import INTEGER_RANGES
from server.contract.shapes import display_of, is_map, is_well_known, nested_messages, owner_of
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
    """Yields the defects of the module's list of pickers. What they hold is checked with the fields they are for."""
    pickers = module_options(service).pickers
    declared = Counter(name for picker in pickers for name in picker.fields)
    served = {path.rpartition(".")[2] for path in shared_pickers(service.file)}
    for picker in pickers:
        if not picker.fields:
            yield f"picker of `{picker.action}`: it is for no fields"
    for name, count in declared.items():
        if count > 1:
            yield f"{count} pickers are for fields named `{name}`"
        if name not in served:
            yield f"picker for `{name}`: no input of another action has such a field"


def picker_defects(service: ServiceDescriptor, descriptor: Descriptor) -> Iterator[str]:
    """Yields the defects of every picker in a message and the messages inside it."""
    for one in nested_messages(descriptor):
        for field in one.fields:
            picker = picker_of(field)
            if picker is not None:
                yield from (f"picker of {field.full_name}: {defect}" for defect in _defects(service, field, picker))


def _defects(service: ServiceDescriptor, field: FieldDescriptor, picker: options_pb2.Picker) -> Iterator[str]:
    own = display_of(field).picker
    if own.fields or own.label:
        yield f"{'fields' if own.fields else 'label'} is for pickers of the module"
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
    listing = listing_of(service, picker.action)
    if listing is None:
        yield f"action `{picker.action}` is not an action of the module"
        return
    if effect_of(listing) != options_pb2.EFFECT_CLASS_READ:
        yield f"action `{picker.action}` is not READ"
    yield from _path_defects(listing.output_type, field, picker)
    yield from _input_defects(listing.input_type, owner_of(field), picker)


def _path_defects(output: Descriptor, field: FieldDescriptor, picker: options_pb2.Picker) -> Iterator[str]:
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
        elif name == "value_path" and target is not None and target.cpp_type != field.cpp_type:
            yield f"value_path `{path}` is of another type than the field"


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
