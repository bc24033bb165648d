"""From records and outcomes to the Execution that a caller sees."""

from dataclasses import dataclass
from datetime import datetime

from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from server.contract.definitions import ActionDefinition
from server.contract.payload import fill_struct, to_json
from server.core.calls import Call
from server.core.records import Outcome, Record, State, failure_from_json
from server.gen.patchbay.v1 import executor_pb2, failure_pb2
from server.sdk.times import set_timestamp

Execution = executor_pb2.Execution

_STATES = {
    State.RUNNING: executor_pb2.EXECUTION_STATE_RUNNING,
    State.SUCCEEDED: executor_pb2.EXECUTION_STATE_SUCCEEDED,
    State.FAILED: executor_pb2.EXECUTION_STATE_FAILED,
    State.UNKNOWN: executor_pb2.EXECUTION_STATE_UNKNOWN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """When things happened. None: they have not."""

    created: datetime | None = None
    started: datetime | None = None
    sent: datetime | None = None
    completed: datetime | None = None


def fresh(
    call: Call, action: ActionDefinition, id: str, attempt: int, outcome: Outcome, output: Message | None, times: Times
) -> Execution:
    """Returns the answer to the call that ran the action."""
    execution = _head(call.tenant, id, action, outcome.state, attempt)
    execution.idempotency_key = call.key
    execution.actor = call.actor
    if call.run.ByteSize():
        execution.run.CopyFrom(call.run)
    if output is not None:
        _set_output(execution, output, typed=call.typed)
    if outcome.failure is not None:
        execution.failure.CopyFrom(outcome.failure)
    execution.warnings.extend(outcome.warnings)
    if outcome.budget_wait:
        execution.budget_wait.FromMilliseconds(round(outcome.budget_wait * 1000))
    _set_times(execution, times)
    return execution


def refused(call: Call, action: ActionDefinition, failure: failure_pb2.Failure) -> Execution:
    """Returns the answer to a call that failed before its claim: nothing was stored, so it has no id (rule 6)."""
    outcome = Outcome(state=State.FAILED, failure=failure)
    return fresh(call, action, "", 0, outcome, None, Times())


def recorded(
    record: Record, action: ActionDefinition | None, *, replayed: bool, typed: bool = False, with_input: bool = False
) -> Execution:
    """Returns an execution from its record. `action` is None when it is no longer registered: JSON only then."""
    execution = executor_pb2.Execution(
        id=record.id,
        tenant=record.tenant,
        action=record.action,
        version=record.version,
        state=_STATES[record.state],
        replayed=replayed,
        attempt=record.attempt,
        idempotency_key=record.key or "",
        effect_class=record.effect_class,  # type: ignore[arg-type] # the stored number of the enum
        actor=record.actor,
        payload_dropped=record.payload_dropped,
    )
    if record.run_id or record.step_path:
        execution.run.run_id, execution.run.step_path = record.run_id, record.step_path
        execution.run.attempt = record.engine_attempt
    _set_result(execution, record, action, typed=typed)
    if with_input and record.input is not None:
        fill_struct(execution.input, record.input)
    if record.budget_wait:
        execution.budget_wait.FromMilliseconds(round(record.budget_wait * 1000))
    _set_times(execution, times_of(record))
    return execution


def times_of(record: Record) -> Times:
    """Returns when the things of a record happened."""
    return Times(
        created=record.created_at, started=record.started_at, sent=record.sent_at, completed=record.completed_at
    )


def _set_result(execution: Execution, record: Record, action: ActionDefinition | None, *, typed: bool) -> None:
    if record.failure is not None:
        execution.failure.CopyFrom(failure_from_json(record.failure))
    if record.output is not None and typed and action is not None:
        message = ParseDict(dict(record.output), action.output.message_class(), ignore_unknown_fields=True)
        _set_output(execution, message, typed=True)
    elif record.output is not None:
        fill_struct(execution.output.json, record.output)
    for warning in record.warnings:
        execution.warnings.add(**warning)
    if record.resolution is not None:
        ParseDict(dict(record.resolution), execution.resolution, ignore_unknown_fields=True)


def _head(tenant: str, id: str, action: ActionDefinition, state: State, attempt: int) -> Execution:
    return executor_pb2.Execution(
        id=id,
        tenant=tenant,
        action=action.id,
        version=action.version,
        state=_STATES[state],
        attempt=attempt,
        effect_class=action.effect,
    )


def _set_output(execution: Execution, output: Message, *, typed: bool) -> None:
    if typed:
        execution.output.proto = output.SerializeToString(deterministic=True)
    else:
        fill_struct(execution.output.json, to_json(output))


def _set_times(execution: Execution, times: Times) -> None:
    if times.created:
        set_timestamp(execution.create_time, times.created)
    if times.started:
        set_timestamp(execution.start_time, times.started)
    if times.sent:
        set_timestamp(execution.send_time, times.sent)
    if times.completed:
        set_timestamp(execution.complete_time, times.completed)
