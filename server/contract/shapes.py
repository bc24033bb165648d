"""Small questions about descriptors, asked in many places."""

from typing import Any, Final, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor, OneofDescriptor
from google.protobuf.message import Message

from server import validate_descriptor
from server.gen.patchbay.v1 import options_pb2

WRAPPERS: Final = frozenset(
    f"google.protobuf.{name}Value"
    for name in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
)


def display_of(field: FieldDescriptor) -> options_pb2.FieldDisplay:
    """Returns what the field itself says of how a designer shows it; an empty display when nothing is declared. Its
    picker, which the module may say, is `pickers.picker_of`."""
    return field.GetOptions().Extensions[options_pb2.field]


def rules_of(field: FieldDescriptor) -> Any:
    """Returns the field's `buf.validate.FieldRules`; empty ones when nothing is declared."""
    return extension_of(field.GetOptions(), validate_descriptor.field)


def message_rules_of(descriptor: Descriptor) -> Any:
    """Returns the message's `buf.validate.MessageRules`."""
    return extension_of(descriptor.GetOptions(), validate_descriptor.message)


def choice_required(oneof: OneofDescriptor) -> bool:
    """Tells whether one member of the oneof must be set."""
    return bool(extension_of(oneof.GetOptions(), validate_descriptor.oneof).required)


def extension_of(options: Any, extension: FieldDescriptor) -> Any:
    """Returns an extension that has no generated stub."""
    return options.Extensions[extension]


def entry_value(field: FieldDescriptor) -> FieldDescriptor:
    """Returns the value field of a map."""
    return cast("Descriptor", field.message_type).fields_by_name["value"]


def entry_key(field: FieldDescriptor) -> FieldDescriptor:
    """Returns the key field of a map."""
    return cast("Descriptor", field.message_type).fields_by_name["key"]


def owner_of(field: FieldDescriptor) -> Descriptor:
    """Returns the message that declares the field."""
    return cast("Descriptor", field.containing_type)


def type_of(message: Message) -> Descriptor:
    """Returns the message's type."""
    return cast("Descriptor", message.DESCRIPTOR)


def is_secret(field: FieldDescriptor) -> bool:
    """Tells whether the field's value must never be shown."""
    return bool(field.GetOptions().debug_redact)


def is_map(field: FieldDescriptor) -> bool:
    """Tells whether the field is a map."""
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def choices_of(descriptor: Descriptor) -> list[OneofDescriptor]:
    """Returns the oneofs that the author wrote, without those behind `optional`."""
    return [one for one in descriptor.oneofs if not is_synthetic(one)]


def is_synthetic(oneof: OneofDescriptor) -> bool:
    """Tells whether the oneof only carries the presence of one `optional` field."""
    return len(oneof.fields) == 1 and oneof.name == f"_{oneof.fields[0].name}"


def choice_of(field: FieldDescriptor) -> OneofDescriptor | None:
    """Returns the oneof that the field is a member of, as the author wrote it."""
    oneof = field.containing_oneof
    return None if oneof is None or is_synthetic(oneof) else oneof


def is_well_known(descriptor: Descriptor) -> bool:
    """Tells whether the message has a JSON form of its own."""
    return descriptor.file.name.startswith("google/protobuf/")


def nested_messages(descriptor: Descriptor) -> list[Descriptor]:
    """Returns the message and all messages reachable from it, each once, without well-known ones."""
    found: dict[str, Descriptor] = {}
    waiting = [descriptor]
    while waiting:
        one = waiting.pop(0)
        if one.full_name in found or is_well_known(one):
            continue
        found[one.full_name] = one
        waiting += [target for field in one.fields if (target := message_of(field)) is not None]
    return list(found.values())


def message_of(field: FieldDescriptor) -> Descriptor | None:
    """Returns the message type of a field, of its items, or of a map's values."""
    if is_map(field):
        return entry_value(field).message_type
    return field.message_type


def has_secrets(descriptor: Descriptor) -> bool:
    """Tells whether any field at any depth is secret."""
    return any(is_secret(field) for one in nested_messages(descriptor) for field in one.fields)


def join(path: str, name: str) -> str:
    """Returns the path of a member of the value at `path`."""
    return f"{path}.{name}" if path else name


def is_set(message: Message, field: FieldDescriptor) -> bool:
    """Tells whether the field holds something: present, or other than its zero value."""
    if field.has_presence:
        return message.HasField(field.name)
    value: Any = getattr(message, field.name)
    return bool(value)
