"""What an ended handler means for the record. Pure: the state machine's outgoing side."""

import asyncio
from dataclasses import replace

from server.core.records import EffectClass, Outcome, State
from server.errors import DatabaseUnavailable
from server.gen.patchbay.v1 import executor_pb2, failure_pb2
from server.sdk.failures import ActionFailure, Effect, LeaseLost, OutcomeUnknown

_KEYLESS = frozenset({EffectClass.EFFECT_CLASS_NON_IDEMPOTENT, EffectClass.EFFECT_CLASS_OPAQUE})


def failed(failure: failure_pb2.Failure, effect_class: int, *, budget_wait: float = 0.0) -> Outcome:
    """Returns the outcome of a failure, by its effect and the action's class.

    Effect UNKNOWN is the state UNKNOWN for NON_IDEMPOTENT and OPAQUE actions. For the others a repeat is harmless:
    the failure is retryable and the key may be claimed again.
    """
    told = failure_pb2.Failure()
    told.CopyFrom(failure)
    if told.effect == Effect.EFFECT_UNKNOWN and effect_class in _KEYLESS:
        told.retryable = False
        return Outcome(state=State.UNKNOWN, failure=told, budget_wait=budget_wait)
    if told.effect == Effect.EFFECT_UNKNOWN:
        told = _repeatable_failure(told, effect_class)
    claimable = told.retryable and told.effect != Effect.EFFECT_APPLIED
    return Outcome(state=State.FAILED, failure=told, claimable=claimable, budget_wait=budget_wait)


def _repeatable_failure(failure: failure_pb2.Failure, effect_class: int) -> failure_pb2.Failure:
    lost = ActionFailure(
        "VENDOR_UNAVAILABLE",
        f"{failure.message} Repeating the call is harmless.",
        vendor_status=failure.vendor_status,
        vendor_message=failure.vendor_message,
    ).failure
    if effect_class != EffectClass.EFFECT_CLASS_READ:
        lost.effect = Effect.EFFECT_UNKNOWN
    return lost


def failure_of(error: BaseException, *, sent: bool, execution_id: str) -> failure_pb2.Failure:
    """Translates whatever ended a handler into a failure. `sent`: a write may have left."""
    if isinstance(error, ActionFailure):
        return error.failure
    if sent:
        return _unknown(error).failure
    for kind, reason, told in _BEFORE_SENDING:
        if isinstance(error, kind):
            return ActionFailure(reason, f"{told} before anything was sent.").failure
    return ActionFailure(
        "INTERNAL", f"Patchbay failed before anything was sent; the log has execution {execution_id}."
    ).failure


_BEFORE_SENDING = (
    # Only a cancelled execution is still ours to record; of one that another server runs, this is not told.
    (LeaseLost, "CANCELLED", "It was cancelled"),
    (DatabaseUnavailable, "INTERRUPTED", "The database went away"),
    (TimeoutError, "TIMED_OUT", "The action's time ran out"),
    (asyncio.CancelledError, "INTERRUPTED", "The server stopped"),
)


def _unknown(error: BaseException) -> OutcomeUnknown:
    if isinstance(error, TimeoutError):
        return OutcomeUnknown("The action's time ran out after the request was sent.")
    if isinstance(error, asyncio.CancelledError):
        return OutcomeUnknown("The server stopped after the request was sent.")
    return OutcomeUnknown("Patchbay failed after the request was sent.")


def bare(outcome: Outcome) -> Outcome:
    """Returns an outcome without what the database may have refused to store: output, warnings, evidence."""
    lost = executor_pb2.Warning(reason="OUTPUT_NOT_STORED", message="The output could not be stored.")
    if outcome.output is None:
        return replace(outcome, warnings=(), evidence={})
    return replace(outcome, output={}, warnings=(lost,), evidence={})


def lost_owner(effect_class: int, *, sent: bool, again: bool) -> Outcome:
    """Returns the outcome of an execution whose owner is gone. `again`: the class allows a repeat."""
    if sent and not again:
        unknown = OutcomeUnknown("The server that ran this stopped after the request was sent.")
        return Outcome(state=State.UNKNOWN, failure=unknown.failure)
    if not sent:
        interrupted = ActionFailure("INTERRUPTED", "The server that ran this stopped before anything was sent.")
        return Outcome(state=State.FAILED, failure=interrupted.failure, claimable=True)
    repeat = ActionFailure(
        "INTERRUPTED",
        "The server that ran this stopped after the request was sent. Repeating the call is harmless.",
        effect=Effect.EFFECT_NONE if effect_class == EffectClass.EFFECT_CLASS_READ else Effect.EFFECT_UNKNOWN,
    )
    return Outcome(state=State.FAILED, failure=repeat.failure, claimable=True)
