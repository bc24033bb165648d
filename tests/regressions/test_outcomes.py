"""Outcomes: lost, denied, hidden, overdue."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import grpc
import pytest
from grpc_status import rpc_status

from server.gen.patchbay.v1 import executor_pb2, failure_pb2
from tests.gen.torture.lab.v1 import lab_pb2
from tests.regressions.calling import direct
from tests.support.grpc_errors import reasons
from tests.support.served import TENANT, Caller, Lab, Replicas, Served, set_up

pytestmark = pytest.mark.anyio

SUCCEEDED = executor_pb2.EXECUTION_STATE_SUCCEEDED
FAILED = executor_pb2.EXECUTION_STATE_FAILED
UNKNOWN = executor_pb2.EXECUTION_STATE_UNKNOWN


async def test_a2_r2_a_crash_after_the_send_ends_as_unknown_and_can_be_settled(replicas: Replicas, lab: Lab) -> None:
    """kill -9 after the vendor did it: another server says UNKNOWN, sends nothing, and a person settles it."""
    victim, survivor = replicas.start(lease_seconds=1), replicas.start(lease_seconds=1)
    one, two = Caller(victim.target), Caller(survivor.target)
    await set_up(two, "lab", lab.settings)
    lab.control.add_fault("hang", method="POST", path_regex="^/things")
    call = asyncio.create_task(one.execute("lab.things.run_raw", {"text": "a"}, "k"))
    while not lab.posts():
        await asyncio.sleep(0.02)
    await asyncio.to_thread(victim.kill)
    with pytest.raises(grpc.RpcError):
        await call
    told = await two.execute("lab.things.run_raw", {"text": "a"}, "k")
    assert (told.state, told.failure.reason, told.failure.effect) == (
        UNKNOWN,
        "OUTCOME_UNKNOWN",
        failure_pb2.EFFECT_UNKNOWN,
    )
    verdict = executor_pb2.FailedVerdict(effect=failure_pb2.EFFECT_APPLIED)
    request = executor_pb2.ResolveExecutionRequest(tenant=TENANT, id=told.id, failed=verdict, reason="looked")
    await two("ActionExecutor/ResolveExecution", request)
    assert (await two.execute("lab.things.run_raw", {"text": "a"}, "k")).state == FAILED
    assert lab.posts() == 1
    await one.close()
    await two.close()


async def test_a3_r8_an_output_that_breaks_its_contract_is_no_failure(served: Served) -> None:
    """The effect happened: SUCCEEDED with a warning that holds the vendor's answer, and the same when replayed."""
    done = await served.execute("post", {"name": "a", "mode": "invalid_output"}, "k")
    again = await served.execute("post", {"name": "a", "mode": "invalid_output"}, "k")
    assert [(one.state, one.warnings[0].reason) for one in (done, again)] == [(SUCCEEDED, "OUTPUT_INVALID")] * 2
    assert "n" * 100 in done.warnings[0].vendor_answer
    assert served.lab.posts() == 1


@asynccontextmanager
async def owner_of(served: Served) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the database's owner."""
    connection = await asyncpg.connect(served.fresh.dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def test_a3_a_completion_that_loses_its_connection_is_recorded_all_the_same(served: Served) -> None:
    """Every database connection breaks while the vendor works: the outcome is SUCCEEDED, told and recorded."""
    let_go = served.lab.hold("POST")
    call = asyncio.create_task(served.execute("run_raw", {"text": "a"}, "k"))
    while not served.lab.posts():
        await asyncio.sleep(0.02)
    async with owner_of(served) as connection:
        others = "pid <> pg_backend_pid() AND datname = current_database() AND backend_type = 'client backend'"
        broken = await connection.fetch(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
    assert broken
    let_go()
    assert (await call).state == SUCCEEDED
    kept = await served.caller.execution("k")
    assert (kept.state, kept.output.json["thing"]["name"], served.lab.posts()) == (SUCCEEDED, "a", 1)


async def test_r4_a_loop_that_polls_sees_what_is_new(served: Served) -> None:
    """The same read with the same key and input asks the vendor each time and tells its newest answer."""
    seen = []
    for name in ("queued", "running", "done"):
        body = {"id": "7", "name": name}
        served.lab.control.add_fault("status", method="GET", path_regex="^/things/job", status=200, body=body)
        answer = await served.execute("read", {"name": "job"}, "k")
        seen.append((answer.output.json["thing"]["name"], answer.replayed))
    assert seen == [("queued", False), ("running", False), ("done", False)]


ANSWERS = {
    401: ("CREDENTIALS_REFUSED", failure_pb2.FAILURE_CATEGORY_CONNECTION, False),
    403: ("VENDOR_PERMISSION_DENIED", failure_pb2.FAILURE_CATEGORY_PERMISSION, False),
    404: ("NOT_FOUND", failure_pb2.FAILURE_CATEGORY_NOT_FOUND, False),
    409: ("CONFLICT", failure_pb2.FAILURE_CATEGORY_CONFLICT, False),
    422: ("VENDOR_REJECTED_INPUT", failure_pb2.FAILURE_CATEGORY_INVALID, False),
    429: ("RATE_LIMITED", failure_pb2.FAILURE_CATEGORY_RATE_LIMITED, True),
    503: ("VENDOR_UNAVAILABLE", failure_pb2.FAILURE_CATEGORY_UNAVAILABLE, True),
}


@pytest.mark.parametrize("status", ANSWERS)
async def test_r7_what_the_vendor_said_reaches_the_caller_typed(served: Served, status: int) -> None:
    """Reason, category, retryable, status and words of the vendor are told; 429 and 503 count as passing."""
    fault = {"status": status, "body": {"error": "the words"}, "headers": {"retry-after": "3600"}}
    served.lab.control.add_fault("status", method="GET", path_regex="^/things", times=0, **fault)
    failure = (await served.execute("read", {"name": "a"})).failure
    assert (failure.reason, failure.category, failure.retryable) == ANSWERS[status]
    assert (failure.vendor_status, "the words" in failure.vendor_message) == (status, True)
    assert status not in {429, 503} or failure.retry_after.seconds == 3600


async def test_r7_a_modules_own_rpc_tells_the_same_failure(served: Served) -> None:
    """The typed rpc ends with a status whose details hold the reason and the whole Failure."""
    served.lab.control.add_fault("status", method="POST", path_regex="^/things", status=409, body={"error": "busy"})
    metadata = (("x-patchbay-tenant", TENANT), ("idempotency-key", "k"))
    with pytest.raises(grpc.RpcError) as caught:
        await direct(served.caller, "Lab/PostThing", lab_pb2.PostThingRequest(name="a"), *metadata)
    status = rpc_status.from_call(caught.value)
    assert status is not None
    told = failure_pb2.Failure()
    assert any(detail.Unpack(told) for detail in status.details)
    assert (reasons(caught.value), told.vendor_status) == (["CONFLICT"], 409)
    recorded = await served.caller.execution("k")
    assert recorded.failure == told


async def test_a9_r9_every_call_ends_by_itself_and_can_be_cancelled(served: Served) -> None:
    """The vendor never answers: a read times out, a sent write is UNKNOWN, an unsent one is cancelled; none runs on."""
    served.lab.control.add_fault("hang", path_regex="^/things", times=0, after=False)
    calls = [
        asyncio.create_task(served.execute(action, {field: "a"}, action, timeout=60))
        for action, field in (("read", "name"), ("run_raw", "text"), ("post_slowly", "name"))
    ]
    runs = served.handle.house.runner.running
    while len(runs) < 2:
        await asyncio.sleep(0.02)
    unsent = (await served.caller.execution("post_slowly")).id
    request = executor_pb2.CancelExecutionRequest(tenant=TENANT, id=unsent)
    await served.caller("ActionExecutor/CancelExecution", request)
    read, sent, cancelled = await asyncio.gather(*calls)
    assert (read.state, read.failure.reason) == (FAILED, "TIMED_OUT")
    assert (sent.state, sent.failure.effect) == (UNKNOWN, failure_pb2.EFFECT_UNKNOWN)
    assert (cancelled.state, cancelled.failure.reason) == (FAILED, "CANCELLED")
    assert not runs
