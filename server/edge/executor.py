"""The ActionExecutor service."""

from typing import Protocol

from google.protobuf.json_format import ParseDict

from server.contract.payload import masked_json
from server.core.answers import Execution
from server.core.caller import Caller
from server.core.calls import Call, InFlight, Urgency
from server.core.execution import Executor
from server.core.preparation import Preparation
from server.core.refusals import Refusal
from server.core.settling import Executions
from server.edge.rpc import CallInfo
from server.gen.patchbay.v1 import executor_pb2 as pb
from server.sdk.failures import ActionFailure


class Tenants(Protocol):
    """Which tenant a call is for."""

    async def resolve(self, caller: Caller, name: str) -> str:
        """Returns the tenant's id; raises Refusal."""


class ActionExecutorServicer:
    """Executes actions and answers about executions."""

    def __init__(self, tenants: Tenants, executor: Executor, executions: Executions, preparation: Preparation) -> None:
        self._tenants = tenants
        self._executor = executor
        self._executions = executions
        self._preparation = preparation

    async def execute_action(self, request: pb.ExecuteActionRequest, call: CallInfo) -> pb.ExecuteActionResponse:
        """Executes an action."""
        execution = await self._executor.execute(await self._call(request, call))
        _note(call, execution)
        return pb.ExecuteActionResponse(execution=execution)

    async def get_execution(self, request: pb.GetExecutionRequest, call: CallInfo) -> pb.GetExecutionResponse:
        """Returns one execution."""
        tenant = await self._open(request.tenant, call, "executions.read")
        wait = request.wait.ToTimedelta().total_seconds()
        if (left := call.remaining()) is not None:
            wait = min(wait, left * 0.9)
        execution = await self._executions.get(
            tenant, id=request.id, key=request.idempotency_key, wait=wait, typed=request.typed_output
        )
        _note(call, execution)
        return pb.GetExecutionResponse(execution=execution)

    async def list_executions(self, request: pb.ListExecutionsRequest, call: CallInfo) -> pb.ListExecutionsResponse:
        """Returns a page of executions."""
        tenant = await self._open(request.tenant, call, "executions.read")
        return await self._executions.list(tenant, request)

    async def resolve_execution(
        self, request: pb.ResolveExecutionRequest, call: CallInfo
    ) -> pb.ResolveExecutionResponse:
        """Settles an unknown outcome."""
        tenant = await self._open(request.tenant, call, "executions.resolve")
        execution = await self._executions.resolve(tenant, request, call.caller.name)
        _note(call, execution)
        return pb.ResolveExecutionResponse(execution=execution)

    async def cancel_execution(self, request: pb.CancelExecutionRequest, call: CallInfo) -> pb.CancelExecutionResponse:
        """Asks an execution to stop."""
        tenant = await self._open(request.tenant, call, "executions.cancel")
        execution = await self._executions.cancel(tenant, request.id)
        _note(call, execution)
        return pb.CancelExecutionResponse(execution=execution)

    async def validate_action(self, request: pb.ValidateActionRequest, call: CallInfo) -> pb.ValidateActionResponse:
        """Makes all checks without executing."""
        asked = await self._call(request.call, call)
        answer = pb.ValidateActionResponse()
        try:
            checked = self._preparation.check(asked, key_required=False)
        except Refusal as refusal:
            if refusal.reason not in {"INPUT_INVALID", "INPUT_TOO_LARGE"}:
                raise
            for one in refusal.violations:
                answer.violations.add(field=one.field, message=one.message, rule=one.rule)
            return answer
        definition = checked.definition
        answer.action, answer.version, answer.effect_class = definition.id, definition.version, definition.effect
        ParseDict(masked_json(checked.request), answer.input)
        try:
            await self._preparation.connect(checked)
        except ActionFailure as unready:
            answer.failure.CopyFrom(unready.failure)
        existing = await self._executions.existing(asked.tenant, asked.key)
        if existing is not None and (existing.action == definition.id or call.caller.may("executions.read")):
            answer.existing.CopyFrom(existing)
            if not call.caller.may("executions.read"):
                answer.existing.ClearField("output")
        return answer

    async def _open(self, tenant: str, call: CallInfo, permission: str) -> str:
        call.caller.demand(permission)
        call.tenant = await self._tenants.resolve(call.caller, tenant)
        return call.tenant

    async def _call(self, request: pb.ExecuteActionRequest, call: CallInfo) -> Call:
        call.action, call.version, call.actor = request.action, request.version, request.actor
        call.run = (request.run.run_id, request.run.step_path)
        call.tenant = await self._tenants.resolve(call.caller, request.tenant)
        return Call(
            caller=call.caller,
            tenant=call.tenant,
            action=request.action,
            version=request.version,
            input=request.input if request.HasField("input") else None,
            key=request.idempotency_key,
            run=request.run,
            actor=request.actor,
            in_flight=request.in_flight or InFlight.IN_FLIGHT_MODE_ATTACH,
            urgency=request.urgency or Urgency.URGENCY_INTERACTIVE,
            deadline=call.deadline,
            typed=request.input.WhichOneof("encoding") == "proto",
        )


def _note(call: CallInfo, execution: Execution) -> None:
    call.action, call.version, call.execution = execution.action, execution.version, execution.id
    call.outcome = pb.ExecutionState.Name(execution.state).removeprefix("EXECUTION_STATE_")
    call.reason = execution.failure.reason
