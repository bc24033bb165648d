"""Failures as exceptions: what a handler raises and the framework records."""

from functools import cache

from server.errors import PatchbayError
from server.gen.patchbay.v1 import failure_pb2

Effect = failure_pb2.Effect
FailureCategory = failure_pb2.FailureCategory

_VENDOR_MESSAGE_LIMIT = 1_000


class ActionFailure(PatchbayError):
    """The action did not succeed.

    Args:
        reason: One of failure.proto's FailureReason without its prefix, or one that the action declares.
        message: What happened and what to do, for people. Never holds a secret.
        effect: Whether the effect happened; NONE unless told otherwise.
        retryable: Whether a repeat may succeed by itself. None: as the reason says.
        retry_after: Seconds to wait before a repeat. None: no advice.
        category: Whom it concerns. None: as the reason says, else INVALID.
        vendor_status: The vendor's HTTP status, 0 without an answer.
        vendor_message: The vendor's own words; cut to 1,000 characters.
        told: The failure from which status and words are taken.
        remedy: What a person can do. None: as the reason says.
        field: Path of the input field at fault.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        effect: failure_pb2.Effect.ValueType = Effect.EFFECT_NONE,
        retryable: bool | None = None,
        retry_after: float | None = None,
        category: failure_pb2.FailureCategory.ValueType | None = None,
        vendor_status: int = 0,
        vendor_message: str = "",
        told: "ActionFailure | None" = None,
        remedy: str | None = None,
        field: str = "",
    ) -> None:
        message = _encodable(message)
        super().__init__(f"{reason}: {message}")
        facts = reason_facts(reason)
        self.failure: failure_pb2.Failure = failure_pb2.Failure(
            reason=reason,
            message=message,
            effect=effect,
            retryable=facts.retryable if retryable is None else retryable,
            category=category or facts.category or FailureCategory.FAILURE_CATEGORY_INVALID,
            vendor_status=told.failure.vendor_status if told else vendor_status,
            vendor_message=told.failure.vendor_message if told else as_vendor_message(vendor_message),
            field=field,
        )
        if retry_after is not None:
            self.failure.retry_after.FromMilliseconds(max(0, round(retry_after * 1000)))
        if text := facts.remedy if remedy is None else remedy:
            self.failure.remedy.text = text

    @classmethod
    def of(cls, failure: failure_pb2.Failure) -> "ActionFailure":
        """Returns the exception for a recorded failure."""
        raised = cls(failure.reason, failure.message)
        raised.failure.CopyFrom(failure)
        return raised


class OutcomeUnknown(ActionFailure):
    """The request went out and nobody can say whether the effect happened."""

    def __init__(self, message: str, *, vendor_status: int = 0, vendor_message: str = "") -> None:
        super().__init__(
            "OUTCOME_UNKNOWN",
            message,
            effect=Effect.EFFECT_UNKNOWN,
            vendor_status=vendor_status,
            vendor_message=vendor_message,
        )


class LeaseLost(PatchbayError):
    """Another replica owns the execution now; nothing may be sent any more."""


def as_vendor_message(text: str) -> str:
    """Returns a vendor's words as a failure can hold them: valid Unicode, 1,000 characters at most."""
    return _encodable(text)[:_VENDOR_MESSAGE_LIMIT]


def _encodable(text: str) -> str:
    """Returns a text that protobuf and PostgreSQL can hold: vendors send half characters and zero bytes."""
    return text.encode(errors="replace").decode().replace("\0", "\N{SYMBOL FOR NULL}")


@cache
def reason_facts(reason: str) -> failure_pb2.ReasonFacts:
    """Returns what failure.proto declares about a common reason; empty facts for a declared one of an action."""
    value = failure_pb2.FailureReason.DESCRIPTOR.values_by_name.get(f"FAILURE_REASON_{reason}")
    if value is None:
        return failure_pb2.ReasonFacts()
    return value.GetOptions().Extensions[failure_pb2.reason]
