"""Looking at executions, settling and cancelling them, and checking a call without making it."""

from typing import Literal

from patchbay_client import calls
from patchbay_client.errors import CallRefused
from patchbay_client.executing import Input, execute_request, payload
from patchbay_client.execution import Execution, ExecutionPage
from patchbay_client.following import followed, looked
from patchbay_client.gen.patchbay import v1
from patchbay_client.plans import Deadline, Outage, Plan, Session, asked

Verdict = Literal["succeeded", "nothing_happened", "something_happened"]


def validate(
    session: Session,
    action: str,
    inputs: Input | None = None,
    *,
    tenant: str | None = None,
    key: str = "",
    version: int = 0,
) -> Plan[v1.ValidateActionResponse]:
    """Makes all checks of `execute` without executing: says what would be sent, secrets masked.

    Returns:
        The answer; `violations` and `failure` say what stands in the way.
    """
    call = execute_request(session, action, inputs, tenant=tenant, key=key, version=version)
    return (yield from asked(session, calls.VALIDATE_ACTION, v1.ValidateActionRequest(call=call)))


def get_execution(
    session: Session,
    execution_id: str = "",
    *,
    key: str = "",
    tenant: str | None = None,
    wait: float = 0.0,
    typed_output: bool = False,
) -> Plan[Execution]:
    """Returns one execution by its id or its key, waiting up to `wait` seconds for its end.

    Raises:
        ValueError: Neither or both of id and key are given.
        NotFound: There is none.
    """
    if bool(execution_id) == bool(key):
        raise ValueError("name an execution by its id or by its key")
    request = v1.GetExecutionRequest(
        tenant=session.tenant_of(tenant),
        id=execution_id or None,
        idempotency_key=key or None,
        typed_output=typed_output,
    )
    if wait <= 0:
        answer = yield from asked(session, calls.GET_EXECUTION, request)
        return _execution(answer.execution)
    return (yield from _waited(session, request, wait))


def _waited(session: Session, request: v1.GetExecutionRequest, wait: float) -> Plan[Execution]:
    deadline = Deadline(session, wait)
    outage = Outage(session, deadline)
    while True:
        try:
            first = yield from looked(request, deadline)
            outage.over()
            return (yield from followed(first, request, deadline))
        except CallRefused as refusal:
            yield from outage.bridge(refusal)


def list_executions(
    session: Session,
    *,
    tenant: str | None = None,
    action: str = "",
    state: v1.ExecutionState = v1.ExecutionState.UNSPECIFIED,
    run: str = "",
    page_size: int = 0,
    page_token: str = "",
) -> Plan[ExecutionPage]:
    """Returns a page of executions, newest first, without their inputs and outputs."""
    request = v1.ListExecutionsRequest(
        tenant=session.tenant_of(tenant),
        action=action,
        state=state,
        run_id=run,
        page_size=page_size,
        page_token=page_token,
    )
    answer = yield from asked(session, calls.LIST_EXECUTIONS, request)
    return ExecutionPage(tuple(Execution(item) for item in answer.executions), answer.next_page_token)


def resolve_execution(
    session: Session,
    execution_id: str,
    verdict: Verdict,
    *,
    reason: str,
    output: Input | None = None,
    message: str = "",
    actor: str = "",
    tenant: str | None = None,
) -> Plan[Execution]:
    """Settles an execution whose outcome is unknown.

    Args:
        session: The client's defaults.
        execution_id: Id of the execution.
        verdict: What a person found. After `nothing_happened` the key may be used again.
        reason: How the person knows.
        output: The output as far as it is known, for `succeeded`.
        message: What happened, for people. Empty: the reason.
        actor: Who decided. Empty: the caller.
        tenant: Tenant. None: the client's.

    Raises:
        WrongState: Its outcome is not unknown.
    """
    request = v1.ResolveExecutionRequest(tenant=session.tenant_of(tenant), id=execution_id, reason=reason, actor=actor)
    if verdict == "succeeded":
        request.succeeded = payload(output) or v1.Payload()
    else:
        effect = v1.Effect.NONE if verdict == "nothing_happened" else v1.Effect.APPLIED
        request.failed = v1.FailedVerdict(effect=effect, message=message)
    answer = yield from asked(session, calls.RESOLVE_EXECUTION, request)
    return _execution(answer.execution)


def cancel_execution(
    session: Session, execution_id: str, *, reason: str = "", tenant: str | None = None
) -> Plan[Execution]:
    """Asks a running execution to stop. It stays RUNNING while what was sent is being finished."""
    request = v1.CancelExecutionRequest(tenant=session.tenant_of(tenant), id=execution_id, reason=reason)
    answer = yield from asked(session, calls.CANCEL_EXECUTION, request)
    return _execution(answer.execution)


def _execution(message: v1.Execution | None) -> Execution:
    return Execution(message or v1.Execution())
