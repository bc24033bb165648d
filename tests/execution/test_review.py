"""Claims that are lost, cancelled or given up while their owner lives, and what callers are told then."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import uuid4

import asyncpg
import grpc
import pytest

from server.core.caller import Caller as CoreCaller
from server.core.calls import Call
from server.core.handling import Result
from server.core.ids import new_id
from server.core.outcomes import failure_of
from server.core.preparation import Checked
from server.core.records import NewClaim, Outcome, State
from server.core.running import Run
from server.core.upkeep import _proved_failure
from server.errors import DatabaseUnavailable
from server.gen.patchbay.v1 import connections_pb2, executor_pb2, failure_pb2
from server.sdk import ActionContext, ActionFailure
from server.sdk.context import Deadline
from server.sdk.masking import Masker
from server.sdk.scope import current
from tests.execution.test_decisions import CLAIM
from tests.gen.torture.lab.v1 import lab_pb2
from tests.support.grpc_errors import refused
from tests.support.served import TENANT, Caller, Served, struct

pytestmark = pytest.mark.anyio

RUNNING = executor_pb2.EXECUTION_STATE_RUNNING
SUCCEEDED = executor_pb2.EXECUTION_STATE_SUCCEEDED
FAILED = executor_pb2.EXECUTION_STATE_FAILED
UNKNOWN = executor_pb2.EXECUTION_STATE_UNKNOWN
LOCAL = CoreCaller(name="local", tenants=None, permissions=("*",))
NEW_CLAIMS = "LOCK TABLE workflow_action_invocations IN SHARE MODE"


async def row(served: Served, column: str) -> object:
    """One column of the only execution, None without one."""
    async with served.handle.house.database.system() as connection:
        return await connection.fetchval(f"SELECT {column} FROM workflow_action_invocations")


async def until(served: Served, column: str) -> None:
    """Waits until a column of the only execution is set."""
    async with asyncio.timeout(10):
        while not await row(served, column):
            await asyncio.sleep(0.01)


async def lose_lease(served: Served) -> None:
    """Lets another replica find the lease of the server gone and take over what it runs."""
    house = served.handle.house
    await house.upkeep_store.drop_lease(house.owner)
    await house.upkeep_store.take_over(str(uuid4()), [], house.upkeep._judge)


@pytest.fixture
async def blocker(served: Served) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the database's owner, to lock things."""
    connection = await asyncpg.connect(served.fresh.dsn)
    yield connection
    await connection.close()


async def test_rule_4_the_answer_settles_what_a_sweeper_called_unknown(served: Served) -> None:
    """A sweeper takes over a sent execution whose owner lives: the owner's answer settles it, and is told."""
    let_go = served.lab.hold("POST")
    call = asyncio.create_task(served.execute("run_raw", {"text": "a"}, "k"))
    await until(served, "sent_at")
    await lose_lease(served)
    assert await row(served, "status") == "UNKNOWN"
    let_go()
    assert (await call).state == SUCCEEDED
    settled = await served.caller.execution("k")
    assert settled.state == SUCCEEDED
    assert settled.resolution.source == executor_pb2.RESOLUTION_SOURCE_LATE_ANSWER


async def test_rule_13_a_server_never_takes_over_what_it_runs(served: Served) -> None:
    """The lease has run out (the database was away); the server's own sweeper leaves its running work alone."""
    let_go = served.lab.hold("POST")
    call = asyncio.create_task(served.execute("run_raw", {"text": "a"}, "k"))
    await until(served, "sent_at")
    house = served.handle.house
    await house.upkeep_store.drop_lease(house.owner)
    await house.upkeep_store.take_over(house.owner, list(house.runner.running), house.upkeep._judge)
    assert await row(served, "status") == "RUNNING"
    let_go()
    done = await call
    assert (done.state, done.HasField("resolution")) == (SUCCEEDED, False)


async def test_rule_13_a_sweeper_waits_for_the_others_after_an_outage(served: Served) -> None:
    """A server whose own lease ran out gives the others a lease's time to renew theirs before it takes over."""
    house = served.handle.house
    await served.execute("put", {"name": "a"}, "k")
    async with house.database.system() as connection:
        await connection.execute(
            "UPDATE workflow_action_invocations SET status = 'RUNNING', completed_at = NULL,"
            " lease_owner = gen_random_uuid()"
        )
        house.upkeep._lease = Deadline.after(0.0)
        await house.upkeep.renew()
        await house.upkeep.sweep()
        assert await connection.fetchval("SELECT status FROM workflow_action_invocations") == "RUNNING"


async def test_rule_4_a_caller_whose_claim_was_lost_is_told_the_record(served: Served) -> None:
    """Attempt 1 loses its claim before it sends, attempt 2 does the work: both callers get its outcome."""
    let_first_go = served.lab.hold("GET")
    first = asyncio.create_task(served.execute("post_slowly", {"name": "a"}, "k"))
    await until(served, "1")
    await lose_lease(served)
    await served.handle.house.upkeep.renew()
    let_second_go = served.lab.hold("GET")
    second = asyncio.create_task(served.execute("post_slowly", {"name": "a"}, "k"))
    await until(served, "attempt = 2")
    let_first_go()
    let_second_go()
    done = await first
    assert (done.state, done.attempt, served.lab.posts()) == (SUCCEEDED, 2, 1)
    assert (await second).state == SUCCEEDED


async def test_an_attempt_that_ends_leaves_the_next_one_registered(served: Served) -> None:
    """Attempt 1 ends while attempt 2 of the same execution runs here: it can still be cancelled and drained."""
    runner = served.handle.house.runner
    let_first_go = served.lab.hold("GET")
    first = asyncio.create_task(served.execute("post_slowly", {"name": "a"}, "k"))
    await until(served, "1")
    await lose_lease(served)
    await served.handle.house.upkeep.renew()
    (early,) = runner.running.values()
    let_second_go = served.lab.hold("GET")
    second = asyncio.create_task(served.execute("post_slowly", {"name": "a"}, "k"))
    await until(served, "attempt = 2")
    let_first_go()
    assert early.task is not None
    await asyncio.wait({early.task})
    await asyncio.sleep(0)
    assert [run.claimed.attempt for run in runner.running.values()] == [2]
    let_second_go()
    await asyncio.gather(first, second)


async def test_cancelled_in_the_database_alone_is_cancelled(served: Served) -> None:
    """The news of a cancellation is lost: the send mark is refused, and the outcome says CANCELLED, not a defect."""
    let_go = served.lab.hold("GET")
    call = asyncio.create_task(served.execute("post_slowly", {"name": "a"}, "k"))
    await until(served, "1")
    async with served.handle.house.database.system() as connection:
        await connection.execute("UPDATE workflow_action_invocations SET cancel_requested_at = now()")
    let_go()
    done = await call
    assert (done.failure.reason, done.failure.retryable, served.lab.posts()) == ("CANCELLED", True, 0)


def test_a_database_that_goes_away_before_the_send_is_no_defect() -> None:
    """Waiting for a budget or a lock without the database: retryable, effect NONE, so the key is not burned."""
    failure = failure_of(DatabaseUnavailable("away"), sent=False, execution_id="e")
    assert (failure.reason, failure.retryable, failure.effect) == ("INTERRUPTED", True, failure_pb2.EFFECT_NONE)


async def test_rule_10_what_was_remembered_after_the_send_reaches_the_probe(served: Served) -> None:
    """Facts that a handler remembers between the write and its failure are stored with the unknown outcome."""

    async def handler(_request: lab_pb2.PostThingRequest, ctx: ActionContext[object]) -> lab_pb2.PostThingResponse:
        current().sent = True
        ctx.remember({"job": "7"})
        raise RuntimeError

    executor = served.handle.house.executor
    action = replace(served.handle.house.registry.action("lab.things.post"), handler=handler)
    tenant = (await served.execute("read", {"name": "a"})).tenant
    call = Call(caller=LOCAL, tenant=tenant, action="lab.things.post", key="k")
    checked = Checked(call, action, lab_pb2.PostThingRequest(name="a"))
    handling = executor._handling
    result = await handling.handle(checked, None, new_id(), 1, handling.scope(checked, None))
    assert (result.outcome.state, result.outcome.evidence) == (State.UNKNOWN, {"job": "7"})


async def test_rule_9_a_client_that_leaves_during_the_claim_leaves_no_orphan(
    served: Served, blocker: asyncpg.Connection
) -> None:
    """The client goes while its claim waits for the database: the claim is run and recorded all the same."""
    leaving = Caller(served.handle.target)
    async with blocker.transaction():
        await blocker.execute(NEW_CLAIMS)
        call = asyncio.create_task(leaving.execute("lab.things.run_raw", {"text": "a"}, "k"))
        await asyncio.sleep(0.5)
        call.cancel()
        with suppress(asyncio.CancelledError):
            await call
        await asyncio.sleep(0.2)
    await leaving.close()
    await asyncio.sleep(0.5)
    found = await row(served, "count(*)")
    assert found == 0 or (await served.caller.execution("k", wait=5)).state == SUCCEEDED
    assert served.lab.posts() == found


async def test_a_lost_answer_to_a_second_claim_is_recognized(served: Served) -> None:
    """The claim of another attempt is committed and its answer lost: the same claim, tried again, is granted."""
    await served.execute("post", {"name": "a", "mode": "closed"}, "k")
    executor = served.handle.house.executor
    _, claim = await prepared(served, {"name": "a", "mode": "closed"})
    judge = executor.claims.judge(None)
    first, _ = await executor._stores.invocations.claim(claim, judge)
    again, _ = await executor._stores.invocations.claim(claim, judge)
    other, known = await executor._stores.invocations.claim(replace(claim, id=new_id()), judge)
    assert first is not None
    assert again == first
    assert (other, known and known.state) == (None, State.RUNNING)


async def test_claims_given_up_are_forgotten_in_time(served: Served) -> None:
    """What was noted about claims that never reached the database does not pile up."""
    house = served.handle.house
    house.executor.claims.give_up(CLAIM, keep=0.0)
    assert len(house.executor.claims) == 1
    await house.upkeep.sweep()
    assert len(house.executor.claims) == 0


async def test_rule_6_a_read_under_a_known_key_is_no_reuse(served: Served) -> None:
    """READ actions are not claimed: a key that a write used does not matter to them, connected or not."""
    await served.execute("put", {"name": "a"}, "k")
    await disconnect(served)
    done = await served.execute("read", {"name": "a"}, "k")
    assert done.failure.reason == "INTEGRATION_INACTIVE"


async def test_rule_7_a_call_attaches_while_disconnected(served: Served) -> None:
    """The connection goes while an execution runs: a second call under the key still waits for its outcome."""
    let_go = served.lab.hold("POST")
    call = asyncio.create_task(served.execute("run_raw", {"text": "a"}, "k"))
    await until(served, "sent_at")
    await disconnect(served)
    attached = asyncio.create_task(served.execute("run_raw", {"text": "a"}, "k"))
    assert await asyncio.wait([attached], timeout=0.5) == (set(), {attached})
    let_go()
    assert (await attached).state == SUCCEEDED
    await call


async def disconnect(served: Served) -> None:
    """Takes the tenant's connection away."""
    request = connections_pb2.DisconnectRequest(tenant=TENANT, provider="lab")
    await served.caller("Connections/Disconnect", request)


async def test_a_new_attempt_has_no_resolution_of_the_old_one(served: Served) -> None:
    """Settled as nothing happened, then run again: the record tells the new run, and no person's verdict."""
    served.lab.control.add_fault("reset_before", method="POST", path_regex="^/things")
    first = await served.execute("run_raw", {"text": "a"}, "k")
    verdict = executor_pb2.FailedVerdict(effect=failure_pb2.EFFECT_NONE)
    request = executor_pb2.ResolveExecutionRequest(tenant=TENANT, id=first.id, reason="looked", failed=verdict)
    await served.caller("ActionExecutor/ResolveExecution", request)
    run = executor_pb2.RunContext(run_id="second", attempt=2)
    again = await served.execute("run_raw", {"text": "a"}, "k", run=run)
    replay = await served.execute("run_raw", {"text": "a"}, "k")
    assert (again.state, replay.state, replay.run) == (SUCCEEDED, SUCCEEDED, run)
    assert not replay.HasField("resolution")


async def test_rule_12_an_odd_text_in_a_warning_spoils_no_success(served: Served) -> None:
    """The effect has happened and the vendor's words are half a character: SUCCEEDED, the warning made storable."""

    async def handler(request: lab_pb2.PostThingRequest, ctx: ActionContext[Any]) -> lab_pb2.PostThingResponse:
        await ctx.client.post(request.name, ctx.idempotency_key)
        ctx.warn("ODD", "odd", "half \ud800")
        return lab_pb2.PostThingResponse()

    object.__setattr__(served.handle.house.registry.action("lab.things.post"), "handler", handler)
    done = await served.execute("post", {"name": "a"}, "k")
    assert (done.state, [warning.vendor_answer for warning in done.warnings]) == (SUCCEEDED, ["half ?"])


@pytest.fixture
async def bookings(blocker: asyncpg.Connection) -> None:
    """A table of local effects."""
    await blocker.execute("CREATE TABLE lab_bookings (name text PRIMARY KEY)")
    await blocker.execute("GRANT ALL ON lab_bookings TO patchbay_app")


@pytest.mark.usefixtures("bookings")
async def test_rule_16_the_first_answer_tells_when_it_was_recorded(served: Served) -> None:
    """The answer of a local effect and its replay tell the same time of completion."""
    done = await served.execute("book", {"name": "a"}, "k")
    assert done.complete_time == (await served.execute("book", {"name": "a"}, "k")).complete_time
    assert done.complete_time != done.start_time


@pytest.mark.usefixtures("bookings")
async def test_rule_7_return_does_not_wait_for_a_local_transaction(served: Served, blocker: asyncpg.Connection) -> None:
    """A local effect holds its row for long: other calls under the key are answered at once, and it can be stopped."""
    async with blocker.transaction():
        await blocker.execute("INSERT INTO lab_bookings VALUES ('a')")
        call = asyncio.create_task(served.execute("book", {"name": "a"}, "k"))
        await until(served, "1")
        await asyncio.sleep(0.2)
        mode = executor_pb2.IN_FLIGHT_MODE_RETURN
        handle = await served.execute("book", {"name": "a"}, "k", in_flight=mode, timeout=3)
        assert handle.state == RUNNING
        request = executor_pb2.CancelExecutionRequest(tenant=TENANT, id=handle.id)
        await served.caller("ActionExecutor/CancelExecution", request, timeout=3)
        assert (await call).failure.reason == "CANCELLED"


async def test_a_read_answers_before_the_callers_deadline(served: Served) -> None:
    """The vendor hangs longer than the caller waits: the caller is told why, instead of a broken call."""
    served.lab.hold("GET")
    done = await served.execute("read", {"name": "a"}, timeout=2.0)
    assert (done.state, done.failure.effect) == (FAILED, failure_pb2.EFFECT_NONE)


async def test_executions_without_a_waiting_caller_count_as_load(served: Served) -> None:
    """Callers with little patience cannot make a server run more than it accepts."""
    served.handle.house.executor._max_running = 1
    let_go = served.lab.hold("POST")
    early = await served.execute("run_raw", {"text": "a"}, "k", timeout=2.0)
    assert early.state == RUNNING
    with refused("OVERLOADED", grpc.StatusCode.RESOURCE_EXHAUSTED):
        await served.execute("run_raw", {"text": "a"}, "k2")
    let_go()
    assert (await served.caller.execution("k", wait=5)).state == SUCCEEDED


@pytest.mark.parametrize("reason", ["TLS_FAILED", "EGRESS_REFUSED", "VENDOR_ANSWER_INVALID", "VENDOR_REJECTED_INPUT"])
async def test_rule_10_a_probe_that_could_not_ask_proves_nothing(served: Served, reason: str) -> None:
    """A probe that meets a bad certificate or a refused address has not proved that nothing happened."""
    definition = served.handle.house.registry.action("lab.things.post").definition
    assert _proved_failure(ActionFailure(reason, "no"), definition, Masker()) is None
    assert _proved_failure(ActionFailure("LAB_CLOSED", "It was closed."), definition, Masker()) is not None


async def test_rule_15_what_was_settled_late_is_kept_from_then(served: Served) -> None:
    """An outcome that is recorded long after the claim keeps its payload, and its key, for the whole time."""
    await served.execute("post", {"name": "a"}, "k")
    async with served.handle.house.database.system() as connection:
        await connection.execute("UPDATE workflow_action_invocations SET created_at = now() - interval '500 days'")
    await served.handle.house.upkeep.prune()
    assert (await served.caller.execution("k")).HasField("output")


async def test_an_outcome_that_cannot_be_stored_whole_is_not_lost(served: Served) -> None:
    """Evidence that JSON cannot hold costs the evidence, not the outcome."""

    async def handler(_request: lab_pb2.PutThingRequest, ctx: ActionContext[object]) -> lab_pb2.PutThingResponse:
        ctx.remember({"half": "\ud800"})
        return lab_pb2.PutThingResponse()

    house = served.handle.house
    action = house.registry.action("lab.things.put")
    object.__setattr__(action, "handler", handler)
    done = await served.execute("put", {"name": "a"}, "k")
    assert done.state == SUCCEEDED
    assert (await served.caller.execution("k")).state == SUCCEEDED


async def test_an_outcome_that_the_database_refuses_keeps_its_state(served: Served) -> None:
    """PostgreSQL takes no NaN in JSON: the execution is SUCCEEDED all the same, with a warning in its place."""
    await served.execute("post", {"name": "a", "mode": "closed"}, "k")
    house = served.handle.house
    checked, claim = await prepared(served, {"name": "a", "mode": "closed"})
    granted, _ = await house.executor._stores.invocations.claim(claim, house.executor.claims.judge(None))
    assert granted is not None
    run = Run(checked, granted, house.executor._handling.scope(checked, None), None)
    ended = await house.runner._record(run, Result(Outcome(state=State.SUCCEEDED, output={"thing": float("nan")})))
    stored = await served.caller.execution("k")
    assert (ended.outcome.state, stored.state, stored.warnings[0].reason) == (
        State.SUCCEEDED,
        SUCCEEDED,
        "OUTPUT_NOT_STORED",
    )


async def prepared(served: Served, input: dict[str, object]) -> tuple[Checked, NewClaim]:
    """A checked call of `lab.things.post` under the key `k`, and its claim."""
    house = served.handle.house
    call = Call(
        caller=LOCAL,
        tenant=str(await row(served, "tenant")),
        action="lab.things.post",
        key="k",
        input=executor_pb2.Payload(json=struct(input)),
    )
    checked = house.preparation.check(call)
    connection = await house.preparation.connect(checked)
    assert connection is not None
    return checked, house.executor._new_claim(checked, connection.id)
