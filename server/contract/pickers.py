"""Pickers as they hold: which fields a module's picker is for, and what a picker leaves to its listing action."""

from collections.abc import Iterator, Mapping
from functools import cache

import protovalidate
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor, MethodDescriptor, ServiceDescriptor

from server.contract.options import action_options, is_action, module_options
from server.contract.scalars import INTEGER_RANGES
from server.contract.shapes import display_of, is_map, nested_messages, owner_of
from server.contract.validation import required_fields
from server.gen.patchbay.v1 import options_pb2


@cache
def picker_of(field: FieldDescriptor) -> options_pb2.Picker | None:
    """Returns the field's own picker, or its module's for fields of this name, complete; None: free input."""
    display, file = display_of(field), owner_of(field).file
    declared = display.picker if display.HasField("picker") else shared_pickers(file).get(field.full_name)
    if declared is None:
        return None
    picker = options_pb2.Picker()
    picker.CopyFrom(declared)
    picker.ClearField("fields")
    for service in file.services_by_name.values():
        if listing := listing_of(service, picker.action):
            _complete(picker, listing, field)
    return picker


@cache
def shared_pickers(file: FileDescriptor) -> Mapping[str, options_pb2.Picker]:
    """Returns the modules' pickers by the full name of the input field that each is for. The inputs of the action that
    lists the choices are not among them."""
    return {
        message.fields_by_name[name].full_name: picker
        for service in file.services_by_name.values()
        for picker in module_options(service).pickers
        for message in _served(service, picker)
        for name in picker.fields
        if name in message.fields_by_name
    }


def listing_of(service: ServiceDescriptor, action: str) -> MethodDescriptor | None:
    """Returns the newest version of an action; None when the service has no such action."""
    found = [one for one in service.methods if is_action(one) and action_options(one).id == action]
    return max(found, key=lambda one: action_options(one).version, default=None)


def _served(service: ServiceDescriptor, picker: options_pb2.Picker) -> Iterator[Descriptor]:
    for method in service.methods:
        if action_options(method).id != picker.action:
            yield from nested_messages(method.input_type)


def _complete(picker: options_pb2.Picker, listing: MethodDescriptor, field: FieldDescriptor) -> None:
    inputs, output = listing.input_type, listing.output_type
    lists = [one for one in output.fields if one.is_repeated and one.message_type is not None and not is_map(one)]
    if len(lists) == 1:
        picker.items_path = picker.items_path or lists[0].name
        picker.search_field = picker.search_field or _search_of(inputs)
        picker.limit_field = picker.limit_field or _limit_of(inputs)
    items = output.fields_by_name.get(picker.items_path)
    if items is not None and items.message_type is not None and field.name in items.message_type.fields_by_name:
        picker.value_path = picker.value_path or field.name
    if not picker.depends_on:
        picker.depends_on.extend(one.name for one in owner_of(field).fields if one.name in _required(inputs))


def _search_of(inputs: Descriptor) -> str:
    field = inputs.fields_by_name.get("query")
    return field.name if field is not None and field.type == FieldDescriptor.TYPE_STRING else ""


def _limit_of(inputs: Descriptor) -> str:
    field = inputs.fields_by_name.get("limit")
    return field.name if field is not None and field.cpp_type in INTEGER_RANGES else ""


@cache
def _required(inputs: Descriptor) -> frozenset[str]:
    try:
        return required_fields(inputs)
    except protovalidate.CompilationError:
        return frozenset()  # told among the defects of that message
