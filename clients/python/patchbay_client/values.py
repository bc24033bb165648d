"""JSON values to protobuf's Struct and back, and messages as plain JSON."""

import base64
import dataclasses
import datetime as dt
import math
from collections.abc import Mapping
from typing import Any, cast

from betterproto2 import Enum, Message

from patchbay_client.errors import InputNotJson
from patchbay_client.gen.google.protobuf import ListValue, NullValue, Struct, Value
from patchbay_client.gen.patchbay import v1

_EXACT = 2**53
_DEPTH = 90


def to_struct(value: Mapping[str, Any]) -> Struct:
    """Returns a JSON object as a Struct.

    Raises:
        InputNotJson: Something in it has no JSON form, is a whole number that a double cannot hold exactly
            (send it as a string), or is nested deeper than 90 levels. The error names the path.
    """
    return _struct(value, "", 0)


def from_struct(value: Struct) -> dict[str, Any]:
    """Returns a Struct as a JSON object; whole numbers as int, since a Struct does not tell 3 from 3.0."""
    return {key: _plain(item) for key, item in value.fields.items()}


def to_json(message: Message) -> dict[str, Any]:
    """Returns a message as a JSON object with the proto's field names; unset message fields are null.

    A payload stands there as the plain object it carries, or as base64 of a typed message.
    """
    return {item.name: _json(getattr(message, item.name)) for item in _fields(message)}


def _struct(value: Mapping[str, Any], path: str, depth: int) -> Struct:
    if depth > _DEPTH:
        raise InputNotJson(path, f"is nested deeper than {_DEPTH} levels")
    fields = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise InputNotJson(path, f"has the key {key!r}, which is not a string")
        fields[key] = _value(item, f"{path}.{key}" if path else key, depth + 1)
    return Struct(fields=fields)


def _value(value: Any, path: str, depth: int) -> Value:
    match value:
        case None:
            return Value(null_value=NullValue.NULL_VALUE)
        case bool():
            return Value(bool_value=value)
        case int() | float():
            return Value(number_value=_number(value, path))
        case str():
            return Value(string_value=value)
        case Mapping():
            return Value(struct_value=_struct(value, path, depth))
        case list() | tuple():
            return _list(value, path, depth)
    raise InputNotJson(path, f"is a {type(value).__name__}, which has no JSON form")


def _list(value: list[Any] | tuple[Any, ...], path: str, depth: int) -> Value:
    if depth > _DEPTH:
        raise InputNotJson(path, f"is nested deeper than {_DEPTH} levels")
    items = [_value(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
    return Value(list_value=ListValue(values=items))


def _number(value: float, path: str) -> float:
    if isinstance(value, int) and abs(value) > _EXACT:
        raise InputNotJson(path, "is a whole number beyond 2^53, which must be sent as a string")
    if not math.isfinite(value):
        raise InputNotJson(path, "is not a finite number")
    return float(value)


def _plain(value: Value) -> Any:
    if value.struct_value is not None:
        return from_struct(value.struct_value)
    if value.list_value is not None:
        return [_plain(item) for item in value.list_value.values]
    if value.number_value is not None:
        return _whole(value.number_value)
    return value.bool_value if value.bool_value is not None else value.string_value


def _whole(number: float) -> float:
    return int(number) if number.is_integer() and abs(number) <= _EXACT else number


def _fields(message: Message) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(cast("Any", message))  # every generated message is a dataclass


def _json(value: Any) -> Any:
    match value:
        case Struct():
            return from_struct(value)
        case Value():
            return _plain(value)
        case Message():
            return _json(payload_value(value)) if isinstance(value, v1.Payload) else to_json(value)
        case list():
            return [_json(item) for item in value]
        case dict():
            return {str(key): _json(item) for key, item in value.items()}
    return _scalar(value)


def _scalar(value: Any) -> Any:
    """Writes enums, times, spans and bytes as protobuf's JSON mapping does."""
    match value:
        case Enum():
            return getattr(value, "proto_name", None) or int(value)  # a newer server's value has no name here
        case dt.datetime():
            return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
        case dt.timedelta():
            return f"{value.total_seconds():f}".rstrip("0").rstrip(".") + "s"
        case bytes():
            return base64.b64encode(value).decode()
    return value


def payload_value(payload: v1.Payload | None) -> dict[str, Any] | bytes | None:
    """Returns what a payload carries: a JSON object, the bytes of a typed message, or nothing."""
    if payload is None:
        return None
    return from_struct(payload.json) if payload.json is not None else payload.proto
