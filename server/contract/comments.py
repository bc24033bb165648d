"""Comments of the protos, by the full name of what they describe.

Generated Python code carries no comments, so they are read from a descriptor set with source info.
"""

from collections.abc import Iterator
from functools import cache
from importlib import resources

from google.protobuf import descriptor_pb2

_FILE = descriptor_pb2.FileDescriptorProto
_MESSAGE = descriptor_pb2.DescriptorProto
_ENUM = descriptor_pb2.EnumDescriptorProto
_SERVICE = descriptor_pb2.ServiceDescriptorProto

Comments = dict[str, str]


def read_comments(descriptor_set: bytes) -> Comments:
    """Returns the leading comments in a serialized FileDescriptorSet: full name to text.

    Line breaks inside a paragraph become spaces; paragraphs are separated by an empty line.
    """
    comments: Comments = {}
    for file in descriptor_pb2.FileDescriptorSet.FromString(descriptor_set).file:
        names = dict(_named(file))
        for location in file.source_code_info.location:
            name = names.get(tuple(location.path))
            if name and location.leading_comments:
                comments[name] = _unwrapped(location.leading_comments)
    return comments


@cache
def own_comments() -> Comments:
    """Returns the comments of the protos in this repository."""
    return read_comments((resources.files("server.gen") / "descriptors.binpb").read_bytes())


def _unwrapped(text: str) -> str:
    paragraphs = [
        " ".join(line.strip() for line in part.splitlines())
        for part in "\n".join(line.strip() for line in text.strip().splitlines()).split("\n\n")
    ]
    return "\n\n".join(part.strip() for part in paragraphs if part.strip())


_Path = tuple[int, ...]


def _named(file: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[_Path, str]]:
    prefix = f"{file.package}." if file.package else ""
    for index, message in enumerate(file.message_type):
        yield from _message(message, (_FILE.MESSAGE_TYPE_FIELD_NUMBER, index), prefix)
    for index, enum in enumerate(file.enum_type):
        yield from _enum(enum, (_FILE.ENUM_TYPE_FIELD_NUMBER, index), prefix)
    for index, service in enumerate(file.service):
        path = (_FILE.SERVICE_FIELD_NUMBER, index)
        yield path, prefix + service.name
        for at, method in enumerate(service.method):
            yield (*path, _SERVICE.METHOD_FIELD_NUMBER, at), f"{prefix}{service.name}.{method.name}"


def _message(message: descriptor_pb2.DescriptorProto, path: _Path, prefix: str) -> Iterator[tuple[_Path, str]]:
    name = prefix + message.name
    yield path, name
    for index, field in enumerate(message.field):
        yield (*path, _MESSAGE.FIELD_FIELD_NUMBER, index), f"{name}.{field.name}"
    for index, oneof in enumerate(message.oneof_decl):
        yield (*path, _MESSAGE.ONEOF_DECL_FIELD_NUMBER, index), f"{name}.{oneof.name}"
    for index, nested in enumerate(message.nested_type):
        yield from _message(nested, (*path, _MESSAGE.NESTED_TYPE_FIELD_NUMBER, index), f"{name}.")
    for index, enum in enumerate(message.enum_type):
        yield from _enum(enum, (*path, _MESSAGE.ENUM_TYPE_FIELD_NUMBER, index), f"{name}.")


def _enum(enum: descriptor_pb2.EnumDescriptorProto, path: _Path, prefix: str) -> Iterator[tuple[_Path, str]]:
    yield path, prefix + enum.name
    for index, value in enumerate(enum.value):
        yield (*path, _ENUM.VALUE_FIELD_NUMBER, index), f"{prefix}{enum.name}.{value.name}"
