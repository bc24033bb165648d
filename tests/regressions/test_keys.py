"""Keys: spent by failures, shared by accident, raced for."""

import asyncio

import grpc
import pytest
from patchbay_client import key_for

from server.gen.patchbay.v1 import executor_pb2, failure_pb2
from tests.support.grpc_errors import refused
from tests.support.served import Served

pytestmark = pytest.mark.anyio

SUCCEEDED = executor_pb2.EXECUTION_STATE_SUCCEEDED
FAILED = executor_pb2.EXECUTION_STATE_FAILED


async def test_a1_r1_a_passing_failure_leaves_the_key_usable(served: Served) -> None:
    """After a failure without effect the same call under the same key runs and succeeds, as attempt 2."""
    served.lab.control.add_fault("status", method="POST", path_regex="^/things", status=429, times=0)
    first = await served.execute("post", {"name": "a"}, "k")
    served.lab.control.clear_faults()
    again = await served.execute("post", {"name": "a"}, "k")
    assert (first.state, first.failure.reason, first.failure.retryable) == (FAILED, "RATE_LIMITED", True)
    assert (again.state, again.attempt, again.id, again.replayed) == (SUCCEEDED, 2, first.id, False)
    assert served.lab.posts() == 1


async def test_a1_r1_a_final_failure_is_told_again_word_for_word(served: Served) -> None:
    """After a failure that a repeat cannot mend the same key tells the first error, and nothing is sent."""
    fault = {"status": 409, "body": {"error": "it is locked"}}
    served.lab.control.add_fault("status", method="POST", path_regex="^/things", **fault)
    first = await served.execute("post", {"name": "a"}, "k")
    again = await served.execute("post", {"name": "a"}, "k")
    assert (first.failure.reason, "it is locked" in first.failure.vendor_message) == ("CONFLICT", True)
    assert (again.failure, again.replayed, served.lab.posts()) == (first.failure, True, 0)


async def test_a4_another_input_under_a_known_key_gets_no_answer_of_another_call(served: Served) -> None:
    """The second input is refused with the reason; the first output is not given for it."""
    await served.execute("post", {"name": "first"}, "k")
    with refused("IDEMPOTENCY_KEY_REUSED", grpc.StatusCode.ALREADY_EXISTS):
        await served.execute("post", {"name": "second"}, "k")
    assert [one["target"] for one in served.lab.control.effects(kind="post").items] == ["first"]


def rolling(text: str) -> int:
    """The 32-bit hash that engines like to use: times 31, plus the next character."""
    value = 0
    for character in text:
        value = (value * 31 + ord(character)) & 0xFFFFFFFF
    return value


async def test_a5_inputs_that_meet_in_a_short_hash_are_told_apart(served: Served) -> None:
    """Inputs that share a 32-bit hash: the key is refused for the second one. Steps that share it have two keys."""
    assert rolling("Aa") == rolling("BB")
    await served.execute("post", {"name": "Aa"}, "k")
    with refused("IDEMPOTENCY_KEY_REUSED", grpc.StatusCode.ALREADY_EXISTS):
        await served.execute("post", {"name": "BB"}, "k")
    assert key_for("run", "Aa") != key_for("run", "BB")


async def test_a6_replaying_a_run_repeats_no_effect(served: Served) -> None:
    """An engine that runs the same steps of a run again, as attempt 2, derives the same keys and gets the records."""
    executions = []
    for attempt in (1, 2):
        for step in ("open", "close"):
            run = executor_pb2.RunContext(run_id="run-1", step_path=step, attempt=attempt)
            done = await served.execute("post", {"name": step}, key_for("run-1", step), run=run)
            executions.append((done.id, done.replayed))
    assert [replayed for _, replayed in executions] == [False, False, True, True]
    assert executions[0][0] == executions[2][0]
    assert served.lab.posts() == 2


async def test_r3_the_loser_of_a_race_waits_and_gets_the_outcome(served: Served) -> None:
    """Sixteen calls at once under one key: one effect, one execution, and every caller is told its output."""
    calls = (served.execute("post_slowly", {"name": "a"}, "k") for _ in range(16))
    answers = await asyncio.gather(*calls)
    assert {(one.id, one.state, one.output.json["thing"]["id"]) for one in answers} == {(answers[0].id, SUCCEEDED, "1")}
    assert sum(not one.replayed for one in answers) == 1
    assert served.lab.posts() == 1


async def test_r5_passes_of_a_loop_with_equal_input_are_different_calls(served: Served) -> None:
    """Three passes over equal items make three effects, and each pass repeated makes none."""
    keys = [key_for("run", "each", iteration=index) for index in range(3)]
    for key in [*keys, *keys]:
        await served.execute("post", {"name": "same"}, key)
    assert served.lab.posts() == 3


async def test_r6_a_key_of_the_author_outlives_a_failed_run(served: Served) -> None:
    """The author's key counts as it is given: a run that failed does not poison it, one that succeeded is replayed."""
    served.lab.control.add_fault("reset_before", path_regex="^/things/a", times=0)
    runs = [executor_pb2.RunContext(run_id=f"run-{number}", step_path="s") for number in range(3)]
    first = await served.execute("post_slowly", {"name": "a"}, "ticket-4711", run=runs[0])
    served.lab.control.clear_faults()
    second = await served.execute("post_slowly", {"name": "a"}, "ticket-4711", run=runs[1])
    third = await served.execute("post_slowly", {"name": "a"}, "ticket-4711", run=runs[2])
    assert (first.state, first.failure.effect) == (FAILED, failure_pb2.EFFECT_NONE)
    assert [(one.state, one.replayed) for one in (second, third)] == [(SUCCEEDED, False), (SUCCEEDED, True)]
    assert served.lab.posts() == 1
