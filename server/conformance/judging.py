"""What an execution may tell after something went wrong, by the action's effect class."""

from typing import Any

from google.protobuf.json_format import MessageToDict

from server.conformance.ecma import EcmaValidator
from server.contract.definitions import ActionDefinition, EffectClass
from server.contract.options import COMMON_REASONS
from server.gen.patchbay.v1 import executor_pb2, failure_pb2
from server.sdk.failures import reason_facts

SUCCEEDED = executor_pb2.EXECUTION_STATE_SUCCEEDED
FAILED = executor_pb2.EXECUTION_STATE_FAILED
UNKNOWN = executor_pb2.EXECUTION_STATE_UNKNOWN
RUNNING = executor_pb2.EXECUTION_STATE_RUNNING
NONE, APPLIED, DOUBT = failure_pb2.EFFECT_NONE, failure_pb2.EFFECT_APPLIED, failure_pb2.EFFECT_UNKNOWN

_KEYLESS = (EffectClass.EFFECT_CLASS_NON_IDEMPOTENT, EffectClass.EFFECT_CLASS_OPAQUE)


def is_read(action: ActionDefinition) -> bool:
    """Says whether it changes nothing."""
    return action.effect == EffectClass.EFFECT_CLASS_READ


def is_keyless(action: ActionDefinition) -> bool:
    """Says whether it must never be sent twice."""
    return action.effect in _KEYLESS


def told(execution: executor_pb2.Execution) -> str:
    """Returns an execution in a few words, for messages."""
    state = executor_pb2.ExecutionState.Name(execution.state).removeprefix("EXECUTION_STATE_")
    failure = execution.failure
    effect = failure_pb2.Effect.Name(failure.effect)
    return f"{state} {failure.reason} {effect} {failure.message} {failure.vendor_message}".strip()


def check_manners(action: ActionDefinition, execution: executor_pb2.Execution) -> None:
    """Checks what holds for every answer: a failure that says all that it must, in the words of the contract."""
    failure, words = execution.failure, told(execution)
    assert execution.state in (SUCCEEDED, FAILED, UNKNOWN), words
    if execution.state == SUCCEEDED:
        assert not execution.HasField("failure"), words
        return
    declared = {one.reason: one for one in action.failures}
    assert failure.reason in COMMON_REASONS | declared.keys(), f"neither common nor declared: {words}"
    assert failure.reason != "INTERNAL", f"a defect: {words}"
    assert failure.message, f"without a message: {words}"
    assert failure.category, f"without a category: {words}"
    assert failure.effect, f"without an effect: {words}"
    if failure.reason in declared or reason_facts(failure.reason).remedy:
        assert failure.remedy.text, f"without a remedy: {words}"
    if execution.state == UNKNOWN:
        assert is_keyless(action), f"a repeat is harmless, so this is not UNKNOWN: {words}"
        assert (failure.reason, failure.effect, failure.retryable) == ("OUTCOME_UNKNOWN", DOUBT, False), words
    elif is_keyless(action) or is_read(action):
        assert failure.effect != DOUBT, f"FAILED, and nobody knows: {words}"


def check_success(action: ActionDefinition, execution: executor_pb2.Execution) -> None:
    """Checks a success, and that the schema accepts its output."""
    check_manners(action, execution)
    assert execution.state == SUCCEEDED, told(execution)
    output: Any = MessageToDict(execution.output.json)
    assert [error.message for error in EcmaValidator(action.output.schema.bundled).iter_errors(output)] == []


def check_refused(action: ActionDefinition, execution: executor_pb2.Execution, reasons: frozenset[str]) -> None:
    """Checks the answer after the vendor refused before it did anything."""
    words = told(execution)
    assert execution.state == FAILED, f"the vendor refused: {words}"
    assert execution.failure.effect == NONE, f"nothing happened: {words}"
    allowed = reasons | {one.reason for one in action.failures}
    assert execution.failure.reason in allowed, f"wanted one of {', '.join(sorted(allowed))}: {words}"


def check_doubtful(action: ActionDefinition, execution: executor_pb2.Execution, *, effects: int, usual: int) -> None:
    """Checks the answer after the write may or may not have arrived.

    Args:
        action: The action.
        execution: The answer.
        effects: How many effects there really were.
        usual: How many an undisturbed execution has; 0: it changes only what is ours.
    """
    words, state, effect = told(execution), execution.state, execution.failure.effect
    if state == SUCCEEDED:
        assert effects or not usual, f"nothing happened: {words}"
    elif is_keyless(action) and state == FAILED:
        assert (effect == APPLIED) == bool(effects), f"{effects} effects: {words}"
    elif state == FAILED:
        assert execution.failure.retryable or effect != DOUBT, f"a repeat is harmless: {words}"
        assert not effects or effect != NONE, f"{effects} effects: {words}"
