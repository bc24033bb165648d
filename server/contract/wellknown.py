"""The JSON form of well-known types, both ways.

Timestamps are RFC 3339 with an upper-case `T` and `Z` or an offset; durations are decimal seconds with an
`s`, at most eleven digits before the point; field masks are comma-separated paths in the proto's own names.
"""

import re
from calendar import timegm
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from google.protobuf import (
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.message import Message

from server.contract.problems import Violation
from server.contract.scalars import BAD, Converter, refuse, to_double, to_text, wrong_type
from server.contract.shapes import join

_TIMESTAMP: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])"
    r"(?:\.([0-9]{1,9}))?(?:Z|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))"
)
_DURATION: Final = re.compile(r"(-?)(0|[1-9][0-9]{0,10})(?:\.([0-9]{1,9}))?s")
_PATH: Final = r"[a-z0-9_]+(?:\.[a-z0-9_]+)*"
MASK_PATTERN: Final = f"(?:{_PATH}(?:,{_PATH})*)?"
_MASK: Final = re.compile(MASK_PATTERN)
_TIMESTAMP_WANTED: Final = "a time such as 2026-01-31T12:00:00Z or 2026-01-31T14:00:00.5+02:00"
_DURATION_WANTED: Final = "a duration in seconds such as 90s or 1.5s"
_MASK_WANTED: Final = "field paths separated by commas, such as name,settings.url"


def to_timestamp(value: Any, path: str, errors: list[Violation]) -> Any:
    """Converts a Timestamp. In the years 0001 and 9999 only `Z` is accepted: an offset could go beyond."""
    if type(value) is not str:
        return wrong_type(errors, path, _TIMESTAMP_WANTED, value)
    found = _TIMESTAMP.fullmatch(value)
    if found is None or (found[3] and found[1][:4] in ("0001", "9999")):
        return refuse(errors, path, f"must be {_TIMESTAMP_WANTED}", "json.format")
    try:
        seconds = timegm(datetime.fromisoformat(found[1]).timetuple())
    except ValueError:
        return refuse(errors, path, f"must be {_TIMESTAMP_WANTED}, with a date that exists", "json.format")
    if found[3]:
        offset = int(found[4]) * 3600 + int(found[5]) * 60
        seconds += -offset if found[3] == "+" else offset
    return timestamp_pb2.Timestamp(seconds=seconds, nanos=_nanos(found[2]))


def to_duration(value: Any, path: str, errors: list[Violation]) -> Any:
    """Converts a Duration. Minus zero is not accepted."""
    if type(value) is not str:
        return wrong_type(errors, path, _DURATION_WANTED, value)
    found = _DURATION.fullmatch(value)
    seconds, nanos = (int(found[2]), _nanos(found[3])) if found else (0, 0)
    if found is None or (found[1] and not seconds and not nanos):
        return refuse(errors, path, f"must be {_DURATION_WANTED}", "json.format")
    sign = -1 if found[1] else 1
    return duration_pb2.Duration(seconds=sign * seconds, nanos=sign * nanos)


def _nanos(digits: str | None) -> int:
    return int(digits.ljust(9, "0")) if digits else 0


def to_field_mask(value: Any, path: str, errors: list[Violation]) -> Any:
    """Converts a FieldMask."""
    if type(value) is not str:
        return wrong_type(errors, path, _MASK_WANTED, value)
    if not _MASK.fullmatch(value):
        return refuse(errors, path, f"must be {_MASK_WANTED}", "json.format")
    return field_mask_pb2.FieldMask(paths=value.split(",") if value else [])


def to_struct(value: Any, path: str, errors: list[Violation]) -> Any:
    """Converts an object of any content."""
    if type(value) is not dict:
        return wrong_type(errors, path, "an object", value)
    fields = {}
    for name, item in value.items():
        if to_text(name, join(path, name), errors) is not BAD:
            converted = to_value(item, join(path, name), errors)
            if converted is not BAD:
                fields[name] = converted
    return struct_pb2.Struct(fields=fields)


def to_list_value(value: Any, path: str, errors: list[Violation]) -> Any:
    """Converts a list of any content."""
    if type(value) is not list:
        return wrong_type(errors, path, "a list", value)
    items = [to_value(item, f"{path}[{index}]", errors) for index, item in enumerate(value)]
    return struct_pb2.ListValue(values=[item for item in items if item is not BAD])


def to_value(value: Any, path: str, errors: list[Violation]) -> Any:
    """Converts any JSON value. Numbers are doubles and finite."""
    if value is None:
        return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
    name, convert = _VALUE_KINDS.get(type(value), ("", to_double))
    converted = convert(value, path, errors)
    return BAD if converted is BAD else struct_pb2.Value(**{name or "number_value": converted})


def to_empty(value: Any, path: str, errors: list[Violation]) -> Any:
    """Converts an object without members."""
    if type(value) is not dict or value:
        return wrong_type(errors, path, "an empty object", value)
    return empty_pb2.Empty()


def _boolean(value: Any, _path: str, _errors: list[Violation]) -> Any:
    return value


_VALUE_KINDS: Final[dict[type, tuple[str, Converter]]] = {
    bool: ("bool_value", _boolean),
    str: ("string_value", to_text),
    dict: ("struct_value", to_struct),
    list: ("list_value", to_list_value),
}

CONVERTERS: Final[dict[str, Converter]] = {
    "google.protobuf.Timestamp": to_timestamp,
    "google.protobuf.Duration": to_duration,
    "google.protobuf.FieldMask": to_field_mask,
    "google.protobuf.Struct": to_struct,
    "google.protobuf.ListValue": to_list_value,
    "google.protobuf.Value": to_value,
    "google.protobuf.Empty": to_empty,
}


def struct_to_python(struct: struct_pb2.Struct, path: str, errors: list[Violation]) -> dict[str, Any]:
    """Returns the JSON object that a Struct stands for; adds a violation for each value without a kind."""
    return {name: value_to_python(value, join(path, name), errors) for name, value in struct.fields.items()}


def value_to_python(value: struct_pb2.Value, path: str, errors: list[Violation]) -> Any:
    """Returns the JSON value that a Value stands for."""
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return struct_to_python(value.struct_value, path, errors)
    if kind == "list_value":
        items = value.list_value.values
        return [value_to_python(item, f"{path}[{index}]", errors) for index, item in enumerate(items)]
    if kind == "null_value":
        return None
    return refuse(errors, path, "has no value at all", "json.type") if kind is None else getattr(value, kind)


def fill_struct(struct: struct_pb2.Struct, value: Mapping[str, Any]) -> None:
    """Puts the members of a JSON object, as printed or stored, into a Struct, without making messages for them."""
    struct.SetInParent()
    fields = struct.fields
    for name, item in value.items():
        _fill_value(fields[name], item)


def _fill_value(target: struct_pb2.Value, item: Any) -> None:
    if isinstance(item, str):
        target.string_value = item
    elif isinstance(item, Mapping):
        fill_struct(target.struct_value, item)
    elif isinstance(item, list):
        target.list_value.SetInParent()
        for one in item:
            _fill_value(target.list_value.values.add(), one)
    elif isinstance(item, bool):
        target.bool_value = item
    elif item is None:
        target.null_value = struct_pb2.NULL_VALUE
    else:
        target.number_value = item + 0.0  # -0 becomes 0


def print_value(value: struct_pb2.Value) -> Any:
    """Returns the JSON of a Value. Whole numbers are printed without a point."""
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return print_struct(value.struct_value)
    if kind == "list_value":
        return [print_value(item) for item in value.list_value.values]
    if kind == "number_value":
        return print_number(value.number_value)
    return None if kind in (None, "null_value") else getattr(value, kind)


def print_struct(struct: struct_pb2.Struct) -> dict[str, Any]:
    """Returns the JSON object of a Struct, names sorted."""
    return {name: print_value(struct.fields[name]) for name in sorted(struct.fields)}


def print_number(number: float) -> float | int:
    """Returns a finite number, whole ones as int while that is exact.

    Raises:
        ValueError: It is not finite.
    """
    if number - number != 0.0:
        raise ValueError("a number is not finite, JSON cannot express it")
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _print_duration(duration: duration_pb2.Duration) -> str:
    printed = duration.ToJsonString()
    if not _DURATION.fullmatch(printed):
        raise ValueError("a duration is longer than eleven digits of seconds")
    return printed


def _print_list(values: struct_pb2.ListValue) -> list[Any]:
    return [print_value(item) for item in values.values]


def _print_empty(_empty: Message) -> dict[str, Any]:
    return {}


def _print_timestamp(timestamp: timestamp_pb2.Timestamp) -> str:
    return timestamp.ToJsonString()


def _print_mask(mask: field_mask_pb2.FieldMask) -> str:
    return ",".join(mask.paths)


PRINTERS: Final[dict[str, Callable[[Any], Any]]] = {
    "google.protobuf.Timestamp": _print_timestamp,
    "google.protobuf.Duration": _print_duration,
    "google.protobuf.FieldMask": _print_mask,
    "google.protobuf.Struct": print_struct,
    "google.protobuf.ListValue": _print_list,
    "google.protobuf.Value": print_value,
    "google.protobuf.Empty": _print_empty,
}

WRAPPER_CLASSES: Final[dict[str, type[Message]]] = {
    descriptor.full_name: getattr(wrappers_pb2, name)
    for name, descriptor in wrappers_pb2.DESCRIPTOR.message_types_by_name.items()
}
