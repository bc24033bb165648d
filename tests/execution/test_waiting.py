"""Calls that meet a running execution, and callers that do not wait (rules 7 and 9)."""

import asyncio

import grpc
import pytest

from server.gen.patchbay.v1 import executor_pb2
from tests.support.grpc_errors import refused
from tests.support.served import TENANT, Caller, Lab, Replicas, Served, set_up

pytestmark = pytest.mark.anyio

RUNNING = executor_pb2.EXECUTION_STATE_RUNNING
SUCCEEDED = executor_pb2.EXECUTION_STATE_SUCCEEDED


def delay_posts(lab: Lab) -> None:
    """Lets the vendor think for a second before it answers; the effect happens at once."""
    lab.control.add_fault("delay", method="POST", path_regex="^/things", seconds=1.0, times=0)


async def begun(served: Served) -> asyncio.Task[executor_pb2.Execution]:
    """Starts a slow execution and returns when it was sent."""
    call = asyncio.create_task(served.execute("run_raw", {"text": "a"}, "k"))
    while not served.handle.house.runner.running:
        await asyncio.sleep(0.01)
    return call


async def test_rule_7_attach_waits_for_the_running_execution(served: Served) -> None:
    """A second call under the key waits and gets the same outcome."""
    delay_posts(served.lab)
    call = await begun(served)
    attached = await served.execute("run_raw", {"text": "a"}, "k")
    first = await call
    assert (attached.state, attached.replayed, attached.id) == (SUCCEEDED, True, first.id)
    assert served.lab.posts() == 1


async def test_rule_7_attach_ends_before_the_callers_deadline(served: Served) -> None:
    """A caller with little time gets the execution as RUNNING instead of an error."""
    let_go = served.lab.hold("POST")
    call = await begun(served)
    attached = await served.execute("run_raw", {"text": "a"}, "k", timeout=2.0)
    assert attached.state == RUNNING
    let_go()
    await call


async def test_rule_7_return_answers_at_once(served: Served) -> None:
    """Mode RETURN gives the handle of the running execution."""
    let_go = served.lab.hold("POST")
    call = await begun(served)
    handle = await served.execute("run_raw", {"text": "a"}, "k", in_flight=executor_pb2.IN_FLIGHT_MODE_RETURN)
    assert handle.state == RUNNING
    let_go()
    assert handle.id == (await call).id


async def test_rule_7_fail_is_aborted(served: Served) -> None:
    """Mode FAIL refuses with ABORTED while the execution runs."""
    let_go = served.lab.hold("POST")
    call = await begun(served)
    with refused("EXECUTION_IN_FLIGHT", grpc.StatusCode.ABORTED):
        await served.execute("run_raw", {"text": "a"}, "k", in_flight=executor_pb2.IN_FLIGHT_MODE_FAIL)
    let_go()
    await call


async def test_rule_9_a_callers_deadline_does_not_stop_a_sent_call(served: Served) -> None:
    """The caller's time is shorter than the vendor's: it is told RUNNING, the outcome is there later."""
    let_go = served.lab.hold("POST")
    early = await served.execute("run_raw", {"text": "a"}, "k", timeout=2.0)
    assert early.state == RUNNING
    let_go()
    done = await served.caller.execution("k", wait=10)
    assert done.state == SUCCEEDED
    assert served.lab.posts() == 1


async def test_rule_9_a_client_that_disconnects_changes_nothing(served: Served) -> None:
    """The client goes away in the middle: the server finishes and records."""
    delay_posts(served.lab)
    leaving = Caller(served.handle.target)
    call = asyncio.create_task(leaving.execute("lab.things.run_raw", {"text": "a"}, "k"))
    while not served.handle.house.runner.running:
        await asyncio.sleep(0.01)
    call.cancel()
    await leaving.close()
    done = await served.caller.execution("k", wait=10)
    assert done.state == SUCCEEDED
    assert served.lab.posts() == 1


async def test_rule_7_attach_works_across_replicas(replicas: Replicas, lab: Lab) -> None:
    """Two server processes on one database: a call at the second attaches to what the first runs."""
    first, second = replicas.start(), replicas.start()
    one, two = Caller(first.target), Caller(second.target)
    await set_up(one, "lab", lab.settings)
    delay_posts(lab)
    call = asyncio.create_task(one.execute("lab.things.run_raw", {"text": "a"}, "k"))
    while not lab.posts():
        await asyncio.sleep(0.02)
    attached = await two.execute("lab.things.run_raw", {"text": "a"}, "k")
    assert (attached.state, attached.replayed, attached.id) == (SUCCEEDED, True, (await call).id)
    assert lab.posts() == 1
    await one.close()
    await two.close()


async def test_cancel_before_the_send_means_nothing_was_sent(served: Served) -> None:
    """Cancelled while it still looks: FAILED with effect NONE, and the vendor saw no write."""
    served.lab.hold("GET")
    call = asyncio.create_task(served.execute("post_slowly", {"name": "a"}, "k"))
    while not served.handle.house.runner.running:
        await asyncio.sleep(0.01)
    found = await served.caller.execution("k")
    request = executor_pb2.CancelExecutionRequest(tenant=TENANT, id=found.id)
    await served.caller("ActionExecutor/CancelExecution", request)
    done = await call
    assert (done.failure.reason, served.lab.posts()) == ("CANCELLED", 0)


async def test_cancel_after_the_send_finishes_and_records(served: Served) -> None:
    """Cancelled after the write left: it is finished and recorded."""
    let_go = served.lab.hold("POST")
    call = await begun(served)
    while not served.lab.posts():
        await asyncio.sleep(0.02)
    found = await served.caller.execution("k")
    request = executor_pb2.CancelExecutionRequest(tenant=TENANT, id=found.id)
    await served.caller("ActionExecutor/CancelExecution", request)
    let_go()
    assert (await call).state == SUCCEEDED
