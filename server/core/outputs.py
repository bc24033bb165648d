"""What is kept of an output. The effect has happened: nothing that is wrong with it makes a failure (rule 12)."""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from server.contract import payload
from server.gen.patchbay.v1 import executor_pb2
from server.sdk.masking import MASK, Masker

Warnings = tuple[executor_pb2.Warning, ...]
_RAW_LIMIT = 4_000


@dataclass(frozen=True, slots=True)
class Kept:
    """An output as it is answered and as it is stored."""

    message: Message
    stored: dict[str, Any]
    warnings: Warnings = ()


def keep(output: Message, kind: type[Message], masker: Masker, max_bytes: int) -> Kept:
    """Returns what is kept of an output of `kind`: long texts cut, known secrets masked, within `max_bytes`."""
    try:
        return _kept(output, kind, masker, max_bytes)
    except Exception as error:  # noqa: BLE001 - whatever a handler gave back, its effect has happened
        told = f"The handler's output could not be read: {type(error).__name__}."
        return _nothing(kind, warning("OUTPUT_INVALID", told, masker(repr(output))))


def stored(output: Message, masker: Masker) -> dict[str, Any]:
    """Returns an output as it may be stored: secret fields and known secrets masked."""
    clean: dict[str, Any] = _masked(payload.masked_json(output), masker)
    return clean


def keep_later(output: Message, masker: Masker, given: Mapping[str, object]) -> Kept:
    """Returns what is kept of an output that a probe has found.

    Secrets of the input are not kept, so they cannot be masked any more. When the input had any, texts are left out
    unless the input itself holds them.
    """
    clean = stored(output, masker)
    known = set(_texts(given))
    if MASK not in known:
        return Kept(output, clean)
    told = "Texts were left out: the outcome was found afterwards, when the input's secrets could not be masked."
    return Kept(output, _withheld(clean, known), (warning("OUTPUT_WITHHELD", told),))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for item in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from _texts(item)


def _withheld(value: Any, known: Container[str]) -> Any:
    if isinstance(value, str):
        return value if value in known else ""
    if isinstance(value, Mapping):
        return {key: _withheld(item, known) for key, item in value.items()}
    if isinstance(value, list):
        return [_withheld(item, known) for item in value]
    return value


def warning(reason: str, message: str, vendor_answer: str = "") -> executor_pb2.Warning:
    """Returns a warning, the vendor's answer cut to 4,000 characters."""
    return executor_pb2.Warning(reason=reason, message=message, vendor_answer=vendor_answer[:_RAW_LIMIT])


def _kept(output: Message, kind: type[Message], masker: Masker, max_bytes: int) -> Kept:
    if not isinstance(output, kind):
        raise TypeError(kind.DESCRIPTOR.full_name)
    plain = payload.masked_json(output)
    clean = _masked(plain, masker)  # before the cut, which would leave the beginning of a secret
    if clean != plain:
        output = ParseDict(clean, kind(), ignore_unknown_fields=True)
    told = []
    for path in payload.cut(output):
        told.append(warning("OUTPUT_CUT", f"`{path}` was longer than is kept; its end was cut."))
        clean = payload.masked_json(output)
    if violations := payload.violations_of(output):
        broken = "; ".join(f"{one.field}: {one.message}" for one in violations[:5])
        told.append(warning("OUTPUT_INVALID", f"The output breaks its contract: {broken}", str(clean)))
    if output.ByteSize() > max_bytes:
        size = f"The output had {output.ByteSize():,} bytes; more than {max_bytes:,} are not kept."
        return _nothing(kind, *told, warning("OUTPUT_TOO_LARGE", size, str(clean)))
    return Kept(output, clean, tuple(told))


def _nothing(kind: type[Message], *warnings: executor_pb2.Warning) -> Kept:
    return Kept(kind(), payload.to_json(kind()), warnings)


def _masked(value: Any, masker: Masker) -> Any:
    if isinstance(value, str):
        return masker(value)
    if isinstance(value, Mapping):
        return {key: _masked(item, masker) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, masker) for item in value]
    return value
