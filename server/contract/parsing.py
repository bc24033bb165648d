"""Strict JSON to messages, by a parser compiled once per message type."""

import difflib
import json
from collections.abc import Iterable
from typing import Any, Final

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from server.contract import wellknown
from server.contract.problems import MAX_TOLD, ContractError, Violation
from server.contract.scalars import (
    BAD,
    INTEGER_RANGES,
    Converter,
    integer_converter,
    refuse,
    scalar_converter,
    to_text,
    wrong_type,
)
from server.contract.shapes import choices_of, entry_key, entry_value, is_map, is_well_known, join

MAX_NAME: Final = 100
MAX_DEPTH: Final = 30  # a Struct spends three of protobuf's hundred levels on each level of JSON


class MessageParser:
    """Parses JSON objects into one message type."""

    def __init__(self, descriptor: Descriptor) -> None:
        self._class = message_factory.GetMessageClass(descriptor)
        self._choices = [tuple(field.name for field in one.fields) for one in choices_of(descriptor)]
        self._fields: dict[str, Converter] = {}
        _PARSERS[descriptor] = self  # before the fields, which may lead back here
        self._fields.update((field.name, field_converter(field)) for field in descriptor.fields)

    def __call__(self, value: Any, path: str, errors: list[Violation]) -> Any:
        """Returns the message, without the members at fault, or `BAD` when the value is no object."""
        if type(value) is not dict:
            return wrong_type(errors, path, "an object", value)
        members: dict[str, Any] = {}
        for name, item in value.items():
            convert = self._fields.get(name)
            if convert is None:
                _unknown(name, self._fields, path, errors)
                continue
            converted = convert(item, join(path, name), errors)
            if converted is not BAD:
                members[name] = converted
        for names in self._choices:
            _one_of(names, value, members, path, errors)
        return self._class(**members)


_PARSERS: dict[Descriptor, MessageParser] = {}


def parser_for(descriptor: Descriptor) -> MessageParser:
    """Returns the parser of a message type, compiled at the first call."""
    return _PARSERS.get(descriptor) or MessageParser(descriptor)


def field_converter(field: FieldDescriptor) -> Converter:
    """Returns the converter of a whole field: single value, list or map."""
    if is_map(field):
        return _map_converter(field)
    single = _value_converter(field)
    return _list_converter(single) if field.is_repeated else single


def _value_converter(field: FieldDescriptor) -> Converter:
    if field.message_type is None:
        return scalar_converter(field)
    name = field.message_type.full_name
    if name in wellknown.WRAPPER_CLASSES:
        return _wrapper_converter(field.message_type)
    if name in wellknown.CONVERTERS:
        return wellknown.CONVERTERS[name]
    if is_well_known(field.message_type):
        raise ContractError(field.full_name, [f"{name} has no schema and cannot be used"])
    return parser_for(field.message_type)


def _wrapper_converter(descriptor: Descriptor) -> Converter:
    inner = scalar_converter(descriptor.fields_by_name["value"])
    wrapper = message_factory.GetMessageClass(descriptor)

    def convert(value: Any, path: str, errors: list[Violation]) -> Any:
        converted = inner(value, path, errors)
        return BAD if converted is BAD else wrapper(value=converted)

    return convert


def _list_converter(single: Converter) -> Converter:
    def convert(value: Any, path: str, errors: list[Violation]) -> Any:
        if type(value) is not list:
            return wrong_type(errors, path, "a list", value)
        before = len(errors)
        items = [single(item, f"{path}[{index}]", errors) for index, item in enumerate(value)]
        # A list with gaps would shift the indexes of what protovalidate says about the rest.
        return items if len(errors) == before else BAD

    return convert


def _map_converter(field: FieldDescriptor) -> Converter:
    key = _key_converter(entry_key(field))
    single = _value_converter(entry_value(field))

    def convert(value: Any, path: str, errors: list[Violation]) -> Any:
        if type(value) is not dict:
            return wrong_type(errors, path, "an object", value)
        members = {}
        for name, item in value.items():
            place = f"{path}[{json.dumps(name)}]"
            pair = key(name, place, errors), single(item, place, errors)
            if BAD not in pair:
                members[pair[0]] = pair[1]
        return members

    return convert


def _key_converter(key: FieldDescriptor) -> Converter:
    if key.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return to_text
    if key.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return _boolean_key
    low, high = INTEGER_RANGES[key.cpp_type]
    digits = integer_converter(FieldDescriptor.CPPTYPE_INT64 if low < 0 else FieldDescriptor.CPPTYPE_UINT64)

    def convert(value: Any, path: str, errors: list[Violation]) -> Any:
        number = digits(value, path, [])
        if number is BAD or not low <= number <= high:
            return refuse(errors, path, f"must have a decimal number from {low} to {high} as key", "json.key")
        return number

    return convert


def _boolean_key(value: Any, path: str, errors: list[Violation]) -> Any:
    if value in ("true", "false"):
        return value == "true"
    return refuse(errors, path, "must have true or false as key", "json.key")


def _unknown(name: Any, known: Iterable[str], path: str, errors: list[Violation]) -> None:
    shown = str(name)[:MAX_NAME]
    if len(errors) >= MAX_TOLD:  # it will only be counted; looking for similar names would cost
        errors.append(Violation(path, "unknown field", "json.unknown_field"))
        return
    near = difflib.get_close_matches(_snake(shown), known, n=1, cutoff=0.6)
    advice = f"did you mean `{near[0]}`?" if near else f"known are {', '.join(sorted(known)) or 'none'}"
    errors.append(Violation(join(path, shown), f"unknown field, {advice}", "json.unknown_field"))


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def _one_of(
    names: tuple[str, ...], value: dict[str, Any], members: dict[str, Any], path: str, errors: list[Violation]
) -> None:
    given = [name for name in names if name in value]
    if len(given) < 2:
        return
    listed = " and ".join(f"`{name}`" for name in given)
    for name in given[1:]:
        members.pop(name, None)
        errors.append(Violation(join(path, name), f"only one of {listed} may be set", "json.oneof"))


def too_deep(value: Any) -> bool:
    """Tells whether a JSON value is nested deeper than `MAX_DEPTH`."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            child
            for item in level
            if type(item) is dict or type(item) is list
            for child in (item.values() if type(item) is dict else item)
        ]
        if not level:
            return False
    return True
