"""Refusals: the call itself is not processed. The edge turns them into a gRPC status."""

from collections.abc import Sequence
from dataclasses import dataclass

from server.errors import PatchbayError
from server.gen.patchbay.v1 import failure_pb2


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """A field at fault: its path, what is wrong and what is allowed, the id of the rule."""

    field: str
    message: str
    rule: str = ""


class Refusal(PatchbayError):
    """The call is not processed.

    Args:
        reason: One of failure.proto's RefusalReason without its prefix; it decides the gRPC status.
        message: What is wrong, for people.
        violations: The fields at fault.
        retry_after: Seconds to wait before the next try.
        details: Facts for programs, such as the id of the execution that holds the key.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        violations: Sequence[FieldViolation] = (),
        retry_after: float | None = None,
        **details: str,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.violations = tuple(violations)
        self.retry_after = retry_after
        self.details = details
        self.facts = refusal_facts(reason)


def refusal_facts(reason: str) -> failure_pb2.RefusalFacts:
    """Returns what failure.proto declares about a refusal; raises KeyError for an undeclared one."""
    value = failure_pb2.RefusalReason.DESCRIPTOR.values_by_name[f"REFUSAL_REASON_{reason}"]
    return value.GetOptions().Extensions[failure_pb2.refusal]
