"""Calling a handler: its scope, its context, its deadline, and what its answer means."""

import asyncio
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import structlog
from google.protobuf.message import Message

from server.contract import payload
from server.contract.definitions import ActionDefinition
from server.core import outcomes, outputs
from server.core.calls import Urgency
from server.core.connections import ActiveConnection
from server.core.gates import gate
from server.core.ports import Stores
from server.core.preparation import Checked
from server.core.records import Origin, Outcome, State, repeatable
from server.errors import PatchbayError
from server.gen.patchbay.v1 import executor_pb2, failure_pb2
from server.sdk.context import ActionContext, Deadline, LocalTransaction
from server.sdk.masking import Masker
from server.sdk.scope import CallScope, entered, no_writes

_log = structlog.get_logger(__name__)
_TOLD_LIMIT = 4_000
_SHORTEST_VARIABLE = 8


@dataclass(frozen=True, slots=True)
class Result:
    """What a handler came to. `output` is None unless it succeeded."""

    outcome: Outcome
    output: Message | None = None


class Handling:
    """Calls handlers."""

    def __init__(self, stores: Stores, *, max_output_bytes: int) -> None:
        self._stores = stores
        self._max_output_bytes = max_output_bytes

    def scope(self, checked: Checked, connection: ActiveConnection | None, *, sent: bool = False) -> CallScope:
        """Returns the limits of one execution."""
        definition = checked.definition
        seconds = definition.timeout
        if checked.is_read and (due := checked.remaining) is not None:
            seconds = min(seconds, due)
        secrets = set(connection.secrets) if connection else set()
        if definition.input.has_secrets:
            secrets |= _with_variable_values(payload.secret_values(checked.request))
        return CallScope(
            deadline=Deadline.after(seconds),
            masker=Masker(secrets),
            mark_sent=no_writes,
            repeatable=_is_repeatable(definition),
            budget=gate(
                self._stores.budgets,
                definition,
                checked.request,
                tenant=checked.call.tenant,
                connection_id=connection.id if connection else None,
                interactive=checked.call.urgency != Urgency.URGENCY_BULK,
            ),
            sent=sent,
        )

    async def handle(
        self,
        checked: Checked,
        connection: ActiveConnection | None,
        id: str,
        attempt: int,
        scope: CallScope,
        transaction: LocalTransaction | None = None,
    ) -> Result:
        """Calls the handler and judges what it did. Cancelling it before anything was sent raises CancelledError."""
        warnings: list[executor_pb2.Warning] = []
        context = self._context(checked, connection, id, attempt, scope, warnings, transaction)
        try:
            async with entered(scope), asyncio.timeout(scope.deadline.remaining()):
                output = await checked.action.handler(checked.request, context)
        except asyncio.CancelledError:
            if not scope.sent:
                raise
            error: BaseException = asyncio.CancelledError()
        except Exception as caught:  # noqa: BLE001 - whatever a handler raises becomes a failure
            error = caught
        else:
            return self._succeeded(checked.definition, output, scope, warnings)
        return self._failed(checked, error, scope, id)

    def _context(
        self,
        checked: Checked,
        connection: ActiveConnection | None,
        id: str,
        attempt: int,
        scope: CallScope,
        warnings: list[executor_pb2.Warning],
        transaction: LocalTransaction | None,
    ) -> ActionContext[Any]:
        call = checked.call
        provider = checked.action.module.definition.provider

        def remember(facts: Mapping[str, str]) -> None:
            scope.evidence.update({name: _whole(fact) for name, fact in facts.items()})

        def warn(reason: str, message: str, vendor_answer: str = "") -> None:
            warnings.append(outputs.warning(reason, scope.masker(_whole(message)), scope.masker(_whole(vendor_answer))))

        return ActionContext(
            client=connection.client if connection else None,
            tenant=call.tenant,
            action=checked.definition.id,
            execution_id=id,
            idempotency_key=call.key,
            attempt=attempt,
            deadline=scope.deadline,
            actor=call.actor,
            log=_log.bind(tenant=call.tenant, action=checked.definition.id, execution=id),
            inventory=self._stores.inventory(call.tenant, provider),
            alerts=self._stores.alerts(call.tenant, provider, connection.id if connection else ""),
            accounts=self._stores.accounts(call.tenant),
            conversations=self._stores.conversations(call.tenant),
            schedule=self._stores.schedule(
                call.tenant, transaction=transaction, origin=_origin(checked, id) if transaction else None
            ),
            lock=lambda *parts: self._stores.locks.hold(call.tenant, "/".join((provider, *parts)), scope.deadline),
            remember=remember,
            warn=warn,
            transaction=transaction,
        )

    def _succeeded(
        self, definition: ActionDefinition, output: Message, scope: CallScope, warnings: list[executor_pb2.Warning]
    ) -> Result:
        kept = outputs.keep(output, definition.output.message_class, scope.masker, self._max_output_bytes)
        outcome = Outcome(
            state=State.SUCCEEDED,
            output=kept.stored,
            warnings=(*warnings, *kept.warnings),
            budget_wait=scope.budget_wait,
            evidence=scope.evidence,
        )
        return Result(outcome, kept.message)

    def _failed(self, checked: Checked, error: BaseException, scope: CallScope, id: str) -> Result:
        failure = failure_pb2.Failure()
        failure.CopyFrom(outcomes.failure_of(error, sent=scope.sent, execution_id=id))
        failure.message = scope.masker(failure.message)
        failure.vendor_message = scope.masker(failure.vendor_message)
        _complete(failure, checked.definition)
        if failure.reason == "INTERNAL" or not _is_expected(error):
            _log.error(
                "handler failed",
                execution=id,
                action=checked.definition.id,
                error=type(error).__name__,
                told=scope.masker(str(error))[:_TOLD_LIMIT],
                trace=where(error),
            )
        outcome = outcomes.failed(failure, checked.definition.effect, budget_wait=scope.budget_wait)
        return Result(replace(outcome, evidence=scope.evidence))


def _origin(checked: Checked, id: str) -> Origin:
    call, run = checked.call, checked.call.run
    definition = checked.definition
    who = (call.caller.name, call.actor, call.caller.peer)
    return Origin(*who, definition.id, definition.version, id, run.run_id, run.step_path)


def _is_repeatable(definition: ActionDefinition) -> bool:
    return repeatable(definition.effect, definition.vendor_keyed_window, None, datetime.now(UTC))


def _is_expected(error: BaseException) -> bool:
    return isinstance(error, PatchbayError | TimeoutError | asyncio.CancelledError)


def _whole(text: str) -> str:
    """Returns a text without halves of surrogate pairs: vendors' JSON may hold them, nothing of ours takes them."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def where(error: BaseException) -> list[str]:
    """Returns file, line and function of each frame, without any values."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}" for frame in frames]


def _complete(failure: failure_pb2.Failure, definition: ActionDefinition) -> None:
    """Fills in what the action's contract declares about the reason."""
    declared = next((one for one in definition.failures if one.reason == failure.reason), None)
    if declared is None:
        return
    failure.retryable = failure.retryable or declared.retryable
    if not failure.remedy.text:
        failure.remedy.text = declared.remedy


def _with_variable_values(secrets: frozenset[str]) -> set[str]:
    """Adds the value of every `NAME=value`, because that is what a script would print."""
    values = {secret.partition("=")[2] for secret in secrets}
    return set(secrets) | {value for value in values if len(value) >= _SHORTEST_VARIABLE}
