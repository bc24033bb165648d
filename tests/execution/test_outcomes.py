"""Outcomes: unknown ones, late ones, partial ones, invalid ones (rules 4, 8, 10, 12, 17, 18)."""

import asyncio

import grpc
import pytest

from server.core.records import Claimed, Outcome, State
from server.gen.patchbay.v1 import executor_pb2, failure_pb2
from tests.support.grpc_errors import refused
from tests.support.served import TENANT, Served, struct

pytestmark = pytest.mark.anyio

SUCCEEDED = executor_pb2.EXECUTION_STATE_SUCCEEDED
FAILED = executor_pb2.EXECUTION_STATE_FAILED
UNKNOWN = executor_pb2.EXECUTION_STATE_UNKNOWN
AFTER_SEND = ["reset_after", "garbage", "truncate"]


def break_posts(served: Served, kind: str, **fault: object) -> None:
    """Lets the next POST suffer a fault."""
    served.lab.control.add_fault(kind, method="POST", path_regex="^/things", **fault)


@pytest.mark.parametrize("kind", AFTER_SEND)
async def test_rule_8_a_lost_answer_is_unknown(served: Served, kind: str) -> None:
    """An answer that is lost or garbled after the send: UNKNOWN, with a remedy, never sent again."""
    break_posts(served, kind)
    first = await served.execute("run_raw", {"text": "a"}, "k")
    again = await served.execute("run_raw", {"text": "a"}, "k")
    assert (first.state, again.state) == (UNKNOWN, UNKNOWN)
    failure = first.failure
    assert (failure.reason, failure.retryable) == ("OUTCOME_UNKNOWN", False)
    assert failure.effect == failure_pb2.EFFECT_UNKNOWN
    assert "ResolveExecution" in failure.remedy.text
    assert again.replayed
    assert served.lab.posts() == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_rule_8_a_server_error_after_a_write_is_unknown(served: Served, status: int) -> None:
    """A 5xx answer to a write proves nothing."""
    break_posts(served, "status", status=status)
    done = await served.execute("run_raw", {"text": "a"}, "k")
    assert (done.state, done.failure.vendor_status) == (UNKNOWN, status)


@pytest.mark.parametrize(("action", "kind"), [("put", "reset_after"), ("post_keyed", "reset_after")])
async def test_state_machine_repeatable_actions_are_sent_again(served: Served, action: str, kind: str) -> None:
    """After a lost answer IDEMPOTENT and VENDOR_KEYED actions may go again; the vendor's state is as after one."""
    method = "PUT" if action == "put" else "POST"
    served.lab.control.add_fault(kind, method=method, path_regex="^/things", times=1)
    first = await served.execute(action, {"name": "a"}, "k")
    again = first if first.state == SUCCEEDED else await served.execute(action, {"name": "a"}, "k")
    assert again.state == SUCCEEDED
    assert served.lab.control.effects().count("post") == (action == "post_keyed")


async def test_rule_10_a_probe_settles_what_is_unknown(served: Served) -> None:
    """The answer is lost, the probe finds the effect: the execution becomes SUCCEEDED with its output."""
    break_posts(served, "reset_after")
    first = await served.execute("post", {"name": "a"}, "k")
    assert first.state == UNKNOWN
    settled = await settled_execution(served, "k")
    assert settled.state == SUCCEEDED
    assert settled.resolution.source == executor_pb2.RESOLUTION_SOURCE_PROBE
    assert settled.output.json["thing"]["name"] == "a"
    assert served.lab.posts() == 1


async def settled_execution(served: Served, key: str) -> executor_pb2.Execution:
    """Waits until an unknown outcome is settled."""
    for _ in range(200):
        execution = await served.caller.execution(key)
        if execution.state != UNKNOWN:
            return execution
        await asyncio.sleep(0.05)
    raise AssertionError("still unknown")


async def test_rule_10_a_probe_that_proves_nothing_leaves_it_to_a_person(served: Served) -> None:
    """Without proof the outcome stays unknown however often the probe asks."""
    break_posts(served, "reset_before")
    served.lab.control.add_fault("status", method="GET", path_regex="^/by-key", status=404, times=0)
    first = await served.execute("post", {"name": "a"}, "k")
    await asyncio.sleep(2.5)
    assert first.state == UNKNOWN
    assert (await served.caller.execution("k")).state == UNKNOWN


def resolution(execution: executor_pb2.Execution, **verdict: object) -> executor_pb2.ResolveExecutionRequest:
    """A person's verdict."""
    return executor_pb2.ResolveExecutionRequest(
        tenant=TENANT, id=execution.id, reason="looked at the device", actor="night shift", **verdict
    )


async def test_rule_8_a_person_settles_as_succeeded(served: Served) -> None:
    """ResolveExecution with an output: SUCCEEDED, and the key replays that output."""
    break_posts(served, "reset_after")
    first = await served.execute("run_raw", {"text": "a"}, "k")
    told = executor_pb2.Payload(json=struct({"thing": {"id": "1", "name": "a"}}))
    await served.caller("ActionExecutor/ResolveExecution", resolution(first, succeeded=told))
    again = await served.execute("run_raw", {"text": "a"}, "k")
    assert (again.state, again.output.json["thing"]["id"]) == (SUCCEEDED, "1")
    assert (again.resolution.actor, again.resolution.reason) == ("night shift", "looked at the device")


async def test_rule_8_settled_as_nothing_happened_frees_the_key(served: Served) -> None:
    """A verdict of effect NONE lets the same key run again, once."""
    break_posts(served, "reset_before")
    first = await served.execute("run_raw", {"text": "a"}, "k")
    verdict = executor_pb2.FailedVerdict(effect=failure_pb2.EFFECT_NONE)
    await served.caller("ActionExecutor/ResolveExecution", resolution(first, failed=verdict))
    again = await served.execute("run_raw", {"text": "a"}, "k")
    assert (again.state, again.attempt) == (SUCCEEDED, 2)
    assert served.lab.posts() == 1


async def test_rule_8_settled_as_applied_does_not_run_again(served: Served) -> None:
    """A verdict of effect APPLIED is final."""
    break_posts(served, "reset_after")
    first = await served.execute("run_raw", {"text": "a"}, "k")
    verdict = executor_pb2.FailedVerdict(effect=failure_pb2.EFFECT_APPLIED)
    await served.caller("ActionExecutor/ResolveExecution", resolution(first, failed=verdict))
    again = await served.execute("run_raw", {"text": "a"}, "k")
    assert (again.state, again.failure.reason, again.replayed) == (FAILED, "SETTLED_AS_FAILED", True)


async def test_rule_4_a_terminal_state_cannot_be_settled(served: Served) -> None:
    """ResolveExecution of anything but an unknown outcome is refused."""
    done = await served.execute("post", {"name": "a"}, "k")
    verdict = executor_pb2.FailedVerdict(effect=failure_pb2.EFFECT_NONE)
    with refused("EXECUTION_STATE", grpc.StatusCode.FAILED_PRECONDITION):
        await served.caller("ActionExecutor/ResolveExecution", resolution(done, failed=verdict))


async def test_rule_4_a_late_answer_settles_an_unknown(served: Served) -> None:
    """The claim is lost while the vendor thinks; its answer then settles the UNKNOWN that was recorded meanwhile."""
    let_go = served.lab.hold("POST")
    call = asyncio.create_task(served.execute("run_raw", {"text": "a"}, "k"))
    await until_sent(served, "k")
    await take_away(served, "UNKNOWN")
    let_go()
    await call
    settled = await served.caller.execution("k")
    assert settled.state == SUCCEEDED
    assert settled.resolution.source == executor_pb2.RESOLUTION_SOURCE_LATE_ANSWER


async def test_rule_4_a_late_answer_never_overwrites_a_terminal_state(served: Served) -> None:
    """The claim is lost and somebody settled it as failed: the answer is kept as evidence only."""
    let_go = served.lab.hold("POST")
    call = asyncio.create_task(served.execute("run_raw", {"text": "a"}, "k"))
    await until_sent(served, "k")
    await take_away(served, "FAILED")
    let_go()
    await call
    assert (await served.caller.execution("k")).state == FAILED
    async with served.handle.house.database.system() as connection:
        evidence = await connection.fetchval("SELECT late_evidence->>'state' FROM workflow_action_invocations")
    assert evidence == "SUCCEEDED"


async def until_sent(served: Served, key: str) -> None:
    """Waits until a write has left."""
    while True:
        record = None
        async with served.handle.house.database.system() as connection:
            sql = "SELECT sent_at FROM workflow_action_invocations WHERE idempotency_key = $1"
            record = await connection.fetchval(sql, key)
        if record is not None:
            return
        await asyncio.sleep(0.02)


async def take_away(served: Served, status: str) -> None:
    """Does what a sweeper of another replica does to an execution whose owner seems gone."""
    async with served.handle.house.database.system() as connection:
        sql = (
            "UPDATE workflow_action_invocations SET status = $1, completed_at = now(), lease_owner = gen_random_uuid()"
        )
        await connection.execute(sql, status)


async def test_state_machine_partial_effect_is_failed_and_final(served: Served) -> None:
    """A handler that knows that part was done: FAILED with effect APPLIED, replayed."""
    first = await served.execute("post", {"name": "a", "mode": "partial"}, "k")
    again = await served.execute("post", {"name": "a", "mode": "partial"}, "k")
    assert (first.state, first.failure.effect) == (FAILED, failure_pb2.EFFECT_APPLIED)
    assert again.replayed
    assert served.lab.posts() == 1


@pytest.mark.parametrize(
    ("mode", "state", "effect", "posts"),
    [
        ("crash_before", FAILED, failure_pb2.EFFECT_NONE, 0),
        ("crash_after", UNKNOWN, failure_pb2.EFFECT_UNKNOWN, 1),
    ],
)
async def test_a_defect_of_a_handler_is_told_by_what_was_sent(
    served: Served, mode: str, state: int, effect: int, posts: int
) -> None:
    """A crash before the send is INTERNAL without effect; after it the outcome is unknown. Values stay untold."""
    done = await served.execute("post", {"name": "a", "mode": mode, "secret": "canary-1234"}, "k")
    assert (done.state, done.failure.effect, served.lab.posts()) == (state, effect, posts)
    assert "canary" not in str(done)


async def test_rule_12_r8_an_invalid_output_after_the_effect_is_a_success_with_a_warning(served: Served) -> None:
    """The effect happened; an output that breaks its contract does not turn it into a failure."""
    done = await served.execute("post", {"name": "a", "mode": "invalid_output"}, "k")
    assert done.state == SUCCEEDED
    assert [warning.reason for warning in done.warnings] == ["OUTPUT_INVALID"]
    assert "n" * 100 in done.warnings[0].vendor_answer


async def test_rule_18_long_output_is_cut_with_a_marker(served: Served) -> None:
    """Text over its limit is cut on a character's border, marked, and the execution carries a warning."""
    done = await served.execute("post", {"name": "a", "mode": "long_text"}, "k")
    text = done.output.json["thing"]["text"]
    assert "cut" in text.splitlines()[-1]
    assert len(text.encode()) <= 1_000
    assert set(text.splitlines()[0]) == {"ä"}
    assert [warning.reason for warning in done.warnings] == ["OUTPUT_CUT"]


async def test_rule_18_oversize_input_is_refused(served: Served) -> None:
    """An input over 1 MiB is refused before anything is stored."""
    with refused("INPUT_TOO_LARGE", grpc.StatusCode.INVALID_ARGUMENT, "input"):
        await served.execute("post", {"name": "a", "secret": "s" * 1_100_000}, "k")


async def test_rule_17_secrets_never_reach_the_row(served: Served) -> None:
    """A secret input is masked in the stored input, in an output and a warning that repeat it, and on replay."""
    done = await served.execute("post", {"name": "a", "mode": "tell_secret", "secret": "canary-1234"}, "k")
    again = await served.caller.execution("k")
    assert "canary" not in str(done) + str(again)
    assert again.input["secret"] == "***"
    async with served.handle.house.database.system() as connection:
        row = await connection.fetchrow("SELECT * FROM workflow_action_invocations")
    assert "canary" not in str(dict(row))


async def test_rule_4_completion_is_fenced(served: Served) -> None:
    """A completion with an old fence changes nothing."""
    await served.execute("post", {"name": "a"}, "k")
    store = served.handle.house.runner._store
    record = await store.find(await tenant_id(served), "k")
    assert record is not None
    stale = Claimed(record.tenant, record.id, record.owner or "", record.fence + 1, 1, record.now, record.now)
    assert await store.complete(stale, Outcome(state=State.FAILED)) is None
    assert (await served.caller.execution("k")).state == SUCCEEDED


async def tenant_id(served: Served) -> str:
    """The tenant's id."""
    row = await served.handle.house.tenant_store.resolve(TENANT)
    assert row is not None
    return row.id
