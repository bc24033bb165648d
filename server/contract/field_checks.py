"""Defects of the fields of a message and of all messages inside it."""

import json
from collections.abc import Iterator
from typing import Final

import protovalidate
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from server.contract.cutting import MARKER_ROOM
from server.contract.defaults import default_of, set_member
from server.contract.parsing import field_converter
from server.contract.pickers import picker_of
from server.contract.problems import ContractError, Violation
from server.contract.scalars import BAD
from server.contract.shapes import (
    choice_of,
    display_of,
    is_secret,
    message_of,
    message_rules_of,
    nested_messages,
    owner_of,
)
from server.contract.validation import violations_of

_UNTYPED: Final = frozenset({"google.protobuf.Any"})


def message_defects(descriptor: Descriptor) -> Iterator[str]:
    """Yields the defects of every field reachable from the message, and of the rules of the messages themselves."""
    malformed = [defect for one in nested_messages(descriptor) for defect in _compilation_defects(one)]
    if malformed:
        yield from dict.fromkeys(malformed)  # defaults cannot be held against rules that do not compile
        return
    for one in nested_messages(descriptor):
        for field in one.fields:
            yield from (f"field {field.full_name}: {defect}" for defect in _field_defects(field))


def _compilation_defects(descriptor: Descriptor) -> Iterator[str]:
    try:
        violations_of(message_factory.GetMessageClass(descriptor)())
    except protovalidate.CompilationError as error:
        yield f"{descriptor.full_name}: a validation rule is malformed: {error}"


def _field_defects(field: FieldDescriptor) -> Iterator[str]:
    target = message_of(field)
    if target is not None and target.full_name in _UNTYPED:
        yield f"{target.full_name} has no schema and cannot be used"
        return
    display = display_of(field)
    if display.default_json:
        yield from _default_defects(field)
    if is_secret(field) and picker_of(field) is not None:
        yield "a secret field cannot have a picker"
    if is_secret(field) and display.default_json:
        yield "a secret field cannot have a default"
    yield from _visibility_defects(field)
    if display.cut_bytes:
        yield from _cut_defects(field, display.cut_bytes)


def _default_defects(field: FieldDescriptor) -> Iterator[str]:
    if not field.has_presence:
        yield "default_json needs a field with presence; add `optional`"
        return
    if choice_of(field) is not None or _in_message_choice(field):
        yield "a member of a oneof cannot have a default, it would always be chosen"
        return
    try:
        value = default_of(field)
    except ContractError as error:
        yield from error.defects
        return
    message = message_factory.GetMessageClass(owner_of(field))()
    set_member(message, field, value)
    for violation in violations_of(message):
        if violation.field.split(".")[0].split("[")[0] == field.name:
            yield f"default_json breaks the field's own rule: {violation.message}"


def _in_message_choice(field: FieldDescriptor) -> bool:
    rules = message_rules_of(owner_of(field))
    return any(field.name in rule.fields for rule in rules.oneof)


def _visibility_defects(field: FieldDescriptor) -> Iterator[str]:
    for condition in display_of(field).visible_when:
        other = owner_of(field).fields_by_name.get(condition.field)
        if other is None:
            yield f"visible_when names the unknown field `{condition.field}`"
            continue
        if other is field:
            yield "visible_when names the field itself"
        if not condition.equals_json:
            yield f"visible_when `{condition.field}` compares with nothing"
        for literal in condition.equals_json:
            yield from _literal_defects(other, literal)


def _literal_defects(other: FieldDescriptor, literal: str) -> Iterator[str]:
    errors: list[Violation] = []
    try:
        value = field_converter(other)(json.loads(literal), "", errors)
    except ValueError:
        yield f"visible_when `{other.name}`: `{literal}` is no JSON literal"
        return
    if value is BAD:
        yield f"visible_when `{other.name}`: `{literal}` {errors[0].message}"


def _cut_defects(field: FieldDescriptor, limit: int) -> Iterator[str]:
    if field.type != FieldDescriptor.TYPE_STRING:
        yield "cut_bytes is for text only"
    if limit < MARKER_ROOM * 2:
        yield f"cut_bytes must leave room for the marker: at least {MARKER_ROOM * 2}"
