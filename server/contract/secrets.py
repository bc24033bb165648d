"""The secret values that a message holds."""

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from server.contract.printing import printer_for, value_printer
from server.contract.shapes import entry_value, is_map, is_secret, is_well_known, type_of


def secret_values(message: Message) -> frozenset[str]:
    """Returns every non-empty text and every number inside the message's secret fields, for masking.

    The parts of a value, such as what follows `=` in `NAME=value`, are the caller's to add.
    """
    return frozenset(text for text in _values(message) if text)


def _values(message: Message) -> Iterator[str]:
    for field, value in message.ListFields():
        if is_secret(field):
            yield from _texts(_printed(field, value))
        elif field.message_type is not None and not is_well_known(field.message_type):
            for child in _children(field, value):
                yield from _values(child)


def _children(field: FieldDescriptor, value: Any) -> Iterator[Message]:
    if not is_map(field):
        yield from value if field.is_repeated else [value]
    elif entry_value(field).message_type is not None:
        yield from value.values()


def _printed(field: FieldDescriptor, value: Any) -> Any:
    if is_map(field):
        single = value_printer(entry_value(field))
        return [single(item) for item in value.values()]
    single = value_printer(field)
    return [single(item) for item in value] if field.is_repeated else single(value)


def _texts(printed: Any) -> Iterator[str]:
    if isinstance(printed, dict):
        for item in printed.values():
            yield from _texts(item)
    elif isinstance(printed, list):
        for item in printed:
            yield from _texts(item)
    elif printed is not None and not isinstance(printed, bool):
        yield str(printed)


def masked_json(message: Message) -> dict[str, Any]:
    """Returns the JSON of a message with every set secret field as `***`, each element of lists and maps."""
    masked: dict[str, Any] = printer_for(type_of(message), masked=True)(message)
    return masked
