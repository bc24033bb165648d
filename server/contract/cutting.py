"""Cutting long texts to the length that the contract keeps."""

from collections.abc import Iterator
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from server.contract.printing import print_key
from server.contract.shapes import (
    display_of,
    is_map,
    is_well_known,
    join,
    message_of,
    nested_messages,
    type_of,
)

MARKER_ROOM: Final = 64  # bytes; the marker with two twenty-digit numbers is shorter


def cut(message: Message) -> tuple[str, ...]:
    """Cuts texts longer than their `cut_bytes`, in place; what is left, marker included, is within the limit.

    Cuts fall between characters. The marker says how many bytes of how many were kept.

    Returns:
        The paths of the fields that were cut.
    """
    return tuple(_cut(message, ""))


def _cut(message: Message, path: str) -> Iterator[str]:
    for field in _plan(type_of(message)):
        limit = display_of(field).cut_bytes
        place = join(path, field.name)
        if not limit:
            for where, child in _children(field, getattr(message, field.name), message):
                yield from _cut(child, place + where)
        elif field.is_repeated:
            yield from _cut_items(getattr(message, field.name), limit, place)
        elif len(text := getattr(message, field.name)) * 4 > limit and len(text.encode()) > limit:
            setattr(message, field.name, shorten(text, limit))
            yield place


def _cut_items(items: Any, limit: int, place: str) -> Iterator[str]:
    for index, text in enumerate(items):
        if len(text.encode()) > limit:
            items[index] = shorten(text, limit)
            yield f"{place}[{index}]"


def _children(field: FieldDescriptor, value: Any, message: Message) -> Iterator[tuple[str, Message]]:
    if is_map(field):
        yield from ((f"[{print_key(key)}]", value[key]) for key in sorted(value))
    elif field.is_repeated:
        yield from ((f"[{index}]", item) for index, item in enumerate(value))
    elif message.HasField(field.name):
        yield "", value


def shorten(text: str, limit: int) -> str:
    """Returns the beginning of a text with a marker, at most `limit` bytes of UTF-8 in all."""
    data = text.encode()
    kept = data[: limit - MARKER_ROOM].decode(errors="ignore")
    return f"{kept}\n[cut: {len(kept.encode())} of {len(data)} bytes kept]"


_PLANS: dict[Descriptor, tuple[FieldDescriptor, ...]] = {}


def _plan(descriptor: Descriptor) -> tuple[FieldDescriptor, ...]:
    if descriptor not in _PLANS:
        _PLANS[descriptor] = tuple(field for field in descriptor.fields if _concerned(field))
    return _PLANS[descriptor]


def _concerned(field: FieldDescriptor) -> bool:
    target = message_of(field)
    if target is None or is_well_known(target):
        return display_of(field).cut_bytes > 0
    return any(display_of(inner).cut_bytes for one in nested_messages(target) for inner in one.fields)
