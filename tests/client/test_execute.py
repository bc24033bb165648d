"""Executing once: keys, waiting, attaching again, typed failures."""

from concurrent.futures import Future
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from patchbay_client import errors, key_for

from server.gen.patchbay.v1 import executor_pb2 as pb
from server.gen.patchbay.v1 import failure_pb2
from tests.client.playing import Received, Stage, because, stage

EXECUTE, GET = "ActionExecutor/ExecuteAction", "ActionExecutor/GetExecution"
CODE = grpc.StatusCode


def execution(state: str, **fields: Any) -> pb.Execution:
    """An execution in a state."""
    return pb.Execution(id="11111111-1111-4111-8111-111111111111", state=f"EXECUTION_STATE_{state}", **fields)


def done(**output: Any) -> pb.Execution:
    """A successful execution with a JSON output."""
    result = execution("SUCCEEDED")
    result.output.json.update(output)
    return result


def failed(reason: str, state: str = "FAILED", **fields: Any) -> pb.Execution:
    """An execution with a failure."""
    return execution(state, failure=failure_pb2.Failure(reason=reason, message="what happened", **fields))


def answer(received: Received, told: pb.Execution) -> None:
    """Answers a call with an execution."""
    kind = pb.ExecuteActionResponse if received.path == EXECUTE else pb.GetExecutionResponse
    received.answer(kind(execution=told))


def start(played: Stage, **options: Any) -> "Future[Any]":
    """Starts an execution with a key."""
    return played.call(played.client.execute, "a.b", {"n": 1}, **{"key": "k", **options})


def test_request_and_output() -> None:
    """The request carries tenant, input, key, run and mode; the output is a dict with whole numbers."""
    with stage(tenant="acme", api_key="pb_1") as played:
        result = played.call(
            played.client.execute,
            "a.b",
            {"text": "x", "list": [1, None]},
            run="run-1",
            step="s",
            iteration=(2, 3),
            attempt=4,
            version=5,
            actor="someone",
            bulk=True,
        )
        received = played.take(EXECUTE)
        answer(received, done(exit_code=3, ratio=0.5))
        outcome = result.result()
    request = received.request
    assert received.metadata["authorization"] == "Bearer pb_1"
    assert (request.tenant, request.action, request.version, request.actor) == ("acme", "a.b", 5, "someone")
    assert dict(request.input.json) == {"text": "x", "list": request.input.json["list"]}
    assert request.idempotency_key == key_for("run-1", "s", iteration=(2, 3))
    assert (request.run.run_id, request.run.step_path, request.run.attempt) == ("run-1", "s[2][3]", 4)
    assert request.in_flight == pb.IN_FLIGHT_MODE_ATTACH
    assert request.urgency == pb.URGENCY_BULK
    assert outcome.output == {"exit_code": 3, "ratio": 0.5}
    assert type(outcome.output["exit_code"]) is int
    assert outcome.succeeded


def test_bytes_in_bytes_out() -> None:
    """An input given as bytes goes as bytes, and its output is asked for and returned as bytes."""
    with stage() as played:
        result = played.call(played.client.execute, "a.b", b"\x0a\x01x", key="k")
        received = played.take(EXECUTE)
        assert received.request.input.proto == b"\x0a\x01x"
        answer(received, execution("RUNNING"))
        look = played.take(GET)
        assert look.request.typed_output
        answer(look, execution("SUCCEEDED", output=pb.Payload(proto=b"\x08\x03")))
        outcome = result.result()
    assert (outcome.output_bytes, outcome.output) == (b"\x08\x03", {})


def test_waits_for_a_running_execution() -> None:
    """RUNNING is followed with GetExecution, which waits at the server, until the end."""
    with stage(tenant="acme") as played:
        result = start(played)
        answer(played.take(EXECUTE), execution("RUNNING"))
        look = played.take(GET)
        assert look.request.id == execution("RUNNING").id
        assert look.request.tenant == "acme"
        assert look.request.wait == Duration(seconds=30)
        answer(look, execution("RUNNING"))
        answer(played.take(GET), done(n=1))
        assert result.result().output == {"n": 1}


def test_server_that_does_not_wait_is_not_hurried() -> None:
    """Looks that answer at once are spaced by growing pauses."""
    with stage() as played:
        result = start(played)
        answer(played.take(EXECUTE), execution("RUNNING"))
        for _ in range(5):
            answer(played.take(GET), execution("RUNNING"))
        answer(played.take(GET), done())
        result.result()
    assert played.clock.pauses == [0.2, 0.4, 0.8, 1.6, 2.0]


def test_time_runs_out() -> None:
    """At the deadline of the caller a running execution is raised as such, with the execution."""
    with stage() as played:
        result = start(played, timeout=1.0)
        answer(played.take(EXECUTE), execution("RUNNING"))
        for _ in range(3):
            answer(played.take(GET), execution("RUNNING"))
        with pytest.raises(errors.StillRunning) as caught:
            result.result()
    assert caught.value.execution.running
    assert sum(played.clock.pauses) == pytest.approx(1.0)


def test_no_waiting() -> None:
    """Without waiting a running execution is returned as it is, after one call."""
    with stage() as played:
        result = start(played, wait=False)
        received = played.take(EXECUTE)
        assert received.request.in_flight == pb.IN_FLIGHT_MODE_RETURN
        answer(received, execution("RUNNING"))
        assert result.result().running


def test_attaches_again_with_the_same_key() -> None:
    """A connection lost before the answer: the very same request is made again."""
    with stage() as played:
        result = start(played)
        first = played.take(EXECUTE)
        first.refuse(CODE.UNAVAILABLE, "Socket closed")
        second = played.take(EXECUTE)
        assert second.request == first.request
        answer(second, done(n=2))
        assert result.result().output == {"n": 2}


def test_attaches_again_while_waiting() -> None:
    """A connection lost while waiting: ExecuteAction with the same key is what is repeated."""
    with stage() as played:
        result = start(played)
        first = played.take(EXECUTE)
        answer(first, execution("RUNNING"))
        played.take(GET).refuse(CODE.UNAVAILABLE, "gone")
        again = played.take(EXECUTE)
        assert again.request == first.request
        answer(again, done(n=3))
        assert result.result().output == {"n": 3}


def test_server_that_falls_silent_while_waiting() -> None:
    """A look without an answer in its own time counts as a lost server, not as the end."""
    with stage() as played:
        result = start(played)
        answer(played.take(EXECUTE), execution("RUNNING"))
        played.take(GET).refuse(CODE.DEADLINE_EXCEEDED, "Deadline Exceeded")
        answer(played.take(EXECUTE), done(n=4))
        assert result.result().output == {"n": 4}


def test_interrupted_is_taken_up_again() -> None:
    """What a stopping server gave back with nothing sent is claimed again under the same key."""
    with stage() as played:
        result = start(played)
        first = played.take(EXECUTE)
        answer(first, failed("INTERRUPTED", retryable=True, effect="EFFECT_NONE"))
        again = played.take(EXECUTE)
        assert again.request.idempotency_key == first.request.idempotency_key
        answer(again, done(n=5))
        assert result.result().output == {"n": 5}


def test_fail_mode_does_not_fail_on_itself() -> None:
    """With `fail`, an attach after a lost connection must not be refused because of the first call."""
    with stage() as played:
        result = start(played, in_flight="fail")
        first = played.take(EXECUTE)
        assert first.request.in_flight == pb.IN_FLIGHT_MODE_FAIL
        first.refuse(CODE.UNAVAILABLE, "gone")
        again = played.take(EXECUTE)
        assert again.request.in_flight == pb.IN_FLIGHT_MODE_ATTACH
        answer(again, done())
        assert result.result().succeeded


def test_refusals_are_not_repeated() -> None:
    """A key reused for another input is raised after one call."""
    with stage() as played:
        result = start(played)
        played.take(EXECUTE).refuse(CODE.ALREADY_EXISTS, "reused", because("IDEMPOTENCY_KEY_REUSED"))
        with pytest.raises(errors.KeyReused):
            result.result()


def test_server_stays_away() -> None:
    """A server that never comes back is given up as unavailable."""
    with stage(outage=0.5) as played:
        result = start(played)
        for _ in range(3):
            played.take(EXECUTE).refuse(CODE.UNAVAILABLE, "gone")
        with pytest.raises(errors.Unavailable):
            result.result()


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        (failed("NOT_FOUND", effect="EFFECT_NONE"), errors.ActionFailed),
        (failed("AGENT_OFFLINE", retryable=True, effect="EFFECT_NONE"), errors.RetryableFailure),
        (failed("OUTCOME_UNKNOWN", "UNKNOWN", effect="EFFECT_UNKNOWN"), errors.OutcomeUnknown),
    ],
)
def test_failures_are_typed(told: pb.Execution, kind: type[errors.ActionFailed]) -> None:
    """An execution that did not succeed is raised as the type of its failure, with both attached."""
    told.failure.retry_after.FromMilliseconds(1500)
    with stage() as played:
        result = start(played)
        answer(played.take(EXECUTE), told)
        with pytest.raises(errors.ActionFailed, match=r"what happened") as caught:
            result.result()
    assert type(caught.value) is kind
    assert caught.value.failure.reason == told.failure.reason
    assert caught.value.execution.id == told.id
    assert caught.value.retry_after == 1.5


def test_failures_as_data() -> None:
    """With `raise_on_failure` off a failure is returned, as engines store it."""
    with stage() as played:
        result = start(played, raise_on_failure=False)
        answer(played.take(EXECUTE), failed("AGENT_OFFLINE", retryable=True))
        outcome = result.result()
    assert outcome.failure.reason == "AGENT_OFFLINE"
    assert not outcome.succeeded


def test_bad_input_is_not_sent() -> None:
    """An input without a JSON form raises before any call."""
    with stage() as played, pytest.raises(errors.InputNotJson):
        played.client.execute("a.b", {"when": object()}, key="k")


@pytest.mark.parametrize("timeout", [0, -1])
def test_a_deadline_is_always_set(timeout: float) -> None:
    """There is no call without a deadline: none or a negative time is refused."""
    with stage() as played, pytest.raises(ValueError, match="more than 0"):
        played.client.execute("a.b", {}, timeout=timeout)
