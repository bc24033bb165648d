"""The modules' own services: one rpc per action, the envelope in metadata, a failure as a gRPC status.

Metadata: `x-patchbay-tenant`, `idempotency-key`, `x-patchbay-run-id`, `x-patchbay-step-path`, `x-patchbay-attempt`,
`x-patchbay-actor`, `x-patchbay-urgency` (`bulk`), `x-patchbay-in-flight` (`return`, `fail`). The answer's trailing
metadata tell `x-patchbay-execution`, `x-patchbay-state` and `x-patchbay-replayed`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import grpc

from server.core.calls import Call, InFlight, Urgency
from server.core.execution import Executor
from server.core.refusals import FieldViolation, Refusal
from server.core.registry import RegisteredAction, Registry
from server.edge.executor import Tenants
from server.edge.rpc import CallInfo, Context, Gatekeeper, check
from server.edge.status import failure_status
from server.gen.patchbay.v1 import executor_pb2 as pb
from server.sdk.failures import ActionFailure, Effect

V = TypeVar("V")
_MODES = {
    "": InFlight.IN_FLIGHT_MODE_ATTACH,
    "attach": InFlight.IN_FLIGHT_MODE_ATTACH,
    "return": InFlight.IN_FLIGHT_MODE_RETURN,
    "fail": InFlight.IN_FLIGHT_MODE_FAIL,
}
_URGENCIES = {
    "": Urgency.URGENCY_INTERACTIVE,
    "interactive": Urgency.URGENCY_INTERACTIVE,
    "bulk": Urgency.URGENCY_BULK,
}
_MOST_ATTEMPTS = 2**31 - 1


class DirectHandlers(grpc.GenericRpcHandler):
    """Serves every rpc of every registered module through the same pipeline as ExecuteAction."""

    def __init__(self, registry: Registry, tenants: Tenants, executor: Executor, gate: Gatekeeper) -> None:
        self._tenants = tenants
        self._executor = executor
        self._gate = gate
        self._methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            action.definition.rpc: grpc.unary_unary_rpc_method_handler(self._serve(action))
            for action in registry.actions
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Returns the handler of an rpc, None for one that is not an action."""
        return self._methods.get(handler_call_details.method)

    def _serve(self, action: RegisteredAction) -> Callable[[bytes, Context], Awaitable[bytes]]:
        operation = action.definition.rpc.removeprefix("/")

        async def serve(data: bytes, context: Context) -> bytes:
            call: CallInfo | None = None
            try:
                call = await self._gate.open(operation, context)
                execution = await self._execute(action, data, call)
            except asyncio.CancelledError:  # the client has left, or its time is over; the call is audited all the same
                if call is not None:
                    call.outcome = "CANCELLED"
                await self._gate.close(call, None, context)
                raise
            except Exception as error:
                await self._gate.close(call, error, context)
                raise
            await self._gate.close(call, None, context)
            if execution.state != pb.EXECUTION_STATE_SUCCEEDED:
                status = _status(execution)
                # The metadata of a status replace what was set before.
                await context.abort(status.code, status.details, (*status.trailing_metadata, *_trailers(execution)))
            context.set_trailing_metadata(_trailers(execution))
            return execution.output.proto

        return serve

    async def _execute(self, action: RegisteredAction, data: bytes, info: CallInfo) -> pb.Execution:
        definition, metadata = action.definition, info.metadata
        info.action, info.version = definition.id, definition.version
        request = _envelope(definition.id, metadata)
        check(request)
        info.tenant = await self._tenants.resolve(info.caller, request.tenant)
        info.actor, info.run = request.actor, (request.run.run_id, request.run.step_path)
        execution = await self._executor.execute(
            Call(
                caller=info.caller,
                tenant=info.tenant,
                action=definition.id,
                version=definition.version,
                input=pb.Payload(proto=data),
                key=request.idempotency_key,
                run=request.run,
                actor=request.actor,
                in_flight=request.in_flight,
                urgency=request.urgency,
                deadline=info.deadline,
                typed=True,
            )
        )
        info.execution = execution.id
        info.outcome = pb.ExecutionState.Name(execution.state).removeprefix("EXECUTION_STATE_")
        info.reason = execution.failure.reason
        return execution


def _envelope(action: str, metadata: Mapping[str, str]) -> pb.ExecuteActionRequest:
    attempt = metadata.get("x-patchbay-attempt", "0")
    if not (attempt.isdecimal() and len(attempt) <= len(str(_MOST_ATTEMPTS)) and int(attempt) <= _MOST_ATTEMPTS):
        raise _wrong("x-patchbay-attempt", f"must be a whole number up to {_MOST_ATTEMPTS}")
    run = pb.RunContext(
        run_id=metadata.get("x-patchbay-run-id", ""),
        step_path=metadata.get("x-patchbay-step-path", ""),
        attempt=int(attempt),
    )
    return pb.ExecuteActionRequest(
        tenant=metadata.get("x-patchbay-tenant", ""),
        action=action,
        idempotency_key=metadata.get("idempotency-key", ""),
        run=run,
        actor=metadata.get("x-patchbay-actor", ""),
        in_flight=_one_of(_MODES, "x-patchbay-in-flight", metadata),
        urgency=_one_of(_URGENCIES, "x-patchbay-urgency", metadata),
    )


def _one_of(known: Mapping[str, V], name: str, metadata: Mapping[str, str]) -> V:
    value = known.get(metadata.get(name, ""))
    if value is None:
        raise _wrong(name, f"must be one of {', '.join(filter(None, known))}")
    return value


def _wrong(name: str, wanted: str) -> Refusal:
    violation = FieldViolation(name, wanted)
    return Refusal("INPUT_INVALID", f"The metadata are not valid. {name}: {wanted}", violations=[violation])


def _trailers(execution: pb.Execution) -> tuple[tuple[str, str], ...]:
    return (
        ("x-patchbay-execution", execution.id),
        ("x-patchbay-state", pb.ExecutionState.Name(execution.state).removeprefix("EXECUTION_STATE_")),
        ("x-patchbay-replayed", "true" if execution.replayed else "false"),
    )


def _status(execution: pb.Execution) -> Any:
    if execution.state == pb.EXECUTION_STATE_RUNNING:
        unsettled = ActionFailure("STILL_RUNNING", "The execution goes on.", effect=Effect.EFFECT_UNKNOWN)
        return failure_status(unsettled.failure)
    return failure_status(execution.failure)
