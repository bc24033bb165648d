"""The identity of a call: equal fingerprint, equal meaning.

The bytes hashed are JSON with sorted names, written here, so they stay the same across protobuf releases.
What equals its default is left out: saying the default and saying nothing is the same call, and a field added
later with a default does not change the fingerprints of calls made before.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from server.contract.defaults import default_of
from server.contract.printing import print_key, value_printer
from server.contract.shapes import entry_value, is_map, is_secret, is_well_known

SCHEME: Final = "sha256-v1"
_write: Final = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode
KeyedHash = Callable[[bytes], bytes]


def fingerprint(
    action_id: str, version: int, connection_id: str | None, message: Message, keyed_hash: KeyedHash
) -> tuple[str, bytes]:
    """Returns the scheme's name and the 32-byte digest of a call.

    Args:
        action_id: Id of the action.
        version: Its version.
        connection_id: The connection it runs over. None: it needs none.
        message: The parsed input.
        keyed_hash: Hashes the bytes of one secret value under a key that only the server has, so that a
            stored fingerprint does not let anybody test guesses.
    """
    call = {
        "action": action_id,
        "connection": connection_id,
        "input": _members(message, keyed_hash),
        "version": version,
    }
    return SCHEME, hashlib.sha256(_canonical(call)).digest()


def _canonical(value: Any) -> bytes:
    return _write(value).encode()


def _members(message: Message, keyed_hash: KeyedHash) -> dict[str, Any]:
    return {
        field.name: _field(field, value, keyed_hash)
        for field, value in message.ListFields()
        if not _is_default(field, value)
    }


def _is_default(field: FieldDescriptor, value: Any) -> bool:
    return bool(field.has_presence and _default(field) == value)


def _default(field: FieldDescriptor) -> Any:
    """Returns the default as the message would hold it, kept after the first call."""
    if field not in _DEFAULTS:
        _DEFAULTS[field] = default_of(field)
    return _DEFAULTS[field]


_DEFAULTS: dict[FieldDescriptor, Any] = {}


def _field(field: FieldDescriptor, value: Any, keyed_hash: KeyedHash) -> Any:
    if is_map(field):
        kind = entry_value(field)
        secret = is_secret(field)
        return {print_key(key): _single(kind, value[key], keyed_hash, secret=secret) for key in value}
    secret = is_secret(field)
    if field.is_repeated:
        return [_single(field, item, keyed_hash, secret=secret) for item in value]
    return _single(field, value, keyed_hash, secret=secret)


def _single(field: FieldDescriptor, value: Any, keyed_hash: KeyedHash, *, secret: bool) -> Any:
    nested = field.message_type is not None and not is_well_known(field.message_type)
    if secret:
        plain = _members(value, keyed_hash) if nested else value_printer(field)(value)
        return {"keyed": keyed_hash(_canonical(plain)).hex()}
    return _members(value, keyed_hash) if nested else value_printer(field)(value)
