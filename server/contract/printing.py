"""Messages to JSON, plainly or with secrets masked, by a printer compiled once per message type.

Fields without presence are always printed, zero values too; fields with presence when they are set.
"""

import base64
import struct
from collections.abc import Callable
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from server.contract import wellknown
from server.contract.scalars import FLOAT_MAX
from server.contract.shapes import entry_value, is_map, is_secret

MASK: Final = "***"
Printer = Callable[[Any], Any]


class MessagePrinter:
    """Prints messages of one type, with secrets shown or masked."""

    def __init__(self, descriptor: Descriptor, *, masked: bool) -> None:
        _PRINTERS[descriptor, masked] = self
        self._always: list[tuple[str, Printer]] = []
        self._present: list[tuple[str, Printer]] = []
        for field in descriptor.fields:
            chosen = self._present if field.has_presence else self._always
            chosen.append((field.name, _field_printer(field, masked=masked)))

    def __call__(self, message: Message) -> dict[str, Any]:
        """Returns the JSON object.

        Raises:
            ValueError: The message holds what JSON cannot express: a number that is not finite, an enum
                number without a name, a time out of range.
        """
        printed = {name: printer(getattr(message, name)) for name, printer in self._always}
        for name, printer in self._present:
            if message.HasField(name):
                printed[name] = printer(getattr(message, name))
        return printed


_PRINTERS: dict[tuple[Descriptor, bool], MessagePrinter] = {}


def printer_for(descriptor: Descriptor, *, masked: bool = False) -> Printer:
    """Returns the printer of a message type, compiled at the first call."""
    if descriptor.full_name in wellknown.PRINTERS:
        return wellknown.PRINTERS[descriptor.full_name]
    return _PRINTERS.get((descriptor, masked)) or MessagePrinter(descriptor, masked=masked)


def _field_printer(field: FieldDescriptor, *, masked: bool) -> Printer:
    hidden = masked and is_secret(field)
    if is_map(field):
        value_field = entry_value(field)
        single = _hide if hidden else value_printer(value_field, masked=masked)
        return _map_printer(single)
    single = value_printer(field, masked=masked)
    if field.is_repeated:
        return _list_printer(_hide if hidden else single)
    if not hidden:
        return single
    return _hide if field.has_presence else lambda value: _hide(value) if value else single(value)


def _hide(_value: Any) -> str:
    return MASK


def _list_printer(single: Printer) -> Printer:
    return lambda items: [single(item) for item in items]


def _map_printer(single: Printer) -> Printer:
    return lambda members: {print_key(key): single(members[key]) for key in sorted(members)}


def print_key(key: Any) -> str:
    """Returns the JSON name of a map key."""
    return str(key).lower() if type(key) is bool else str(key)


def value_printer(field: FieldDescriptor, *, masked: bool = False) -> Printer:
    """Returns the printer of one value of the field, without regard to repetition."""
    if field.message_type is not None:
        if field.message_type.full_name in wellknown.WRAPPER_CLASSES:
            inner = value_printer(field.message_type.fields_by_name["value"])
            return lambda wrapper: inner(wrapper.value)
        target = field.message_type
        # Looked up at each call, since a recursive type's printer is still being made.
        return lambda message: printer_for(target, masked=masked)(message)  # noqa: PLW0108 - see above
    if field.enum_type is not None:
        return _enum_printer(field.enum_type)
    return _BY_TYPE.get(field.type, _same)


def _enum_printer(enum: EnumDescriptor) -> Printer:
    if enum.full_name == "google.protobuf.NullValue":
        return lambda _number: None
    names = {number: value.name for number, value in enum.values_by_number.items()}

    def printer(number: int) -> str:
        if number not in names:
            raise ValueError(f"{number} is no value of {enum.full_name}")
        return names[number]

    return printer


def _same(value: Any) -> Any:
    return value


def _print_float(value: float) -> float | int:
    """Returns the shortest decimal that stands for the single-precision number."""
    for digits in (6, 7, 8):
        short = float(f"{value:.{digits}g}")
        if abs(short) <= FLOAT_MAX and _single(short) == value:
            return wellknown.print_number(short)
    return wellknown.print_number(value)


def _single(value: float) -> float:
    single: float = struct.unpack("f", struct.pack("f", value))[0]
    return single


def _print_bytes(data: bytes) -> str:
    return base64.b64encode(data).decode()


_BY_TYPE: Final[dict[int, Printer]] = {
    FieldDescriptor.TYPE_FLOAT: _print_float,
    FieldDescriptor.TYPE_DOUBLE: wellknown.print_number,
    FieldDescriptor.TYPE_BYTES: _print_bytes,
    FieldDescriptor.TYPE_INT64: str,
    FieldDescriptor.TYPE_UINT64: str,
    FieldDescriptor.TYPE_SINT64: str,
    FieldDescriptor.TYPE_FIXED64: str,
    FieldDescriptor.TYPE_SFIXED64: str,
}
