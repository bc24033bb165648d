"""The JSON form of scalars: one converter per type, strict, with a message that says what is allowed.

A converter takes a JSON value, its path and the list that collects violations; it returns the Python value
for the message, or `BAD` after having added a violation. Values never appear in messages: they may be secret.
"""

import base64
import binascii
import math
import re
import struct
from collections.abc import Callable
from typing import Any, Final

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

from server.contract.problems import Violation

Converter = Callable[[Any, str, list[Violation]], Any]

BAD: Final = object()
SAFE_INTEGER: Final = 2**53 - 1
FLOAT_MAX: Final = 3.4028234663852886e38
DOUBLE_MAX: Final = 1.7976931348623157e308
INTEGER_RANGES: Final = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_DIGITS: Final = re.compile(r"0|-?[1-9][0-9]{0,19}")
_BASE64: Final = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_KINDS: Final = {bool: "a boolean", str: "text", dict: "an object", list: "a list"}


def kind_of(value: Any) -> str:
    """Returns what a JSON value is, for people."""
    if value is None:
        return "null"
    return _KINDS.get(type(value), "a number")


def refuse(errors: list[Violation], path: str, message: str, rule: str) -> Any:
    """Adds a violation and returns `BAD`."""
    errors.append(Violation(path, message, rule))
    return BAD


def wrong_type(errors: list[Violation], path: str, wanted: str, value: Any) -> Any:
    """Adds the violation for a value of the wrong JSON type and returns `BAD`."""
    if value is None:
        return refuse(errors, path, f"must be {wanted}; leave the field out instead of null", "json.type")
    return refuse(errors, path, f"must be {wanted}, not {kind_of(value)}", "json.type")


def scalar_converter(field: FieldDescriptor) -> Converter:
    """Returns the converter for the field's scalar or enum type, without regard to repetition."""
    if field.enum_type is not None:
        return enum_converter(field.enum_type)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return to_bytes
    if field.cpp_type in INTEGER_RANGES:
        return integer_converter(field.cpp_type)
    return _SIMPLE[field.cpp_type]


def integer_converter(cpp_type: int) -> Converter:
    """Returns the converter for an integer type; 64-bit ones also take decimal text."""
    low, high = INTEGER_RANGES[cpp_type]
    if cpp_type in (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64):
        return _wide_integer(low, high)

    def convert(value: Any, path: str, errors: list[Violation]) -> Any:
        whole = _whole(value)
        if whole is None:
            return wrong_type(errors, path, f"a whole number from {low} to {high}", value)
        if low <= whole <= high:
            return whole
        return refuse(errors, path, f"must be a whole number from {low} to {high}", "json.range")

    return convert


def _wide_integer(low: int, high: int) -> Converter:
    safe_low = max(low, -SAFE_INTEGER)
    wanted = f"a whole number from {safe_low} to {SAFE_INTEGER}, or decimal text from {low} to {high}"

    def convert(value: Any, path: str, errors: list[Violation]) -> Any:
        if type(value) is str:
            if _DIGITS.fullmatch(value) and low <= int(value) <= high:
                return int(value)
            return refuse(errors, path, f"must be {wanted}", "json.range")
        whole = _whole(value)
        if whole is None:
            return wrong_type(errors, path, wanted, value)
        if safe_low <= whole <= SAFE_INTEGER:
            return whole
        return refuse(errors, path, f"must be {wanted}", "json.range")

    return convert


def _whole(value: Any) -> int | None:
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    return None


def to_boolean(value: Any, path: str, errors: list[Violation]) -> Any:
    """Converts a boolean: `true` or `false` only."""
    return value if type(value) is bool else wrong_type(errors, path, "true or false", value)


def to_text(value: Any, path: str, errors: list[Violation]) -> Any:
    """Converts text that UTF-8 can express."""
    if type(value) is not str:
        return wrong_type(errors, path, "text", value)
    try:
        value.encode()
    except UnicodeEncodeError:
        return refuse(errors, path, "must be Unicode text without unpaired surrogates", "json.format")
    return value


def to_double(value: Any, path: str, errors: list[Violation]) -> Any:
    """Converts a finite number; -0 becomes 0."""
    return _number(value, path, errors, DOUBLE_MAX)


def to_float(value: Any, path: str, errors: list[Violation]) -> Any:
    """Converts a finite number within single precision, rounded to it; -0 becomes 0."""
    number = _number(value, path, errors, FLOAT_MAX)
    return number if number is BAD else struct.unpack("f", struct.pack("f", number))[0] + 0.0


def _number(value: Any, path: str, errors: list[Violation], limit: float) -> Any:
    if type(value) is not int and type(value) is not float:
        return wrong_type(errors, path, "a number", value)
    if -limit <= value <= limit and math.isfinite(value):
        return float(value) + 0.0
    return refuse(errors, path, f"must be a finite number from -{limit} to {limit}", "json.range")


def to_bytes(value: Any, path: str, errors: list[Violation]) -> Any:
    """Converts bytes in base64: standard alphabet, padded, unused bits zero."""
    if type(value) is not str:
        return wrong_type(errors, path, "base64 text", value)
    if _BASE64.fullmatch(value):
        try:
            data = base64.b64decode(value, validate=True)
        except binascii.Error:
            data = b""
        if base64.b64encode(data).decode() == value:
            return data
    wanted = "must be base64: standard alphabet, padded with `=`, unused bits zero"
    return refuse(errors, path, wanted, "json.format")


def enum_converter(enum: EnumDescriptor) -> Converter:
    """Returns the converter for an enum: names only. `NullValue` is JSON's null."""
    if enum.full_name == "google.protobuf.NullValue":
        return _to_null
    numbers = {value.name: value.number for value in enum.values}
    shown = list(numbers)[:20] + (["..."] if len(numbers) > 20 else [])
    wanted = f"one of {', '.join(shown)}"

    def convert(value: Any, path: str, errors: list[Violation]) -> Any:
        if type(value) is not str:
            return wrong_type(errors, path, wanted, value)
        number = numbers.get(value)
        return refuse(errors, path, f"must be {wanted}", "json.enum") if number is None else number

    return convert


def _to_null(value: Any, path: str, errors: list[Violation]) -> Any:
    return 0 if value is None else wrong_type(errors, path, "null", value)


_SIMPLE: Final[dict[int, Converter]] = {
    FieldDescriptor.CPPTYPE_BOOL: to_boolean,
    FieldDescriptor.CPPTYPE_STRING: to_text,
    FieldDescriptor.CPPTYPE_DOUBLE: to_double,
    FieldDescriptor.CPPTYPE_FLOAT: to_float,
}
