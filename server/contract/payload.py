"""Payloads of actions: parsing, checking, printing, masking, fingerprints.

This is the module that the rest of the server imports; the work is done in its neighbours. The accepted
JSON is described in `docs/decisions/0003-strict-json-payloads.md`.
"""

import re
from typing import Any, Final

from google.protobuf.message import DecodeError, Message
from google.protobuf.struct_pb2 import Struct

from server.contract.cutting import cut
from server.contract.defaults import apply_defaults
from server.contract.definitions import MessageContract
from server.contract.fingerprint import fingerprint
from server.contract.parsing import MAX_DEPTH, parser_for, too_deep
from server.contract.printing import printer_for
from server.contract.problems import PayloadInvalid, Violation
from server.contract.scalars import BAD
from server.contract.secrets import masked_json, secret_values
from server.contract.shapes import type_of
from server.contract.validation import violations_of
from server.contract.wellknown import fill_struct, struct_to_python
from server.contract.wire import strangeness

__all__ = [
    "PayloadInvalid",
    "Violation",
    "apply_defaults",
    "cut",
    "fill_struct",
    "fingerprint",
    "masked_json",
    "parse_bytes",
    "parse_json",
    "parse_struct",
    "secret_values",
    "to_json",
    "to_struct",
    "violations_of",
]

_ROOT: Final = re.compile(r"[^.\[]*")


def parse_struct(contract: MessageContract, struct: Struct) -> Message:
    """Parses a payload given as a Struct: defaults applied, every rule checked.

    Raises:
        PayloadInvalid: With every violation found.
    """
    errors: list[Violation] = []
    return _parse(contract, struct_to_python(struct, "", errors), errors)


def parse_json(contract: MessageContract, value: dict[str, Any]) -> Message:
    """Parses a payload given as a JSON object, as `json.loads` returns it.

    Raises:
        PayloadInvalid: With every violation found.
    """
    return _parse(contract, value, [])


def parse_bytes(contract: MessageContract, data: bytes) -> Message:
    """Parses a payload given as the serialized message; fields that the message does not have are refused.

    Raises:
        PayloadInvalid: With every violation found.
    """
    try:
        message = contract.message_class.FromString(data)
    except DecodeError:
        wanted = f"is no serialized {contract.descriptor.full_name}"
        raise PayloadInvalid([Violation("", wanted, "wire.format")]) from None
    return _checked(message, list(strangeness(message)))


def _parse(contract: MessageContract, value: Any, errors: list[Violation]) -> Message:
    if too_deep(value):
        raise PayloadInvalid([Violation("", f"is nested deeper than {MAX_DEPTH} levels", "json.depth")])
    # A Struct's own defects have replaced values already; parsing them again would only repeat the complaint.
    message = parser_for(contract.descriptor)(value, "", errors) if not errors else BAD
    if not isinstance(message, Message):
        raise PayloadInvalid(errors)
    return _checked(message, errors)


def _checked(message: Message, errors: list[Violation]) -> Message:
    apply_defaults(message)
    broken = violations_of(message)
    if errors:
        raise PayloadInvalid([*errors, *_independent(message, broken, errors)])
    if broken:
        raise PayloadInvalid(broken)
    return message


def _independent(message: Message, broken: tuple[Violation, ...], errors: list[Violation]) -> list[Violation]:
    """Returns the broken rules that are not mere consequences of fields that could not be parsed."""
    roots = {_root(error.field) for error in errors}
    fields = type_of(message).fields_by_name
    return [one for one in broken if _root(one.field) in fields and _root(one.field) not in roots]


def _root(path: str) -> str:
    found = _ROOT.match(path)
    return found[0] if found else path


def to_json(message: Message) -> dict[str, Any]:
    """Returns the JSON form, which `parse_json` reads back to an equal message.

    Fields without presence are printed even when zero, so that engines can refer to them.

    Raises:
        ValueError: The message holds what JSON cannot express, such as a number that is not finite.
    """
    printed: dict[str, Any] = printer_for(type_of(message))(message)
    return printed


def to_struct(message: Message) -> Struct:
    """Returns the JSON form as a Struct.

    Raises:
        ValueError: As `to_json`.
    """
    struct = Struct()
    fill_struct(struct, to_json(message))
    return struct
