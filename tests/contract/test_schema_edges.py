"""The law again, by sweeping every field of the torture proto over the same fixed edge values."""

import itertools
import math
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from server.conformance.ecma import EcmaValidator
from server.conformance.instances import JUNK, TEXTS
from server.conformance.law import accepted
from server.contract.shapes import choice_of, entry_value, is_map, rules_of
from tests.contract.test_schema_law import contract_of, torture_messages
from tests.gen.torture.v1 import torture_pb2

LEAF = {"name": "ab"}
TIME = "2026-01-31T12:00:00Z"
BASES: dict[str, dict[str, Any]] = {
    "Optionals": {"a_string": "ab"},
    "IntegerRules": {"outside": 11, "exact": 4, "given": 1, "positive": 1, "holed": 6},
    "FloatRules": {"given": 1},
    "StringRules": {"bounded": "ab", "given": "x"},
    "BytesRules": {"bounded": "YWI=", "given": "YQ=="},
    "EnumRules": {"excluded": "COLOUR_RED", "accepted": True, "given": True, "named": "COLOUR_RED"},
    "ListRules": {"bounded": ["a"], "given": ["COLOUR_RED"]},
    "Leaf": LEAF,
    "MapRules": {"texts": {"a": "b"}, "spans": {"a": "1s"}},
    "Choices": {"number": 0},
    "PlainChoices": {"by_name": ""},
    "Nested": {"given": LEAF},
    "Tree": {"name": "x"},
    "WellKnown": {"given": TIME},
    "Unmapped": {"number": 2},
}
OBJECTS: list[Any] = [
    {}, LEAF, {"name": ""}, {"name": "abcd"}, {"name": "ab", "size": 10}, {"leaf": {}}, {"leaf": LEAF}, {"choices": {}},
    {"choices": {"number": 1}}, {"leaves": {"x": {}}}, {"leaves": {"x": LEAF}}, {"tree": {}}, {"height": -1},
    {"tree": {"name": "x", "hedge": {"height": -1}}}, {"name": "x", "children": [{}]}, {"a": {"b": [1, None, 1.5]}},
    {"name": "x", "named": {"y": {"name": "z"}}}, {"name": "x", "children": [{"name": "y"}]},
]  # fmt: skip


_NUMERIC = {
    getattr(FieldDescriptor, f"CPPTYPE_{name}") for name in ("INT32", "INT64", "UINT32", "UINT64", "FLOAT", "DOUBLE")
}


def test_bases_are_valid() -> None:
    """The instances that the sweeps start from are accepted."""
    for message in torture_messages():
        assert accepted(contract_of(message), BASES.get(message.name, {})), message.name


@pytest.mark.parametrize("message", torture_messages(), ids=lambda message: message.name)
def test_every_field_agrees_on_every_edge_value(message: Descriptor) -> None:
    """For each field and each edge value, put into a valid instance, the verdicts agree."""
    contract = contract_of(message)
    validator = EcmaValidator(contract.schema.bundled)
    one_way = {name.split(":")[0] for name in contract.schema.unmapped}
    for field in message.fields:
        for value in _candidates(field):
            instance = {**_without_rivals(message, field), field.name: value}
            parsed, valid = accepted(contract, instance), validator.is_valid(instance)
            assert valid or not parsed, f"the schema refuses what is accepted: {instance!r}"
            lenient = {message.full_name, field.full_name} & one_way
            assert parsed or not valid or lenient, f"the schema accepts what is refused: {instance!r}"


@pytest.mark.parametrize("message", [torture_pb2.Choices, torture_pb2.PlainChoices], ids=lambda one: one.__name__)
def test_choices_agree_on_every_combination(message: Any) -> None:
    """For each combination of absent, zero and other members of a choice the verdicts agree."""
    contract = contract_of(message.DESCRIPTOR)
    validator = EcmaValidator(contract.schema.bundled)
    members: dict[str, list[Any]] = {
        "text": ["", "a"], "number": [0, 1], "leaf": [{}, LEAF], "flag": [False], "colour": ["COLOUR_RED"],
        "span": ["1s"], "by_id": ["", "123e4567-e89b-12d3-a456-426614174000", "x"], "by_name": ["", "a"],
        "by_tags": [[], ["a"], ["a", "b", "c"]], "soft": [0, 1, 3], "hard": [False, True],
    }  # fmt: skip
    names = [field.name for field in message.DESCRIPTOR.fields]
    absent = object()
    for drawn in itertools.product(*([absent, *members[name]] for name in names)):
        instance = {name: value for name, value in zip(names, drawn, strict=True) if value is not absent}
        assert accepted(contract, instance) == validator.is_valid(instance), instance


def _without_rivals(message: Descriptor, field: FieldDescriptor) -> dict[str, Any]:
    choice = choice_of(field)
    rivals = {rival.name for rival in choice.fields} if choice else set()
    return {name: value for name, value in BASES.get(message.name, {}).items() if name not in rivals}


def _candidates(field: FieldDescriptor) -> list[Any]:
    single = _singles(field)
    if is_map(field):
        keys = ["a", "", "A", "true", "false", "True", "0", "-0", "5", "-1", "-2", "-3", "01", "2147483648"]
        keys += ["18446744073709551615", "18446744073709551616", "9223372036854775808"]
        values = _singles(entry_value(field))
        return [{key: value} for key in keys for value in values[:40]] + [
            {"a": values[index], "b": values[-1]} for index in range(len(values))
        ]
    if not field.is_repeated:
        return single
    pairs = [[one, other] for one, other in itertools.pairwise(single)]
    return [*JUNK, *([one] for one in single), *pairs, *([one, one] for one in single), [*single[:1]] * 4]


def _singles(field: FieldDescriptor) -> list[Any]:
    numbers = sorted(set(_numbers(field)))
    texts = TEXTS if _is_text(field) else TEXTS[:3] + TEXTS[25:33]
    enums = ["COLOUR_UNSPECIFIED", "COLOUR_RED", "COLOUR_CRIMSON", "COLOUR_GREEN", "COLOUR_NEGATIVE", "RED"]
    return [*JUNK, *numbers, *texts, *(enums if field.enum_type else []), *(OBJECTS if field.message_type else [])]


def _is_text(field: FieldDescriptor) -> bool:
    return field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES) or field.message_type is not None


def _numbers(field: FieldDescriptor) -> Iterator[float]:
    if field.message_type is None and field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES):
        return
    for power in (7, 31, 32, 53, 63, 64):
        yield from (float(2**power), -float(2**power), 2**power, 1 - 2**power if power < 54 else 0)
    for edge in _edges(rules_of(field)):
        yield from _around(edge)


def _edges(rules: Any) -> Iterator[float]:
    """Yields every number in a field's rules."""
    for inner, value in rules.ListFields():
        if inner.message_type is not None and not inner.is_repeated:
            yield from _edges(value)
        elif inner.cpp_type in _NUMERIC:
            yield from value if inner.is_repeated else [value]


def _around(edge: float) -> Iterator[float]:
    """Yields an edge, its neighbours, and the doubles where rounding to single precision tips over."""
    if isinstance(edge, int):
        yield from (edge + step for step in (-1, 0, 1))
        return
    single = struct.unpack("<i", struct.pack("<f", edge))[0]
    for step in (-1, 1):
        near = struct.unpack("<f", struct.pack("<i", single + step))[0] if single else step * 2.0**-149
        middle = (edge + near) / 2
        yield from (edge, near, middle, math.nextafter(middle, math.inf), math.nextafter(middle, -math.inf))
        yield from (math.nextafter(edge, math.inf), math.nextafter(edge, -math.inf), round(edge, 3))
