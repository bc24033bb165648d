"""protovalidate's rules as JSON Schema keywords.

Each function returns constraints, schemas that must all hold, and appends the names of rules that it cannot express
to `unmapped`; what it returns then still accepts everything that is valid.
"""

import base64
from collections.abc import Callable
from typing import Any, Final

from google.protobuf.descriptor import EnumDescriptor

from server.contract import formats
from server.contract.patterns import NotPortable, literal, portable

Json = dict[str, Any]
NEVER: Final[Json] = {"not": {}}
_IGNORED: Final = frozenset({"example"})


def string_constraints(rules: Any, unmapped: list[str]) -> list[Json]:
    """Maps StringRules."""
    return _mapped("string", rules, _STRING, unmapped)


def bytes_constraints(rules: Any, unmapped: list[str]) -> list[Json]:
    """Maps BytesRules to constraints on the base64 text."""
    return _mapped("bytes", rules, _BYTES, unmapped)


def bool_constraints(rules: Any, unmapped: list[str]) -> list[Json]:
    """Maps BoolRules."""
    return _mapped("bool", rules, {"const": lambda value, _rules, _unmapped: {"const": value}}, unmapped)


def field_mask_constraints(rules: Any, unmapped: list[str]) -> list[Json]:
    """Maps FieldMaskRules."""
    return _mapped("field_mask", rules, _FIELD_MASK, unmapped)


def all_unmapped(kind: str, rules: Any, unmapped: list[str]) -> list[Json]:
    """Reports every rule of a kind that has no JSON Schema counterpart."""
    return _mapped(kind, rules, {}, unmapped)


def extensions(kind: str, rules: Any, unmapped: list[str]) -> None:
    """Reports predefined rules, which are extensions of the rule messages."""
    unmapped += [f"{kind}.[{field.full_name}]" for field, _ in rules.ListFields() if field.is_extension]


def enum_names(enum: EnumDescriptor, rules: Any) -> list[str]:
    """Returns the names that EnumRules allow, in the proto's order."""
    numbers = set(enum.values_by_number)
    if rules.HasField("const"):
        numbers &= {rules.const}
    if chosen := set(getattr(rules, "in")):
        numbers &= chosen
    numbers -= set(rules.not_in)
    return [value.name for value in enum.values if value.number in numbers]


def list_constraints(rules: Any, unmapped: list[str], *, unique_is_exact: bool) -> list[Json]:
    """Maps RepeatedRules without `items`."""
    found: Json = {}
    if rules.HasField("min_items"):
        found["minItems"] = rules.min_items
    if rules.HasField("max_items"):
        found["maxItems"] = rules.max_items
    if rules.unique and unique_is_exact:
        found["uniqueItems"] = True
    elif rules.unique:
        unmapped.append("repeated.unique")
    extensions("repeated", rules, unmapped)
    return [found] if found else []


def map_constraints(rules: Any, unmapped: list[str]) -> list[Json]:
    """Maps MapRules without `keys` and `values`."""
    found: Json = {}
    if rules.HasField("min_pairs"):
        found["minProperties"] = rules.min_pairs
    if rules.HasField("max_pairs"):
        found["maxProperties"] = rules.max_pairs
    extensions("map", rules, unmapped)
    return [found] if found else []


def format_schema(known: formats.Format) -> Json:
    """Returns the keywords of a format."""
    schema: Json = {"pattern": known.pattern}
    if known.name:
        schema["format"] = known.name
    if known.never:
        schema["not"] = {"pattern": known.never}
    if known.max_length:
        dotted = {"maxLength": known.max_length + 1, "pattern": r"\.$"}
        schema["anyOf"] = [{"maxLength": known.max_length}, dotted]
    return schema


_Mapper = Callable[[Any, Any, list[str]], Json]


def _mapped(kind: str, rules: Any, mappers: dict[str, _Mapper], unmapped: list[str]) -> list[Json]:
    found: list[Json] = []
    for field, value in rules.ListFields():
        if field.is_extension:
            unmapped.append(f"{kind}.[{field.full_name}]")
        elif field.name in mappers:
            found.append(mappers[field.name](value, rules, unmapped))
        elif field.name not in _IGNORED:
            unmapped.append(f"{kind}.{field.name}")
    return [schema for schema in found if schema]


def _pattern(value: str, _rules: Any, unmapped: list[str]) -> Json:
    try:
        return {"pattern": portable(value)}
    except NotPortable:
        unmapped.append("string.pattern")
        return {}


def _byte_length(least: int, most: int | None, name: str, unmapped: list[str]) -> Json:
    """Bounds characters by bytes: a character has one to four of them."""
    unmapped.append(f"string.{name}")
    schema: Json = {"minLength": -(-least // 4)} if least else {}
    return schema if most is None else {**schema, "maxLength": most}


def _address(value: bool, _rules: Any, _unmapped: list[str]) -> Json:
    known = formats.STRING_FORMATS
    return {"anyOf": [format_schema(known["ip"]), format_schema(known["hostname"])]} if value else {}


def _header(value: int, rules: Any, unmapped: list[str]) -> Json:
    strict = not rules.HasField("strict") or rules.strict
    if value == 1:
        return format_schema(formats.STRICT_HEADER_NAME if strict else formats.LOOSE_HEADER_NAME)
    if value == 2:
        return format_schema(formats.STRICT_HEADER_VALUE if strict else formats.LOOSE_HEADER_VALUE)
    unmapped.append("string.well_known_regex")
    return {}


def _well_known(name: str) -> _Mapper:
    known = formats.STRING_FORMATS[name]

    def mapper(value: bool, _rules: Any, unmapped: list[str]) -> Json:
        if value and not known.exact:
            unmapped.append(f"string.{name}")
        return format_schema(known) if value else {}

    return mapper


_STRING: Final[dict[str, _Mapper]] = {
    "const": lambda value, _rules, _unmapped: {"const": value},
    "len": lambda value, _rules, _unmapped: {"minLength": value, "maxLength": value},
    "min_len": lambda value, _rules, _unmapped: {"minLength": value},
    "max_len": lambda value, _rules, _unmapped: {"maxLength": value},
    "len_bytes": lambda value, _rules, unmapped: _byte_length(value, value, "len_bytes", unmapped),
    "min_bytes": lambda value, _rules, unmapped: _byte_length(value, None, "min_bytes", unmapped),
    "max_bytes": lambda value, _rules, unmapped: _byte_length(0, value, "max_bytes", unmapped),
    "pattern": _pattern,
    "prefix": lambda value, _rules, _unmapped: {"pattern": f"^{literal(value)}"},
    "suffix": lambda value, _rules, _unmapped: {"pattern": f"{literal(value)}$"},
    "contains": lambda value, _rules, _unmapped: {"pattern": literal(value)},
    "not_contains": lambda value, _rules, _unmapped: {"not": {"pattern": literal(value)}},
    "in": lambda value, _rules, _unmapped: {"enum": list(value)},
    "not_in": lambda value, _rules, _unmapped: {"not": {"enum": list(value)}},
    "address": _address,
    "well_known_regex": _header,
    "strict": lambda _value, _rules, _unmapped: {},
    **{name: _well_known(name) for name in formats.STRING_FORMATS},
}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def at_least_bytes(count: int) -> Json:
    """Returns the constraint for base64 of at least `count` bytes."""
    groups, rest = divmod(count, 3)
    if rest == 1 or count == 0:
        return {"minLength": 4 * groups + (4 if rest else 0)}
    if rest == 2:
        return {"anyOf": [{"minLength": 4 * groups + 8}, {"minLength": 4 * groups + 4, "pattern": "[^=]=?$"}]}
    return {"anyOf": [{"minLength": 4 * groups + 4}, {"minLength": 4 * groups, "pattern": "[^=]$"}]}


def at_most_bytes(count: int) -> Json:
    """Returns the constraint for base64 of at most `count` bytes."""
    groups, rest = divmod(count, 3)
    if not rest:
        return {"maxLength": 4 * groups}
    padding = "==$" if rest == 1 else "=$"
    return {"anyOf": [{"maxLength": 4 * groups}, {"maxLength": 4 * groups + 4, "pattern": padding}]}


def _exact_bytes(*counts: int) -> Json:
    return {"anyOf": [{"allOf": [at_least_bytes(count), at_most_bytes(count)]} for count in counts]}


def _sized(*counts: int) -> _Mapper:
    return lambda value, _rules, _unmapped: _exact_bytes(*counts) if value else {}


_BYTES: Final[dict[str, _Mapper]] = {
    "const": lambda value, _rules, _unmapped: {"const": _base64(value)},
    "len": lambda value, _rules, _unmapped: _exact_bytes(value),
    "min_len": lambda value, _rules, _unmapped: at_least_bytes(value),
    "max_len": lambda value, _rules, _unmapped: at_most_bytes(value),
    "in": lambda value, _rules, _unmapped: {"enum": [_base64(one) for one in value]},
    "not_in": lambda value, _rules, _unmapped: {"not": {"enum": [_base64(one) for one in value]}},
    "ip": _sized(4, 16),
    "ipv4": _sized(4),
    "ipv6": _sized(16),
    "uuid": _sized(16),
}


def _paths(value: Any) -> str:
    return "(?:" + "|".join(literal(path) for path in value) + ")"


def _mask_in(value: Any, _rules: Any, _unmapped: list[str]) -> Json:
    path = rf"{_paths(value)}(?:\.[a-z0-9_]+)*"
    return {"pattern": f"^(?:{path}(?:,{path})*)?$"}


_FIELD_MASK: Final[dict[str, _Mapper]] = {
    "const": lambda value, _rules, _unmapped: {"const": ",".join(value.paths)},
    "in": _mask_in,
    "not_in": lambda value, _rules, _unmapped: {"not": {"pattern": rf"(?:^|,){_paths(value)}(?:[.,]|$)"}},
}
