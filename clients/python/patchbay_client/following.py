"""Carrying an execution through lost connections and waiting until it has ended."""

import datetime as dt

from patchbay_client import calls
from patchbay_client.errors import CallRefused, DeadlineExceeded, Unavailable
from patchbay_client.execution import Execution
from patchbay_client.gen.patchbay import v1
from patchbay_client.plans import Deadline, Outage, Pause, Plan, Session, ask

_LONGEST_WAIT = 30.0  # seconds asked for in one GetExecution: proxies cut calls that are silent for a minute
_GRACE = 5.0  # seconds that an answer may come later than the wait asked for
_SHORTEST_PAUSE = 0.2
_LONGEST_PAUSE = 2.0


def carried_through(
    session: Session, request: v1.ExecuteActionRequest, deadline: Deadline, *, wait: bool
) -> Plan[Execution]:
    """Executes, attaching again with the same request whenever the server is lost, until the deadline."""
    outage = Outage(session, deadline)
    while True:
        try:
            execution = yield from _attached(request, deadline, outage, wait=wait)
        except CallRefused as refusal:
            yield from outage.bridge(refusal)
        else:
            if not (wait and _interrupted(execution) and (yield from outage.pause())):
                return execution
        if request.in_flight == v1.InFlightMode.FAIL:  # what is in flight from now on is this very call
            request.in_flight = v1.InFlightMode.ATTACH if wait else v1.InFlightMode.RETURN


def _attached(request: v1.ExecuteActionRequest, deadline: Deadline, outage: Outage, *, wait: bool) -> Plan[Execution]:
    answer = yield from ask(calls.EXECUTE_ACTION, request, deadline.left())
    execution = Execution(answer.execution or v1.Execution())
    if _interrupted(execution):
        return execution
    outage.over()
    if not wait:
        return execution
    typed = request.input is not None and request.input.proto is not None
    look = v1.GetExecutionRequest(tenant=request.tenant, id=execution.id, typed_output=typed)
    return (yield from followed(execution, look, deadline))


def _interrupted(execution: Execution) -> bool:
    """Whether a stopping server gave the call back with nothing sent: the same key takes it up again."""
    return execution.failure is not None and execution.failure.reason == "INTERRUPTED"


def followed(execution: Execution, look: v1.GetExecutionRequest, deadline: Deadline) -> Plan[Execution]:
    """Looks at an execution until it has ended or the deadline is over; returns it as last seen."""
    pause = _SHORTEST_PAUSE
    while execution.running and deadline.left() > 0:
        before = deadline.left()
        try:
            execution = yield from looked(look, deadline)
        except DeadlineExceeded as late:
            if deadline.left() > 0:
                raise Unavailable(late.status, "the server did not answer in the time it was given") from late
            return execution
        if execution.running and before - deadline.left() < pause:  # it does not wait: do not hurry it
            yield Pause(min(pause, deadline.left()))
            pause = min(pause * 2, _LONGEST_PAUSE)
    return execution


def looked(look: v1.GetExecutionRequest, deadline: Deadline) -> Plan[Execution]:
    """Asks once for an execution, letting the server wait for its end within the deadline."""
    left = deadline.left()
    wait = min(_LONGEST_WAIT, max(0.0, left - _SHORTEST_PAUSE))
    look.wait = dt.timedelta(seconds=wait)
    answer = yield from ask(calls.GET_EXECUTION, look, min(left, wait + _GRACE))
    return Execution(answer.execution or v1.Execution())
