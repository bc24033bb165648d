"""Defaults of fields with presence: `default_json` of the contract."""

import json
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from server.contract.parsing import field_converter
from server.contract.problems import ContractError, Violation
from server.contract.scalars import BAD
from server.contract.shapes import (
    display_of,
    is_map,
    is_well_known,
    message_of,
    nested_messages,
    type_of,
)


def default_of(field: FieldDescriptor) -> Any:
    """Returns the converted `default_json` of a field, or `BAD` when it has none.

    Raises:
        ContractError: The literal is no JSON, or not of the field's type.
    """
    literal = display_of(field).default_json
    if not literal:
        return BAD
    errors: list[Violation] = []
    try:
        converted = field_converter(field)(json.loads(literal), "", errors)
    except ValueError as error:
        raise ContractError(field.full_name, [f"default_json is no JSON: {error}"]) from None
    if errors:
        raise ContractError(field.full_name, [f"default_json {error.message}" for error in errors])
    return converted


def set_member(message: Message, field: FieldDescriptor, value: Any) -> None:
    """Sets a singular field to a converted value."""
    if field.message_type is None:
        setattr(message, field.name, value)
    else:
        getattr(message, field.name).CopyFrom(value)
        getattr(message, field.name).SetInParent()


def apply_defaults(message: Message) -> None:
    """Sets unset fields to their `default_json`, in place, also inside nested messages that are set."""
    descriptor = type_of(message)
    plan = _DEFAULTS.get(descriptor)
    if plan is None:
        plan = _DEFAULTS[descriptor] = _default_plan(descriptor)
    own, nested = plan
    for field, value in own:
        if not message.HasField(field.name):
            set_member(message, field, value)
    for field, children in nested:
        if not field.has_presence or message.HasField(field.name):
            for child in children(getattr(message, field.name)):
                apply_defaults(child)


_Own = list[tuple[FieldDescriptor, Any]]
_Nested = list[tuple[FieldDescriptor, Callable[[Any], Any]]]
_DEFAULTS: dict[Descriptor, tuple[_Own, _Nested]] = {}


def _default_plan(descriptor: Descriptor) -> tuple[_Own, _Nested]:
    defaults = [(field, default_of(field)) for field in descriptor.fields]
    own = [(field, value) for field, value in defaults if value is not BAD]
    nested: _Nested = []
    for field in descriptor.fields:
        target = message_of(field)
        if target is not None and not is_well_known(target) and _has_defaults(target):
            nested.append((field, _children(field)))
    return own, nested


def _has_defaults(descriptor: Descriptor) -> bool:
    return any(default_of(field) is not BAD for one in nested_messages(descriptor) for field in one.fields)


def _children(field: FieldDescriptor) -> Callable[[Any], Any]:
    if is_map(field):
        return lambda members: members.values()
    return (lambda items: items) if field.is_repeated else (lambda message: [message])
