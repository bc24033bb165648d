"""Breaking changes of messages: inputs must accept what they accepted, outputs must hold what they held."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import protovalidate
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.descriptor_pool import DescriptorPool

from server.contract.shapes import (
    choice_of,
    display_of,
    is_secret,
    is_well_known,
    join,
    message_of,
    message_rules_of,
    rules_of,
)
from server.contract.validation import required_fields

MESSAGE_RULES: Final = frozenset(
    {
        "choice.changed",
        "cut.shortened",
        "default.changed",
        "enum_value.removed",
        "field.presence",
        "field.removed",
        "field.type",
        "limit.tightened",
        "required.added",
        "secret.removed",
    }
)
_CEILINGS: Final = frozenset({"lt", "lte", "max_len", "max_bytes", "max_items", "max_pairs", "within"})
_FLOORS: Final = frozenset({"gt", "gte", "min_len", "min_bytes", "min_items", "min_pairs"})
_NESTED: Final = frozenset({"items", "keys", "values"})
_HARMLESS: Final = frozenset({"example", "strict"})


@dataclass(frozen=True, slots=True)
class Change:
    """One breaking change of an action or a message: the rule's id and what changed."""

    rule: str
    message: str


def input_changes(old: Descriptor, new: Descriptor) -> Iterator[Change]:
    """Yields what makes inputs invalid, or mean something else, that were valid before."""
    yield from _messages(old, new, "input", set(), tightening=True)


def output_changes(old: Descriptor, new: Descriptor) -> Iterator[Change]:
    """Yields what readers of outputs no longer find."""
    yield from _messages(old, new, "output", set(), tightening=False)


def _messages(
    old: Descriptor, new: Descriptor, path: str, seen: set[tuple[str, str]], *, tightening: bool
) -> Iterator[Change]:
    if (old.full_name, new.full_name) in seen or is_well_known(old):
        return
    seen.add((old.full_name, new.full_name))
    if tightening:
        yield from _requirements(old, new, path)
    for field in old.fields:
        place = join(path, field.name)
        later = new.fields_by_name.get(field.name)
        if later is None:
            yield Change("field.removed", f"{place} was removed")
            continue
        changed = list(_shape(field, later, place))
        yield from changed or _fields(field, later, place, seen, tightening=tightening)


def _requirements(old: Descriptor, new: Descriptor, path: str) -> Iterator[Change]:
    earlier = required_fields(old, _validator(old.file.pool))
    for name in sorted(required_fields(new, _validator(new.file.pool))):
        if name not in earlier:
            yield Change("required.added", f"{join(path, name)} must now be given")
    before, after = (_message_rules(message_rules_of(one)) for one in (old, new))
    for rule in after - before:
        yield Change("limit.tightened", f"{path} has the new rule {rule}")


@lru_cache(maxsize=2)
def _validator(_pool: DescriptorPool) -> protovalidate.Validator:
    """Returns a validator of its own for a pool; both states have types of the same names."""
    return protovalidate.Validator()


def _message_rules(rules: Any) -> set[str]:
    return {f"{field.name} {item}".strip() for field, items in rules.ListFields() for item in items}


def _shape(old: FieldDescriptor, new: FieldDescriptor, place: str) -> Iterator[Change]:
    before, after = _type(old), _type(new)
    if before != after:
        yield Change("field.type", f"{place}: {before} became {after}")
    elif old.has_presence != new.has_presence:
        yield Change("field.presence", f"{place}: `optional` was {'added' if new.has_presence else 'removed'}")
    elif _choice_name(old) != _choice_name(new):
        yield Change("choice.changed", f"{place} moved into or out of a oneof")


def _choice_name(field: FieldDescriptor) -> str:
    choice = choice_of(field)
    return choice.name if choice else ""


def _type(field: FieldDescriptor) -> str:
    target = message_of(field)
    name = target.full_name if target and is_well_known(target) else str(field.type)
    return f"{'repeated ' if field.is_repeated else ''}type {name} number {field.number}"


def _fields(
    old: FieldDescriptor, new: FieldDescriptor, place: str, seen: set[tuple[str, str]], *, tightening: bool
) -> Iterator[Change]:
    if is_secret(old) and not is_secret(new):
        yield Change("secret.removed", f"{place} would be shown")
    if old.enum_type is not None and new.enum_type is not None:
        yield from _enum(old.enum_type, new.enum_type, place)
    if tightening:
        yield from _limits(rules_of(old), rules_of(new), place)
        yield from _default(old, new, place)
    before, after = display_of(old).cut_bytes, display_of(new).cut_bytes
    if after and (not before or after < before):
        yield Change("cut.shortened", f"{place}: cut at {after} bytes instead of {before or 'never'}")
    inner, later = message_of(old), message_of(new)
    if inner is not None and later is not None:
        yield from _messages(inner, later, place, seen, tightening=tightening)


def _default(old: FieldDescriptor, new: FieldDescriptor, place: str) -> Iterator[Change]:
    before, after = display_of(old).default_json, display_of(new).default_json
    if before != after:
        yield Change("default.changed", f"{place}: {before or 'none'} became {after or 'none'}")


def _enum(old: EnumDescriptor, new: EnumDescriptor, place: str) -> Iterator[Change]:
    for value in old.values:
        later = new.values_by_name.get(value.name)
        if later is None or later.number != value.number:
            yield Change("enum_value.removed", f"{place}: {value.name} = {value.number} is gone")


def _limits(old: Any, new: Any, place: str) -> Iterator[Change]:
    """Yields rules that are new or stricter. Unknown kinds of rules count as stricter when they changed."""
    before = {field.name: value for field, value in old.ListFields()}
    if before.get("ignore", 0) > getattr(new, "ignore", 0):
        yield Change("limit.tightened", f"{place}: rules are no longer ignored")
    for field, value in new.ListFields():
        if field.name in _HARMLESS or field.name in ("ignore", "required"):
            continue
        if field.name in _NESTED or (field.containing_oneof is not None and field.containing_oneof.name == "type"):
            yield from _limits(getattr(old, field.name), value, place)
        elif _stricter(field, before.get(field.name), value):
            yield Change(
                "limit.tightened", f"{place}: {field.name} {_shown(before.get(field.name))} became {_shown(value)}"
            )


def _stricter(field: FieldDescriptor, before: Any, after: Any) -> bool:
    if before is None:
        return bool(after)
    if field.name == "in":
        return any(value not in after for value in before)
    if field.name == "not_in":
        return any(value not in before for value in after)
    if field.name in _CEILINGS:
        return bool(_order(after) < _order(before))
    if field.name in _FLOORS:
        return bool(_order(after) > _order(before))
    return bool(before != after)


def _order(value: Any) -> Any:
    return (value.seconds, value.nanos) if hasattr(value, "seconds") else value


def _shown(value: Any) -> str:
    return "none" if value is None else " ".join(str(value).split())
