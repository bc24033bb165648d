"""Schemas of single values: what a type allows, what the rules leave of it, what counts as zero."""

from typing import Any, Final

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from server import validate_descriptor
from server.contract import formats, numbers, rules
from server.contract.rules import NEVER, Json
from server.contract.scalars import INTEGER_RANGES
from server.contract.shapes import WRAPPERS

IGNORE_IF_ZERO: Final = 1
IGNORE_ALWAYS: Final = 3
BASE64: Final = r"^(?:[A-Za-z0-9+\/]{4})*(?:[A-Za-z0-9+\/][AQgw]==|[A-Za-z0-9+\/]{2}[AEIMQUYcgkosw048]=)?$"
NO_RULES: Final[Any] = validate_descriptor.FieldRules()
KINDS: Final = {
    getattr(FieldDescriptor, f"TYPE_{name.upper()}"): name
    for name in (
        "float",
        "double",
        "int32",
        "int64",
        "uint32",
        "uint64",
        "sint32",
        "sint64",
        "fixed32",
        "fixed64",
        "sfixed32",
        "sfixed64",
        "bool",
        "string",
        "bytes",
        "enum",
    )
}


_TEXTS: Final = frozenset({"bool", "bytes", "string"})


def with_constraints(base: Json, constraints: list[Json]) -> Json:
    """Returns a schema under which the base and every constraint hold."""
    schema, rest = dict(base), []
    for constraint in constraints:
        if constraint.keys() & schema.keys():
            rest.append(constraint)
        else:
            schema |= constraint
    if rest:
        schema["allOf"] = [*schema.get("allOf", []), *rest]
    return schema


def scalar_schema(field: FieldDescriptor, given: Any, unmapped: list[str]) -> Json:
    """Returns the schema of a scalar or enum under its FieldRules."""
    kind = KINDS[field.type]
    own = getattr(given, kind)
    if field.enum_type is not None:
        rules.extensions(kind, own, unmapped)
        return _enum(field.enum_type, own)
    return _text(kind, own, unmapped) if kind in _TEXTS else _number(field, kind, own, unmapped)


def _number(field: FieldDescriptor, kind: str, own: Any, unmapped: list[str]) -> Json:
    if kind == "double":
        return numbers.double_schema(own, unmapped)
    if kind == "float":
        return numbers.float_schema(own, unmapped)
    return numbers.integer_schema(field.cpp_type, own, kind, unmapped)


def _text(kind: str, own: Any, unmapped: list[str]) -> Json:
    if kind == "bool":
        return with_constraints({"type": "boolean"}, rules.bool_constraints(own, unmapped))
    if kind == "bytes":
        base = {"type": "string", "contentEncoding": "base64", "pattern": BASE64}
        return with_constraints(base, rules.bytes_constraints(own, unmapped))
    return with_constraints({"type": "string"}, rules.string_constraints(own, unmapped))


def _enum(enum: EnumDescriptor, own: Any) -> Json:
    if enum.full_name == "google.protobuf.NullValue":
        return {"type": "null"}
    names = rules.enum_names(enum, own)
    return {"type": "string", "enum": names} if names else NEVER


def zero_schema(field: FieldDescriptor) -> Json:
    """Returns the schema of a scalar's zero value."""
    if field.cpp_type in INTEGER_RANGES:
        wide = field.cpp_type in (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64)
        return {"enum": [0, "0"]} if wide else {"const": 0}
    if field.enum_type is not None:
        return {"enum": [value.name for value in field.enum_type.values if value.number == 0]}
    if field.cpp_type == FieldDescriptor.CPPTYPE_FLOAT:
        tip = numbers.neighbour(0.0, 1) / 2
        return {"type": "number", "minimum": -tip, "maximum": tip}
    if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE:
        return {"const": 0}
    return {"const": False} if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL else {"const": ""}


def well_known_schema(descriptor: Descriptor, given: Any, unmapped: list[str]) -> Json:
    """Returns the schema of a well-known type under its FieldRules."""
    name = descriptor.full_name
    if name in WRAPPERS:
        return scalar_schema(descriptor.fields_by_name["value"], given, unmapped)
    if name == "google.protobuf.Duration":
        return numbers.duration_schema(given.duration, unmapped)
    if name == "google.protobuf.Timestamp":
        rules.all_unmapped("timestamp", given.timestamp, unmapped)
        return {"type": "string", **rules.format_schema(formats.TIMESTAMP)}
    if name == "google.protobuf.FieldMask":
        base = {"type": "string", **rules.format_schema(formats.FIELD_MASK)}
        return with_constraints(base, rules.field_mask_constraints(given.field_mask, unmapped))
    return dict(_FREE[name])


def key_schema(key: FieldDescriptor, given: Any, unmapped: list[str]) -> Json:
    """Returns the schema of the names of a map, under the FieldRules of its keys."""
    common_rules(given, unmapped)
    if given.ignore == IGNORE_ALWAYS:
        given = NO_RULES
    schema = _key(key, given, unmapped)
    if given.ignore == IGNORE_IF_ZERO:
        return {"anyOf": [_zero_key(key), schema]}
    return schema


def _key(key: FieldDescriptor, given: Any, unmapped: list[str]) -> Json:
    kind = KINDS[key.type]
    if key.cpp_type in INTEGER_RANGES:
        return numbers.integer_key_pattern(key.cpp_type, getattr(given, kind), kind, unmapped)
    if key.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        rules.extensions(kind, given.bool, unmapped)
        one = given.bool.HasField("const")
        return {"enum": [str(given.bool.const).lower()] if one else ["true", "false"]}
    return scalar_schema(key, given, unmapped)


def _zero_key(key: FieldDescriptor) -> Json:
    if key.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return {"const": ""}
    return {"const": "false" if key.cpp_type == FieldDescriptor.CPPTYPE_BOOL else "0"}


def common_rules(given: Any, unmapped: list[str]) -> None:
    """Reports CEL rules, which no schema can express."""
    unmapped += [f"cel:{rule.id}" for rule in given.cel]
    unmapped += [f"cel:{expression}" for expression in given.cel_expression]


def any_of_zero(zero: Json, schema: Json) -> Json:
    """Returns a schema for values that are zero or valid."""
    return {"anyOf": [zero, schema]}


_FREE: Final[dict[str, Json]] = {
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.ListValue": {"type": "array"},
    "google.protobuf.Value": {},
    "google.protobuf.Empty": {"type": "object", "maxProperties": 0},
}
