"""Looking at executions, settling unknown outcomes, asking running ones to stop."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from uuid import UUID

from google.protobuf.message import Message

from server.contract import payload
from server.contract.problems import PayloadInvalid
from server.core import answers
from server.core.answers import Execution
from server.core.execution import Executor
from server.core.page_tokens import page_token, read_page_token
from server.core.ports import InvocationStore, UpkeepStore
from server.core.preparation import input_refusal
from server.core.records import Outcome, Record, State
from server.core.refusals import Refusal
from server.core.registry import RegisteredAction, Registry
from server.gen.patchbay.v1 import executor_pb2
from server.sdk.context import Deadline
from server.sdk.failures import ActionFailure, Effect

_PAGE = 50


class Executions:
    """The executions of tenants."""

    def __init__(
        self,
        registry: Registry,
        store: InvocationStore,
        upkeep: UpkeepStore,
        executor: Executor,
        cancel_here: Callable[[str], None],
    ) -> None:
        self._registry = registry
        self._store = store
        self._upkeep = upkeep
        self._executor = executor
        self._cancel_here = cancel_here

    async def get(
        self, tenant: str, *, id: str = "", key: str = "", wait: float = 0.0, typed: bool = False
    ) -> Execution:
        """Returns one execution, after waiting up to `wait` seconds for its end."""
        record = await self._find(tenant, id=id, key=key)
        if wait:
            record = await self._executor.outcome_of(record, Deadline.after(wait), outlive=True)
        return self._answer(record, typed=typed, with_input=True)

    async def list(
        self, tenant: str, request: executor_pb2.ListExecutionsRequest
    ) -> executor_pb2.ListExecutionsResponse:
        """Returns a page, newest first, without payloads."""
        size = request.page_size or _PAGE
        state = executor_pb2.ExecutionState.Name(request.state).removeprefix("EXECUTION_STATE_")
        records = await self._upkeep.list(
            tenant,
            action=request.action or None,
            state=None if state == "UNSPECIFIED" else state,
            run_id=request.run_id or None,
            before=read_page_token(request.page_token, _place),
            limit=size + 1,
        )
        page = records[:size]
        token = page_token(page[-1].created_at.isoformat(), page[-1].id) if len(records) > size else ""
        executions = [self._answer(record) for record in page]
        return executor_pb2.ListExecutionsResponse(executions=executions, next_page_token=token)

    async def resolve(self, tenant: str, request: executor_pb2.ResolveExecutionRequest, caller: str) -> Execution:
        """Settles an unknown outcome by a person's word."""
        record = await self._find(tenant, id=request.id)
        outcome = self._verdict(record, request)
        resolution = {
            "source": "RESOLUTION_SOURCE_PERSON",
            "actor": request.actor or caller,
            "reason": request.reason,
            "time": datetime.now(UTC).isoformat(),
        }
        if not await self._store.settle(tenant, request.id, outcome, resolution):
            raise Refusal(
                "EXECUTION_STATE",
                f"Only an execution of unknown outcome can be settled; this one is {record.state}.",
                execution=record.id,
                state=str(record.state),
            )
        return self._answer(await self._find(tenant, id=request.id))

    async def cancel(self, tenant: str, id: str) -> Execution:
        """Asks an execution to stop. What was sent is finished; what was not sent never is."""
        record = await self._find(tenant, id=id)
        if record.state is State.RUNNING:
            self._cancel_here(id)  # first: a local effect holds the lock of its row while it runs
            await self._store.request_cancel(tenant, id)
            record = await self._executor.outcome_of(record, Deadline.after(1.0))
        return self._answer(record)

    async def existing(self, tenant: str, key: str) -> Execution | None:
        """Returns the execution that a key names already."""
        record = await self._store.find(tenant, key) if key else None
        return None if record is None else self._answer(record)

    async def _find(self, tenant: str, *, id: str = "", key: str = "") -> Record:
        record = await (self._store.get(tenant, id) if id else self._store.find(tenant, key))
        if record is None:
            raise Refusal("EXECUTION_UNKNOWN", "The tenant has no such execution.")
        return record

    def _answer(self, record: Record, *, typed: bool = False, with_input: bool = False) -> Execution:
        action = self._action(record)
        definition = action.definition if action else None
        return answers.recorded(record, definition, replayed=True, typed=typed, with_input=with_input)

    def _action(self, record: Record) -> RegisteredAction | None:
        try:
            return self._registry.action(record.action, record.version)
        except Refusal:
            return None

    def _verdict(self, record: Record, request: executor_pb2.ResolveExecutionRequest) -> Outcome:
        if request.WhichOneof("verdict") == "succeeded":
            return Outcome(state=State.SUCCEEDED, output=self._told_output(record, request.succeeded))
        effect = request.failed.effect or Effect.EFFECT_NONE
        failure = ActionFailure(
            "SETTLED_AS_FAILED",
            request.failed.message or request.reason,
            effect=effect,
            retryable=effect == Effect.EFFECT_NONE,
        ).failure
        return Outcome(state=State.FAILED, failure=failure, claimable=failure.retryable)

    def _told_output(self, record: Record, told: executor_pb2.Payload) -> dict[str, object]:
        action = self._action(record)
        if action is None or told.WhichOneof("encoding") is None:
            return {} if action is None else payload.to_json(action.definition.output.message_class())
        try:
            message: Message = (
                payload.parse_struct(action.definition.output, told.json)
                if told.WhichOneof("encoding") == "json"
                else payload.parse_bytes(action.definition.output, told.proto)
            )
        except PayloadInvalid as invalid:
            raise input_refusal(invalid.violations, "succeeded") from None
        return payload.masked_json(message)


def _place(texts: Sequence[str]) -> tuple[datetime, str]:
    at, id = texts
    return datetime.fromisoformat(at).astimezone(UTC), str(UUID(id))
