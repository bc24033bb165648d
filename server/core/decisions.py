"""What a key that is known already means for a new call. Pure: the state machine's incoming side."""

from collections.abc import Callable
from enum import Enum, auto

from server.core.records import NewClaim, Record, State, repeatable
from server.core.refusals import Refusal


class Decision(Enum):
    """What to do with a known key."""

    REPLAY = auto()
    """Answer from the record."""
    FOLLOW = auto()
    """Somebody runs it: attach, or say that it is running."""
    CLAIM_AGAIN = auto()
    """Claim it for another attempt."""
    SETTLE_UNKNOWN = auto()
    """Its owner is gone after the send mark: record that the outcome is unknown, then answer from the record."""


Decide = Callable[[Record, NewClaim], Decision]


def decide(record: Record, claim: NewClaim, window: float | None) -> Decision:
    """Decides about a known key. `window` is that of a VENDOR_KEYED action, in seconds.

    Raises:
        Refusal: IDEMPOTENCY_KEY_REUSED for another input, IDEMPOTENCY_KEY_RETIRED for a tombstone.
    """
    _refuse_misuse(record, claim)
    again = repeatable(record.effect_class, window, record.first_sent_at, record.now)
    if record.state is State.RUNNING:
        if record.owner_alive:
            return Decision.FOLLOW
        return Decision.CLAIM_AGAIN if record.sent_at is None or again else Decision.SETTLE_UNKNOWN
    if record.state is State.FAILED and record.claimable:
        return Decision.CLAIM_AGAIN if _nothing_happened(record) or again else Decision.REPLAY
    return Decision.REPLAY


def _nothing_happened(record: Record) -> bool:
    return (record.failure or {}).get("effect") == "EFFECT_NONE"


def _refuse_misuse(record: Record, claim: NewClaim) -> None:
    if (record.action, record.version) != (claim.action, claim.version):
        raise Refusal(
            "IDEMPOTENCY_KEY_REUSED",
            f"The idempotency key was used with {record.action} version {record.version}.",
            execution=record.id,
        )
    if record.algorithm == claim.algorithm and record.fingerprint != claim.fingerprint:
        raise Refusal(
            "IDEMPOTENCY_KEY_REUSED",
            "The idempotency key was used with another input or connection.",
            execution=record.id,
        )
    if record.payload_dropped:
        raise Refusal(
            "IDEMPOTENCY_KEY_RETIRED",
            f"The idempotency key belongs to an execution of {record.created_at:%Y-%m-%d} that "
            f"ended as {record.state}; its result is no longer kept.",
            execution=record.id,
            state=str(record.state),
        )
