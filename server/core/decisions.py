"""What a key that is known already means for a new call: the state machine's incoming side."""

from collections.abc import Callable
from enum import Enum, auto

from server.core.records import NewClaim, Record, State, repeatable
from server.core.refusals import Refusal
from server.sdk.context import Deadline

_KEPT_SECONDS = 60.0


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
    RESUME = auto()
    """It was granted to this very claim, and the answer was lost."""


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


class OwnClaims:
    """The claims of this process that were granted, or may have been, while nobody here heard of it.

    A claim is tried again while the database is away. Whether to take another attempt is asked under the lock of its
    row, so of all claims of this process only the last one that was told to take it can have got it.
    """

    def __init__(self) -> None:
        self._takers: dict[tuple[str, int], NewClaim] = {}
        self._given_up: dict[tuple[str, int], tuple[str, Deadline]] = {}

    def judge(self, window: float | None) -> Decide:
        """Returns `decide` with a window, which also recognizes what its own claim has been granted before."""

        def judged(record: Record, claim: NewClaim) -> Decision:
            attempt = (record.id, record.fence)
            ours = record.state is State.RUNNING and record.owner == claim.owner
            if ours and (attempt == (claim.id, 1) or self._takers.get(attempt) is claim):
                return Decision.RESUME
            decision = decide(record, claim, window)
            if decision is Decision.CLAIM_AGAIN:
                taken = (record.id, record.fence + 1)
                self._takers[taken] = claim
                self._given_up.pop(taken, None)
            return decision

        return judged

    def heard(self, claim: NewClaim) -> None:
        """Forgets a claim that is not tried again."""
        self._takers = {attempt: taker for attempt, taker in self._takers.items() if taker is not claim}

    def give_up(self, claim: NewClaim, keep: float = _KEPT_SECONDS) -> None:
        """Notes that what a claim may have been granted is never sent, for `keep` seconds and the next sweep."""
        attempts = [(claim.id, 1), *(attempt for attempt, taker in self._takers.items() if taker is claim)]
        self._given_up |= {attempt: (claim.owner, Deadline.after(keep)) for attempt in attempts}

    def given_up(self, record: Record) -> bool:
        """Says whether an attempt was granted to a claim that had been given up, so that it never sent anything."""
        owner, _ = self._given_up.get((record.id, record.fence), (None, None))
        return owner is not None and owner == record.owner

    def forget(self) -> None:
        """Forgets claims that were given up long enough ago for a sweep to have found them."""
        self._given_up = {one: kept for one, kept in self._given_up.items() if kept[1].remaining()}

    def __len__(self) -> int:
        return len(self._takers) + len(self._given_up)


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
