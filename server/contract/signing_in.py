"""Which settings of a connection take the result of a sign-in in the browser."""

from collections.abc import Iterator
from typing import Final

from google.protobuf.descriptor import Descriptor

from server.contract.shapes import is_map, join
from server.gen.patchbay.v1 import authorization_pb2

_CODE: Final = authorization_pb2.AuthorizationCode.DESCRIPTOR.full_name
_DEEPEST: Final = 4


def sign_in_fields(descriptor: Descriptor, path: str = "") -> Iterator[str]:
    """Yields the paths of the settings that take an AuthorizationCode."""
    for field in descriptor.fields:
        target, here = field.message_type, join(path, field.name)
        if target is None or field.is_repeated or is_map(field):
            continue
        if target.full_name == _CODE:
            yield here
        elif here.count(".") < _DEEPEST:
            yield from sign_in_fields(target, here)
