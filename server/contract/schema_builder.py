"""Builds schemas of messages, bundled or inlined."""

from collections.abc import Sequence
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from server.contract import annotations, rules
from server.contract.comments import Comments
from server.contract.rules import Json
from server.contract.schema_values import (
    IGNORE_ALWAYS,
    IGNORE_IF_ZERO,
    NO_RULES,
    any_of_zero,
    common_rules,
    key_schema,
    scalar_schema,
    well_known_schema,
    with_constraints,
    zero_schema,
)
from server.contract.shapes import (
    choice_required,
    choices_of,
    entry_key,
    entry_value,
    is_map,
    is_well_known,
    message_rules_of,
    rules_of,
)
from server.contract.validation import required_fields

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
UNMAPPED: Final = "x-patchbay-unmapped-rules"
_INEXACT_UNIQUE: Final = frozenset(
    {
        FieldDescriptor.CPPTYPE_INT64,  # 1 and "1" are one value
        FieldDescriptor.CPPTYPE_UINT64,
        FieldDescriptor.CPPTYPE_FLOAT,  # different numbers round to one
        FieldDescriptor.CPPTYPE_ENUM,  # aliases
        FieldDescriptor.CPPTYPE_MESSAGE,
    }
)


class _Builder:
    """What both forms have in common. A message is built with its rules, or bare where rules are to be ignored."""

    def __init__(self, comments: Comments) -> None:
        self._comments = comments
        self.unmapped: list[str] = []

    def _reference(self, descriptor: Descriptor, *, bare: bool) -> Json:
        raise NotImplementedError

    def _message(self, descriptor: Descriptor, *, bare: bool) -> Json:
        given = NO_MESSAGE_RULES if bare else message_rules_of(descriptor)
        chosen = {name for rule in given.oneof for name in rule.fields}
        properties = {
            field.name: self._field(field, bare=bare, optional=field.name in chosen)
            for field in annotations.ordered(descriptor)
        }
        schema: Json = {"type": "object", "title": descriptor.name}
        if text := self._comments.get(descriptor.full_name):
            schema["description"] = text
        schema |= {"properties": properties, "additionalProperties": False}
        required = frozenset() if bare else required_fields(descriptor)
        if required:
            schema["required"] = [one.name for one in annotations.ordered(descriptor) if one.name in required]
        schema = with_constraints(schema, self._choices(descriptor, given, bare=bare))
        return self._noted(schema, descriptor.full_name, message_unmapped(given))

    def _choices(self, descriptor: Descriptor, given: Any, *, bare: bool) -> list[Json]:
        found = [
            _one_of(
                [{"required": [field.name]} for field in choice.fields],
                required=not bare and choice_required(choice),
            )
            for choice in choices_of(descriptor)
        ]
        for rule in given.oneof:
            members = [_is_set(descriptor.fields_by_name[name]) for name in rule.fields]
            found.append(_one_of(members, required=rule.required))
        return [schema for schema in found if schema]

    def _field(self, field: FieldDescriptor, *, bare: bool, optional: bool) -> Json:
        given = NO_RULES if bare else rules_of(field)
        unmapped: list[str] = []
        schema = self._whole(field, given, unmapped, bare=bare, optional=optional)
        schema = {**schema, **annotations.of(field, self._comments)}
        return self._noted(schema, field.full_name, unmapped)

    def _noted(self, schema: Json, name: str, unmapped: list[str]) -> Json:
        if not unmapped:
            return schema
        self.unmapped += [f"{name}: {rule}" for rule in unmapped]
        return {**schema, UNMAPPED: unmapped}

    def _whole(self, field: FieldDescriptor, given: Any, unmapped: list[str], *, bare: bool, optional: bool) -> Json:
        ignore = given.ignore or (IGNORE_IF_ZERO if optional else 0)
        if is_map(field) or field.is_repeated:
            return self._many(field, given, unmapped, bare=bare, ignore=ignore)
        schema = self._single(field, given, unmapped, bare=bare, ignore=ignore)
        if given.required and not field.has_presence and ignore != IGNORE_ALWAYS:
            return with_constraints(schema, [{"not": zero_schema(field)}])
        return schema

    def _single(self, field: FieldDescriptor, given: Any, unmapped: list[str], *, bare: bool, ignore: int) -> Json:
        if ignore == IGNORE_ALWAYS:
            given, bare = NO_RULES, True
        common_rules(given, unmapped)
        target = field.message_type
        if target is None:
            schema = scalar_schema(field, given, unmapped)
            zero = ignore == IGNORE_IF_ZERO and given.WhichOneof("type") is not None
            return any_of_zero(zero_schema(field), schema) if zero else schema
        if is_well_known(target):
            return well_known_schema(target, given, unmapped)
        return self._reference(target, bare=bare)

    def _many(self, field: FieldDescriptor, given: Any, unmapped: list[str], *, bare: bool, ignore: int) -> Json:
        if ignore == IGNORE_ALWAYS:
            given, bare = NO_RULES, True
        common_rules(given, unmapped)
        build = self._map if is_map(field) else self._list
        base, constraints = build(field, given, unmapped, bare=bare)
        if ignore == IGNORE_IF_ZERO and constraints:
            size = "maxProperties" if is_map(field) else "maxItems"
            constraints = [any_of_zero({size: 0}, with_constraints({}, constraints))]
        if given.required:
            constraints.append({"minProperties" if is_map(field) else "minItems": 1})
        return with_constraints(base, constraints)

    def _list(self, field: FieldDescriptor, given: Any, unmapped: list[str], *, bare: bool) -> tuple[Json, list[Json]]:
        own = given.repeated
        items = self._single(field, own.items, unmapped, bare=bare, ignore=own.items.ignore)
        exact = field.cpp_type not in _INEXACT_UNIQUE
        constraints = rules.list_constraints(own, unmapped, unique_is_exact=exact)
        return {"type": "array", "items": items}, constraints

    def _map(self, field: FieldDescriptor, given: Any, unmapped: list[str], *, bare: bool) -> tuple[Json, list[Json]]:
        own, value = given.map, entry_value(field)
        values = self._single(value, own.values, unmapped, bare=bare, ignore=own.values.ignore)
        base: Json = {"type": "object", "additionalProperties": values}
        names = key_schema(entry_key(field), own.keys, unmapped)
        if names != {"type": "string"}:
            base["propertyNames"] = names
        return base, rules.map_constraints(own, unmapped)


class Inliner(_Builder):
    """Builds schemas without `$ref`."""

    def __init__(self, comments: Comments) -> None:
        super().__init__(comments)
        self._within: list[str] = []

    def document(self, descriptor: Descriptor) -> Json:
        """Returns the schema as a document of its own."""
        return {"$schema": DIALECT, **self._reference(descriptor, bare=False)}

    def _reference(self, descriptor: Descriptor, *, bare: bool) -> Json:
        if descriptor.full_name in self._within:
            return {"type": "object", "x-patchbay-truncated": descriptor.full_name}
        self._within.append(descriptor.full_name)
        schema = self._message(descriptor, bare=bare)
        self._within.pop()
        return schema


class Bundler(_Builder):
    """Builds schemas whose messages are shared under `$defs`."""

    def __init__(self, comments: Comments) -> None:
        super().__init__(comments)
        self._definitions: dict[str, Json] = {}
        self._root = ""

    def document(self, descriptor: Descriptor) -> Json:
        """Returns the schema as a document of its own."""
        self._root = descriptor.full_name
        schema = {"$schema": DIALECT, **self._message(descriptor, bare=False)}
        return {**schema, "$defs": self._definitions} if self._definitions else schema

    def _reference(self, descriptor: Descriptor, *, bare: bool) -> Json:
        if descriptor.full_name == self._root and not bare:
            return {"$ref": "#"}
        name = f"{descriptor.full_name}.bare" if bare else descriptor.full_name
        if name not in self._definitions:
            self._definitions[name] = {}  # taken, so that recursion ends here
            self._definitions[name] = self._message(descriptor, bare=bare)
        return {"$ref": f"#/$defs/{name}"}


NO_MESSAGE_RULES: Final[Any] = annotations.NO_MESSAGE_RULES


def message_unmapped(given: Any) -> list[str]:
    """Returns the names of a message's CEL rules."""
    return [f"cel:{rule.id}" for rule in given.cel] + [f"cel:{text}" for text in given.cel_expression]


def _one_of(members: Sequence[Json], *, required: bool) -> Json:
    if required:
        return {"oneOf": list(members)}
    if len(members) < 2:
        return {}
    return {"oneOf": [*members, {"not": {"anyOf": list(members)}}]}


def _is_set(field: FieldDescriptor) -> Json:
    if field.has_presence:
        return {"required": [field.name]}
    if is_map(field):
        zero: Json = {"maxProperties": 0}
    else:
        zero = {"maxItems": 0} if field.is_repeated else zero_schema(field)
    return {"required": [field.name], "properties": {field.name: {"not": zero}}}
