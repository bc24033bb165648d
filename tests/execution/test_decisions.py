"""The state machine's incoming side, case by case."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from server.core.decisions import Decision, decide
from server.core.records import EffectClass, NewClaim, Record, State
from server.core.refusals import Refusal

NOW = datetime(2026, 6, 1, tzinfo=UTC)
CLAIM = NewClaim(
    tenant="t",
    id="new",
    key="k",
    action="a.b.c",
    version=1,
    effect_class=EffectClass.EFFECT_CLASS_NON_IDEMPOTENT,
    owner="me",
    fingerprint=b"1",
    algorithm="sha256-v1",
    connection_id=None,
    input={},
    run_id="",
    step_path="",
    engine_attempt=0,
    caller="local",
    actor="",
    peer="",
    sent=False,
)
RUNNING = Record(
    tenant="t",
    id="old",
    key="k",
    action="a.b.c",
    version=1,
    effect_class=EffectClass.EFFECT_CLASS_NON_IDEMPOTENT,
    state=State.RUNNING,
    attempt=1,
    fence=1,
    owner="other",
    owner_alive=True,
    sent_at=None,
    first_sent_at=None,
    claimable=False,
    fingerprint=b"1",
    algorithm="sha256-v1",
    connection_id=None,
    input=None,
    output=None,
    failure=None,
    warnings=(),
    evidence={},
    resolution=None,
    budget_wait=0.0,
    run_id="",
    step_path="",
    engine_attempt=0,
    caller="local",
    actor="",
    probes=0,
    payload_dropped=False,
    created_at=NOW,
    started_at=NOW,
    completed_at=None,
    now=NOW,
)
SENT = replace(RUNNING, sent_at=NOW, first_sent_at=NOW)
NONE = {"effect": "EFFECT_NONE"}
UNSURE = {"effect": "EFFECT_UNKNOWN"}
WINDOW = 60.0


def classed(record: Record, name: str) -> Record:
    """The record of an action of another class."""
    return replace(record, effect_class=EffectClass.Value(f"EFFECT_CLASS_{name}"))


CASES = {
    "running, owner alive": (RUNNING, Decision.FOLLOW),
    "sent, owner alive": (SENT, Decision.FOLLOW),
    "not sent, owner gone": (replace(RUNNING, owner_alive=False), Decision.CLAIM_AGAIN),
    "sent, owner gone": (replace(SENT, owner_alive=False), Decision.SETTLE_UNKNOWN),
    "opaque, sent, owner gone": (classed(replace(SENT, owner_alive=False), "OPAQUE"), Decision.SETTLE_UNKNOWN),
    "idempotent, sent, owner gone": (classed(replace(SENT, owner_alive=False), "IDEMPOTENT"), Decision.CLAIM_AGAIN),
    "keyed, in its window": (classed(replace(SENT, owner_alive=False), "VENDOR_KEYED"), Decision.CLAIM_AGAIN),
    "keyed, past its window": (
        classed(replace(SENT, owner_alive=False, now=NOW + timedelta(seconds=61)), "VENDOR_KEYED"),
        Decision.SETTLE_UNKNOWN,
    ),
    "succeeded": (replace(SENT, state=State.SUCCEEDED), Decision.REPLAY),
    "unknown": (replace(SENT, state=State.UNKNOWN), Decision.REPLAY),
    "failed for good": (replace(RUNNING, state=State.FAILED, failure=NONE), Decision.REPLAY),
    "failed, nothing happened, retryable": (
        replace(RUNNING, state=State.FAILED, failure=NONE, claimable=True),
        Decision.CLAIM_AGAIN,
    ),
    "keyed, failed unsure, past its window": (
        classed(
            replace(SENT, state=State.FAILED, failure=UNSURE, claimable=True, now=NOW + timedelta(seconds=61)),
            "VENDOR_KEYED",
        ),
        Decision.REPLAY,
    ),
}


@pytest.mark.parametrize(("record", "wanted"), CASES.values(), ids=CASES)
def test_state_machine_decides(record: Record, wanted: Decision) -> None:
    """Every state of a known key has exactly one answer."""
    assert decide(record, CLAIM, WINDOW) is wanted


MISUSES = {
    "another input": (replace(RUNNING, fingerprint=b"2"), "IDEMPOTENCY_KEY_REUSED"),
    "another action": (replace(RUNNING, action="x.y.z"), "IDEMPOTENCY_KEY_REUSED"),
    "another version": (replace(RUNNING, version=2), "IDEMPOTENCY_KEY_REUSED"),
    "tombstone": (replace(RUNNING, state=State.SUCCEEDED, payload_dropped=True), "IDEMPOTENCY_KEY_RETIRED"),
}


@pytest.mark.parametrize(("record", "reason"), MISUSES.values(), ids=MISUSES)
def test_rule_2_and_15_misused_keys_are_refused(record: Record, reason: str) -> None:
    """A key with another input, action or version, and a tombstoned key, never run."""
    with pytest.raises(Refusal) as refused:
        decide(record, CLAIM, WINDOW)
    assert refused.value.reason == reason
