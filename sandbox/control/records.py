"""Typed records from JSON: what a seed file and a state change are checked with."""

import types
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from sandbox.control.simulator import JsonObject, StateError

_T = TypeVar("_T")


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _fits_plain(value: Any, wanted: Any) -> bool:
    if wanted is Any:
        return True
    if wanted is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if wanted is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, wanted)


def _fits(value: Any, wanted: Any) -> bool:
    origin, inner = get_origin(wanted), get_args(wanted)
    if origin is Literal:
        return value in inner
    if origin in {Union, types.UnionType}:
        return any(_fits(value, one) for one in inner)
    if origin is list:
        return isinstance(value, list) and all(_fits(item, inner[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(item, inner[1]) for item in value.values())
    return _fits_plain(value, wanted)


def _convert(value: Any, wanted: Any) -> Any:
    if is_dataclass(wanted) and isinstance(wanted, type) and isinstance(value, dict):
        return build(wanted, value)
    if get_origin(wanted) is list and isinstance(value, list):
        return [_convert(item, get_args(wanted)[0]) for item in value]
    return value


def checked(kind: type, given: JsonObject) -> JsonObject:
    """The given fields, nested records built.

    Raises:
        StateError: A field is unknown to `kind`, or its value has another type.
    """
    if not isinstance(given, dict):
        raise StateError(f"{kind.__name__} must be an object")
    known = {field.name for field in fields(kind)}
    values = {}
    for name, value in given.items():
        if name not in known:
            raise StateError(f"{kind.__name__} has no field {name!r}")
        wanted = _hints(kind)[name]
        values[name] = _convert(value, wanted)
        if not _fits(values[name], wanted):
            raise StateError(f"{kind.__name__}.{name} cannot be {value!r}")
    return values


def build(kind: type[_T], given: JsonObject) -> _T:
    """A record of a dataclass from a JSON object.

    Raises:
        StateError: As `checked`, or a required field is missing.
    """
    values = checked(kind, given)
    try:
        return kind(**values)
    except TypeError as error:
        raise StateError(str(error)) from None


def update(record: object, changes: JsonObject) -> None:
    """Set fields of a record from a JSON object, all or nothing. Raises `StateError`."""
    for name, value in checked(type(record), changes).items():
        setattr(record, name, value)
