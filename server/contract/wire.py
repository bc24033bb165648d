"""Serialized messages held to what their JSON form could have said."""

import math
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from server.contract.printing import print_key, printer_for
from server.contract.problems import Violation
from server.contract.shapes import entry_value, is_map, join, type_of


def strangeness(message: Message, path: str = "") -> Iterator[Violation]:
    """Yields what a parsed binary message holds although no JSON payload could, at every depth.

    That is: unknown fields, unnamed enum numbers, numbers that are not finite, times out of range, values
    without a kind.
    """
    unknown = UnknownFieldSet(message)
    for index in range(len(unknown)):
        yield Violation(path, f"unknown field number {unknown[index].field_number}", "wire.unknown_field")
    for field, value in message.ListFields():
        place = join(path, field.name)
        for item_place, kind, item in _items(field, value, place):
            yield from _item(kind, item, item_place)


def _items(field: FieldDescriptor, value: Any, place: str) -> Iterator[tuple[str, FieldDescriptor, Any]]:
    if is_map(field):
        kind = entry_value(field)
        for key in value:
            name = f'"{key}"' if isinstance(key, str) else print_key(key)
            yield f"{place}[{name}]", kind, value[key]
    elif field.is_repeated:
        for index, item in enumerate(value):
            yield f"{place}[{index}]", field, item
    else:
        yield place, field, value


def _item(field: FieldDescriptor, value: Any, place: str) -> Iterator[Violation]:
    if field.message_type is not None:
        yield from _message(value, place)
    elif field.enum_type is not None:
        if value not in field.enum_type.values_by_number:
            yield Violation(place, f"{value} is no value of {field.enum_type.full_name}", "wire.enum")
    elif isinstance(value, float) and not math.isfinite(value):
        yield Violation(place, "must be a finite number", "wire.finite")


def _message(message: Message, place: str) -> Iterator[Violation]:
    name = message.DESCRIPTOR.full_name
    if name in ("google.protobuf.Timestamp", "google.protobuf.Duration"):
        try:
            printer_for(type_of(message))(message)
        except ValueError:
            yield Violation(place, "is out of the range of its type", "wire.range")
    elif name == "google.protobuf.Value" and message.WhichOneof("kind") is None:
        yield Violation(place, "has no value at all", "wire.value")
    yield from strangeness(message, place)
