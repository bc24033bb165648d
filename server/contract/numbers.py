"""JSON Schemas of numbers and spans under their rules."""

import struct
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor

from server.contract import formats
from server.contract.digits import NANO, duration, integers
from server.contract.intervals import Interval, allowed, whole
from server.contract.rules import NEVER, Json, extensions, format_schema
from server.contract.scalars import DOUBLE_MAX, FLOAT_MAX, INTEGER_RANGES, SAFE_INTEGER

_WIDE: Final = frozenset({FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64})
_DURATION_MAX: Final = 10**11 * NANO - 1


def integer_schema(cpp_type: int, rules: Any, kind: str, unmapped: list[str]) -> Json:
    """Returns the schema of an integer; 64-bit ones are numbers while those are exact, or decimal text."""
    extensions(kind, rules, unmapped)
    intervals = [whole(one) for one in allowed(rules, Interval(*INTEGER_RANGES[cpp_type]))]
    intervals = [one for one in intervals if one.low <= one.high]
    if cpp_type not in _WIDE:
        return _integers(intervals)
    safe = [Interval(max(one.low, -SAFE_INTEGER), min(one.high, SAFE_INTEGER)) for one in intervals]
    forms = [_integers([one for one in safe if one.low <= one.high]), _decimal_text(intervals)]
    forms = [form for form in forms if form != NEVER]
    return {"anyOf": forms} if len(forms) > 1 else (forms or [NEVER])[0]


def _integers(intervals: list[Interval]) -> Json:
    if not intervals:
        return NEVER
    if all(one.low == one.high for one in intervals):
        return {"type": "integer", "enum": [one.low for one in intervals]}
    return _any_of("integer", [{"minimum": one.low, "maximum": one.high} for one in intervals])


def _decimal_text(intervals: list[Interval]) -> Json:
    if not intervals:
        return NEVER
    if all(one.low == one.high for one in intervals):
        return {"type": "string", "enum": [str(one.low) for one in intervals]}
    parts = "|".join(integers(one.low, one.high) for one in intervals)
    return {"type": "string", "pattern": f"^(?:{parts})$"}


def integer_key_pattern(cpp_type: int, rules: Any, kind: str, unmapped: list[str]) -> Json:
    """Returns the schema of a map key that is an integer in decimal text."""
    extensions(kind, rules, unmapped)
    intervals = [whole(one) for one in allowed(rules, Interval(*INTEGER_RANGES[cpp_type]))]
    return _decimal_text([one for one in intervals if one.low <= one.high])


def _any_of(kind: str, bounds: list[Json]) -> Json:
    if not bounds:
        return NEVER
    return {"type": kind, **bounds[0]} if len(bounds) == 1 else {"type": kind, "anyOf": bounds}


def double_schema(rules: Any, unmapped: list[str]) -> Json:
    """Returns the schema of a double."""
    extensions("double", rules, unmapped)
    intervals = allowed(rules, Interval(-DOUBLE_MAX, DOUBLE_MAX))
    return _any_of("number", [_bounds(one) for one in intervals])


def float_schema(rules: Any, unmapped: list[str]) -> Json:
    """Returns the schema of a single-precision number.

    A JSON number is rounded to single precision before the rules look at it, so the bounds are where rounding tips
    over.
    """
    extensions("float", rules, unmapped)
    intervals = [_unrounded(one) for one in allowed(rules, Interval(-FLOAT_MAX, FLOAT_MAX))]
    return _any_of("number", [_bounds(one) for one in intervals if not one.empty])


def _bounds(interval: Interval) -> Json:
    low = "minimum" if interval.low_closed else "exclusiveMinimum"
    return {low: interval.low, "maximum" if interval.high_closed else "exclusiveMaximum": interval.high}


def _unrounded(interval: Interval) -> Interval:
    low, low_closed = _edge(interval.low, -1 if interval.low_closed else 1, interval)
    high, high_closed = _edge(interval.high, 1 if interval.high_closed else -1, interval)
    if low < -FLOAT_MAX:
        low, low_closed = -FLOAT_MAX, True
    if high > FLOAT_MAX:
        high, high_closed = FLOAT_MAX, True
    return Interval(low, high, low_closed, high_closed)


def _edge(bound: float, direction: int, interval: Interval) -> tuple[float, bool]:
    """Returns the double halfway to the neighbour, and whether it rounds into the interval."""
    middle = (bound + neighbour(bound, direction)) / 2
    return middle, _rounded(middle) in interval


def neighbour(number: float, direction: int) -> float:
    """Returns the next single-precision number above (1) or below (-1)."""
    order = struct.unpack("<i", struct.pack("<f", number + 0.0))[0]
    order = order if order >= 0 else -(order & 0x7FFFFFFF)
    order += direction
    bits = order if order >= 0 else (-order) | 0x80000000
    if bits & 0x7FFFFFFF >= 0x7F800000:  # beyond the largest: continue with the same step
        return number + direction * 2.0**104
    result: float = struct.unpack("<f", struct.pack("<I", bits))[0]
    return result


def _rounded(number: float) -> float:
    try:
        packed = struct.pack("<f", number)
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")
    result: float = struct.unpack("<f", packed)[0]
    return result


def duration_schema(rules: Any, unmapped: list[str]) -> Json:
    """Returns the schema of a Duration."""
    extensions("duration", rules, unmapped)
    base = {"type": "string", **format_schema(formats.DURATION)}
    points = [_nanos(value) for value in rules.not_in]
    bounds = type(rules)()
    bounds.CopyFrom(rules)
    bounds.ClearField("not_in")
    if bounds.ListFields():
        base |= _duration_bounds(bounds, unmapped)
    excluded = [duration(Interval(point, point)) for point in points]
    if excluded:
        return {**base, "allOf": [{"not": {"pattern": f"^(?:{'|'.join(map(str, excluded))})$"}}]}
    return base


def _duration_bounds(rules: Any, unmapped: list[str]) -> Json:
    intervals = [whole(one) for one in allowed(rules, Interval(-_DURATION_MAX, _DURATION_MAX), _nanos)]
    intervals = [one for one in intervals if one.low <= one.high]
    if not intervals:
        return NEVER
    expressions = [duration(one) for one in intervals]
    if None in expressions:
        unmapped += [f"duration.{field.name}" for field, _ in rules.ListFields() if field.name != "example"]
        return {}
    return {"pattern": f"^(?:{'|'.join(map(str, expressions))})$"}


def _nanos(value: Any) -> int:
    return int(value.seconds) * NANO + int(value.nanos)
