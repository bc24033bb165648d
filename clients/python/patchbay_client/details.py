"""Reading the details of a gRPC status: the trailing metadata `grpc-status-details-bin`.

Its bytes are a `google.rpc.Status`. The few messages needed are declared here by their published field
numbers (google/rpc/status.proto, google/rpc/error_details.proto), so that no protobuf runtime is needed.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field

import betterproto2

from patchbay_client.gen.google.protobuf import Duration

TRAILER = "grpc-status-details-bin"


@dataclass(eq=False, repr=False)
class AnyDetail(betterproto2.Message):
    """google.protobuf.Any."""

    type_url: "str" = betterproto2.field(1, betterproto2.TYPE_STRING)
    value: "bytes" = betterproto2.field(2, betterproto2.TYPE_BYTES)


@dataclass(eq=False, repr=False)
class Status(betterproto2.Message):
    """google.rpc.Status."""

    code: "int" = betterproto2.field(1, betterproto2.TYPE_INT32)
    message: "str" = betterproto2.field(2, betterproto2.TYPE_STRING)
    details: "list[AnyDetail]" = betterproto2.field(3, betterproto2.TYPE_MESSAGE, repeated=True)


@dataclass(eq=False, repr=False)
class ErrorInfo(betterproto2.Message):
    """google.rpc.ErrorInfo."""

    reason: "str" = betterproto2.field(1, betterproto2.TYPE_STRING)
    domain: "str" = betterproto2.field(2, betterproto2.TYPE_STRING)
    metadata: "dict[str, str]" = betterproto2.field(
        3,
        betterproto2.TYPE_MAP,
        map_meta=betterproto2.map_meta(betterproto2.TYPE_STRING, betterproto2.TYPE_STRING),
    )


@dataclass(eq=False, repr=False)
class RetryInfo(betterproto2.Message):
    """google.rpc.RetryInfo."""

    retry_delay: "dt.timedelta | None" = betterproto2.field(
        1, betterproto2.TYPE_MESSAGE, unwrap=lambda: Duration, optional=True
    )


@dataclass(eq=False, repr=False)
class FieldViolation(betterproto2.Message):
    """google.rpc.BadRequest.FieldViolation; `reason` holds the rule's id."""

    field: "str" = betterproto2.field(1, betterproto2.TYPE_STRING)
    description: "str" = betterproto2.field(2, betterproto2.TYPE_STRING)
    reason: "str" = betterproto2.field(3, betterproto2.TYPE_STRING)


@dataclass(eq=False, repr=False)
class BadRequest(betterproto2.Message):
    """google.rpc.BadRequest."""

    field_violations: "list[FieldViolation]" = betterproto2.field(1, betterproto2.TYPE_MESSAGE, repeated=True)


@dataclass(eq=False, repr=False)
class HelpLink(betterproto2.Message):
    """google.rpc.Help.Link."""

    description: "str" = betterproto2.field(1, betterproto2.TYPE_STRING)
    url: "str" = betterproto2.field(2, betterproto2.TYPE_STRING)


@dataclass(eq=False, repr=False)
class Help(betterproto2.Message):
    """google.rpc.Help."""

    links: "list[HelpLink]" = betterproto2.field(1, betterproto2.TYPE_MESSAGE, repeated=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A request field at fault: its path, what is wrong and allowed, the rule's id (empty: not told)."""

    field: str
    message: str
    rule: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What a refused call told beside its status.

    Attributes:
        reason: `RefusalReason` without its prefix. Empty: the answer did not come from Patchbay.
        facts: Further facts that came with the reason, such as `remedy`.
        retry_after: Seconds to wait before calling again. None: no advice.
        violations: The request fields at fault.
    """

    reason: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    retry_after: float | None = None
    violations: tuple[Violation, ...] = ()


def read_details(trailers: Iterable[tuple[str, str | bytes]] | None) -> Details:
    """Returns what the trailing metadata of a refused call says; empty when it says nothing readable."""
    for key, value in trailers or ():
        if key == TRAILER and isinstance(value, bytes):
            try:
                return _collected(Status.parse(value).details)
            except Exception:  # noqa: BLE001 - a proxy's own bytes under this name may break any part of a decoder
                return Details()
    return Details()


def _collected(details: Iterable[AnyDetail]) -> Details:
    found = {detail.type_url.rpartition("/")[2]: detail.value for detail in details}
    info = ErrorInfo.parse(found.get("google.rpc.ErrorInfo", b""))
    retry = RetryInfo.parse(found.get("google.rpc.RetryInfo", b""))
    bad = BadRequest.parse(found.get("google.rpc.BadRequest", b""))
    return Details(
        reason=info.reason if info.domain == "patchbay" else "",
        facts=_facts(info, Help.parse(found.get("google.rpc.Help", b""))),
        retry_after=None if retry.retry_delay is None else retry.retry_delay.total_seconds(),
        violations=tuple(
            Violation(field=item.field, message=item.description, rule=item.reason) for item in bad.field_violations
        ),
    )


def _facts(info: ErrorInfo, guidance: Help) -> dict[str, str]:
    facts = dict(info.metadata)
    if guidance.links:
        facts.setdefault("remedy", guidance.links[0].description)
        facts.setdefault("link", guidance.links[0].url)
    return {name: text for name, text in facts.items() if text}
