"""Reads vendors' JSON. Vendors change types, leave things out and send nonsense: what does not fit is absent, no error.

`filled` is the usual way: the contract's message says what is wanted, the row has it under the same or another name.
"""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from server.sdk.http import HttpResponse

M = TypeVar("M", bound=Message)


def an_object(response: HttpResponse, within: str = "") -> dict[str, Any]:
    """Returns the object under that name when the answer has one there, else the answer itself.

    Raises:
        ActionFailure: VENDOR_ANSWER_INVALID for another kind of answer; OutcomeUnknown after a write.
    """
    body = response.json()
    found = body.get(within) if within and isinstance(body, dict) else None
    if isinstance(found, dict) or isinstance(body, dict):
        return found if isinstance(found, dict) else body
    raise response.invalid("The vendor answered something else than an object.")


def objects(response: HttpResponse, within: str = "") -> list[dict[str, Any]]:
    """Returns the list of objects under that name, or the answer itself when it is a list.

    Raises:
        ActionFailure: VENDOR_ANSWER_INVALID for another kind of answer; OutcomeUnknown after a write.
    """
    body = response.json()
    found = body.get(within) if within and isinstance(body, dict) else body
    if isinstance(found, list) and all(isinstance(row, dict) for row in found):
        return found
    raise response.invalid("The vendor answered something else than a list of objects.")


def inner(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Returns the object that a row has under that name, an empty one when it has none."""
    found = row.get(name)
    return found if isinstance(found, dict) else {}


def inner_rows(row: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Returns the objects of the list that a row has under that name."""
    found = row.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def text(value: Any) -> str | None:
    """Returns a text that is not empty, or a number as text, as ids often are."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value:
        return None
    return clean(value)


def clean(value: str) -> str:
    """Returns a text without what is no Unicode: JSON can carry half of a surrogate pair."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def whole(value: Any) -> int | None:
    """Returns a whole number; a float without fraction counts as one."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def number(value: Any) -> float | None:
    """Returns a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def flag(value: Any) -> bool | None:
    """Returns a truth value."""
    return value if isinstance(value, bool) else None


def moment(value: Any) -> datetime | None:
    """Returns a time: of an ISO 8601 text, UTC when it names no zone, or of seconds since 1970."""
    try:
        if isinstance(value, str):
            told = datetime.fromisoformat(value)
            return told.astimezone(UTC) if told.tzinfo else told.replace(tzinfo=UTC)
        seconds = number(value)
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def told_at(response: HttpResponse) -> datetime:
    """Returns the vendor's clock at an answer; ours when it does not say."""
    try:
        told = parsedate_to_datetime(response.headers["date"])
    except (KeyError, ValueError):
        return datetime.now(UTC)
    return told if told.tzinfo else told.replace(tzinfo=UTC)


def filled(kind: type[M], row: Mapping[str, Any], **known: Any) -> M:
    """Returns a message with every field that has a value of its type in `known`, else in `row`, by the field's name in
    snake_case or camelCase.

    Times may be texts, seconds or datetimes; texts may be numbers; objects fill nested messages; None and values of
    another type leave a field absent.
    """
    message = kind()
    field: Any
    for field in kind.DESCRIPTOR.fields:
        value = known[field.name] if field.name in known else row.get(field.name, row.get(field.json_name))
        if value is not None:
            _fill(message, field, value)
    return message


def _fill(message: Message, field: FieldDescriptor, value: Any) -> None:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return
    if field.is_repeated:
        items = value if isinstance(value, list | tuple) else ()
        read = [found for item in items if (found := _read(field, item)) is not None]
        getattr(message, field.name).extend(read)
    elif (found := _read(field, value)) is not None:
        if isinstance(found, Message):
            getattr(message, field.name).CopyFrom(found)
        else:
            setattr(message, field.name, found)


def _read(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None:
        return _read_message(GetMessageClass(field.message_type), value)
    known = field.cpp_type in _SCALARS and field.type != FieldDescriptor.TYPE_BYTES
    return _SCALARS[field.cpp_type](value) if known else None


def _read_message(kind: type[Message], value: Any) -> Message | None:
    if isinstance(value, kind):
        return value
    name = kind.DESCRIPTOR.full_name
    if name in _WELL_KNOWN:
        return _WELL_KNOWN[name](value)
    return filled(kind, value) if isinstance(value, Mapping) else None


def _timestamp(value: Any) -> Timestamp | None:
    time = value if isinstance(value, datetime) else moment(value)
    if time is None:
        return None
    made = Timestamp()
    made.FromDatetime(time)
    return made


def _duration(value: Any) -> Duration | None:
    if not isinstance(value, timedelta):
        return None
    made = Duration()
    made.FromTimedelta(value)
    return made


def _json(kind: type[M]) -> Callable[[Any], M | None]:
    def read(value: Any) -> M | None:
        try:
            return ParseDict(value, kind())
        except (ParseError, TypeError, ValueError):
            return None

    return read


def _bounded(low: int, high: int) -> Callable[[Any], int | None]:
    def read(value: Any) -> int | None:
        found = whole(value)
        return found if found is not None and low <= found < high else None

    return read


_SCALARS: Final[Mapping[int, Callable[[Any], Any]]] = {
    FieldDescriptor.CPPTYPE_STRING: text,
    FieldDescriptor.CPPTYPE_BOOL: flag,
    FieldDescriptor.CPPTYPE_DOUBLE: number,
    FieldDescriptor.CPPTYPE_FLOAT: number,
    FieldDescriptor.CPPTYPE_INT32: _bounded(-(2**31), 2**31),
    FieldDescriptor.CPPTYPE_UINT32: _bounded(0, 2**32),
    FieldDescriptor.CPPTYPE_INT64: _bounded(-(2**63), 2**63),
    FieldDescriptor.CPPTYPE_UINT64: _bounded(0, 2**64),
}
_WELL_KNOWN: Final[Mapping[str, Callable[[Any], Message | None]]] = {
    "google.protobuf.Timestamp": _timestamp,
    "google.protobuf.Duration": _duration,
    "google.protobuf.Struct": _json(Struct),
    "google.protobuf.Value": _json(Value),
}
