"""Executing an action once, and waiting for its end.

How `execute` keeps its promise: the key makes every repetition safe, so a call whose connection was lost is
simply made again with the same key and attaches to what is running. An execution that answers as RUNNING is
followed with GetExecution, and when that connection is lost, ExecuteAction is what is repeated, because it
also claims an execution that a dying server had not begun.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from patchbay_client.errors import StillRunning
from patchbay_client.execution import Execution
from patchbay_client.following import carried_through
from patchbay_client.gen.patchbay import v1
from patchbay_client.keys import key_for
from patchbay_client.plans import Deadline, Plan, Session
from patchbay_client.values import to_struct

Input = Mapping[str, Any] | bytes
"""An action's input: a JSON object, or the serialized request message of the action's rpc."""
WhenInFlight = Literal["attach", "return", "fail"]

_IN_FLIGHT = {
    "attach": v1.InFlightMode.ATTACH,
    "return": v1.InFlightMode.RETURN,
    "fail": v1.InFlightMode.FAIL,
}


def execute(
    session: Session,
    action: str,
    inputs: Input | None = None,
    *,
    tenant: str | None = None,
    key: str = "",
    run: str = "",
    step: str = "",
    iteration: int | str | Sequence[int | str] = (),
    attempt: int = 0,
    version: int = 0,
    actor: str = "",
    bulk: bool = False,
    timeout: float | None = None,
    wait: bool = True,
    in_flight: WhenInFlight | None = None,
    raise_on_failure: bool = True,
) -> Plan[Execution]:
    """Executes an action once, and waits for its end.

    Args:
        session: The client's defaults.
        action: Id of the action.
        inputs: Its input: a JSON object, or the bytes of its typed request message.
        tenant: Tenant, by id or slug. None: the client's.
        key: Idempotency key. Empty: made from `run` and `step`; actions that only read need none.
        run: The engine's run.
        step: The step within the run.
        iteration: Loop index or indexes, outermost first; part of the key.
        attempt: The engine's own attempt, from 1; not part of the key.
        version: Version. 0: the newest; engines pin one.
        actor: On whose behalf. Empty: the caller itself.
        bulk: Nobody waits for the answer; leaves vendor budgets to those who do.
        timeout: Seconds for all of it. None: the client's `execute_timeout`.
        wait: False: return what runs already as it is.
        in_flight: What to do when the key is in flight: `attach`, `return`, `fail`. None: as `wait` says.
        raise_on_failure: False: return an execution that failed or still runs instead of raising.

    Returns:
        The execution. With `wait` it has ended, unless `raise_on_failure` is off and time ran out.

    Raises:
        CallRefused: The call was not processed; see the subclasses.
        ActionFailed: The action failed: `RetryableFailure`, `OutcomeUnknown` or itself.
        StillRunning: Time ran out first. Call again with the same key to wait on.
        InputNotJson: The input has no JSON form.
    """
    if not key and run and step:
        key = key_for(run, step, iteration=iteration)
    request = execute_request(session, action, inputs, tenant=tenant, key=key, version=version)
    request.run = _run_context(run, step, iteration, attempt)
    request.actor = actor
    request.in_flight = _IN_FLIGHT[in_flight or ("attach" if wait else "return")]
    request.urgency = v1.Urgency.BULK if bulk else v1.Urgency.INTERACTIVE
    deadline = Deadline(session, session.execute_timeout if timeout is None else timeout)
    execution = yield from carried_through(session, request, deadline, wait=wait)
    if raise_on_failure:
        execution.raise_for_failure()
        if wait and execution.running:
            raise StillRunning(execution)
    return execution


def execute_request(
    session: Session,
    action: str,
    inputs: Input | None,
    *,
    tenant: str | None,
    key: str,
    version: int,
) -> v1.ExecuteActionRequest:
    """Returns the request for an execution."""
    return v1.ExecuteActionRequest(
        tenant=session.tenant_of(tenant),
        action=action,
        version=version,
        input=payload(inputs),
        idempotency_key=key,
    )


def payload(inputs: Input | None) -> v1.Payload | None:
    """Returns an input as a payload. None: there is none."""
    if inputs is None:
        return None
    return v1.Payload(proto=inputs) if isinstance(inputs, bytes) else v1.Payload(json=to_struct(inputs))


def _run_context(run: str, step: str, iteration: int | str | Sequence[int | str], attempt: int) -> v1.RunContext | None:
    if not (run or step or attempt):
        return None
    indexes = (iteration,) if isinstance(iteration, int | str) else iteration
    path = step + "".join(f"[{index}]" for index in indexes)
    return v1.RunContext(run_id=run, step_path=path, attempt=attempt)
