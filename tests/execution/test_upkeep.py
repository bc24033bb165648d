"""Leases, take-over, shutdown, retention (rules 13, 14, 15), reads (11), local effects (16)."""

import asyncio
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import grpc
import pytest

from server.core.upkeep import Upkeep
from server.gen.patchbay.v1 import executor_pb2, failure_pb2
from server.store.database import Database
from tests.support.grpc_errors import reasons, refused
from tests.support.postgres import Fresh
from tests.support.served import TENANT, Caller, Lab, Replicas, Served, serving, set_up, settings_for

pytestmark = pytest.mark.anyio

SUCCEEDED = executor_pb2.EXECUTION_STATE_SUCCEEDED
FAILED = executor_pb2.EXECUTION_STATE_FAILED
UNKNOWN = executor_pb2.EXECUTION_STATE_UNKNOWN


async def rows(served: Served, sql: str, *arguments: object) -> list[asyncpg.Record]:
    """Asks the database as the server may."""
    async with served.handle.house.database.system() as connection:
        found: list[asyncpg.Record] = await connection.fetch(sql, *arguments)
    return found


async def test_rule_11_r4_reads_run_every_time(served: Served) -> None:
    """A read with the same key and input runs again: a polling loop sees fresh data."""
    for _ in range(3):
        assert not (await served.execute("read", {"name": "a"}, "k")).replayed
    seen = [request for request in served.lab.control.requests() if request["path"] == "/things/a"]
    assert len(seen) == 3


async def test_rule_11_reads_are_recorded_afterwards_without_output(served: Served) -> None:
    """A read leaves a row with its input and outcome, no output, and cannot block a key."""
    done = await served.execute("read", {"name": "a"}, "k", run=executor_pb2.RunContext(run_id="r1"))
    await served.handle.house.reads.flush()
    kept = await served.caller.execution(id=done.id)
    assert (kept.state, kept.run.run_id, kept.HasField("output")) == (SUCCEEDED, "r1", False)
    assert (await served.execute("post", {"name": "a"}, "k")).state == SUCCEEDED


async def test_every_call_leaves_one_audit_row(served: Served) -> None:
    """Reads, writes, replays and refusals: who, what, for whom, with which outcome."""
    await served.execute("read", {"name": "a"}, actor="night shift")
    await served.execute("post", {"name": "a"}, "k")
    await served.execute("post", {"name": "a"}, "k")
    with pytest.raises(grpc.RpcError):
        await served.execute("post", {"name": ""}, "k2")
    await served.handle.house.audit.flush()
    found = await rows(served, "SELECT * FROM audit_log WHERE operation LIKE '%ExecuteAction' ORDER BY id")
    assert [(row["action"], row["outcome"], row["reason"]) for row in found] == [
        ("lab.things.read", "SUCCEEDED", ""),
        ("lab.things.post", "SUCCEEDED", ""),
        ("lab.things.post", "SUCCEEDED", ""),
        ("lab.things.post", "REFUSED", "INPUT_INVALID"),
    ]
    assert found[0]["actor"] == "night shift"
    assert all(row["caller"] == "local" and "127.0.0.1" in row["peer"] for row in found)


async def abandon(served: Served, *, sent: bool) -> None:
    """Makes the execution look as if a process that is gone had claimed it."""
    sql = """UPDATE workflow_action_invocations SET status = 'RUNNING', lease_owner = gen_random_uuid(),
        completed_at = NULL, failure = NULL, output_json = NULL, next_probe_at = NULL,
        sent_at = CASE WHEN $1 THEN now() END"""
    async with served.handle.house.database.system() as connection:
        await connection.execute(sql, sent)


@pytest.mark.parametrize(
    ("action", "sent", "state", "effect"),
    [
        ("run_raw", False, FAILED, failure_pb2.EFFECT_NONE),
        ("run_raw", True, UNKNOWN, failure_pb2.EFFECT_UNKNOWN),
        ("put", True, FAILED, failure_pb2.EFFECT_UNKNOWN),
    ],
)
async def test_rule_13_r2_a_sweeper_records_what_the_dead_left(
    served: Served, action: str, sent: bool, state: int, effect: int
) -> None:
    """An execution whose owner is gone ends: not sent, harmless to repeat, or unknown; the key works accordingly."""
    text = {"text": "a"} if action == "run_raw" else {"name": "a"}
    await served.execute(action, text, "k")
    await abandon(served, sent=sent)
    await served.handle.house.upkeep.sweep()
    swept = await served.caller.execution("k")
    assert (swept.state, swept.failure.effect) == (state, effect)
    again = await served.execute(action, text, "k")
    assert (again.state, again.attempt) == ((UNKNOWN, 1) if state == UNKNOWN else (SUCCEEDED, 2))


async def test_rule_13_a_caller_takes_over_without_waiting_for_the_sweeper(served: Served) -> None:
    """A claim that was never sent and has lost its owner is claimed by the next call."""
    await served.execute("put", {"name": "a"}, "k")
    await abandon(served, sent=False)
    again = await served.execute("put", {"name": "a"}, "k")
    assert (again.state, again.attempt, again.replayed) == (SUCCEEDED, 2, False)


async def test_rule_13_a_lease_is_renewed_while_work_goes_on(lab: Lab, fresh: Fresh, tmp_path: Path) -> None:
    """Work that takes longer than a lease keeps its owner alive; nobody takes it over."""
    settings = settings_for(fresh, tmp_path, lease_seconds=1.5)
    async with serving(settings, lab, fresh) as served:
        lab.control.add_fault("delay", method="POST", path_regex="^/things", seconds=4.0)
        done = await served.execute("run_raw", {"text": "a"}, "k")
        assert (done.state, done.attempt, lab.posts()) == (SUCCEEDED, 1, 1)


async def test_rule_13_takeover_by_another_replica(replicas: Replicas, lab: Lab) -> None:
    """kill -9 while the claim stands unsent: the other replica runs it, once."""
    first, second = replicas.start(lease_seconds=1), replicas.start(lease_seconds=1)
    one, two = Caller(first.target), Caller(second.target)
    await set_up(one, "lab", lab.settings)
    lab.control.add_fault("hang", method="GET", path_regex="^/things/a")
    call = asyncio.create_task(one.execute("lab.things.post_slowly", {"name": "a"}, "k"))
    while not lab.control.requests():
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.2)
    await asyncio.to_thread(first.kill)
    with pytest.raises(grpc.RpcError):
        await call
    done = await two.execute("lab.things.post_slowly", {"name": "a"}, "k")
    assert (done.state, done.attempt, lab.posts()) == (SUCCEEDED, 2, 1)
    await one.close()
    await two.close()


async def test_rule_14_shutdown_drains(replicas: Replicas, lab: Lab) -> None:
    """SIGTERM during work: the running execution finishes and is answered, new work is refused, exit code 0."""
    replica = replicas.start()
    caller = Caller(replica.target)
    await set_up(caller, "lab", lab.settings)
    let_go = lab.hold("POST")
    call = asyncio.create_task(caller.execute("lab.things.run_raw", {"text": "a"}, "k"))
    while not lab.posts():
        await asyncio.sleep(0.02)
    replica.process.send_signal(signal.SIGTERM)
    await asyncio.sleep(1.0)
    with pytest.raises(grpc.RpcError) as refusal:
        await caller.execute("lab.things.run_raw", {"text": "b"}, "k2")
    assert refusal.value.code() == grpc.StatusCode.UNAVAILABLE
    assert reasons(refusal.value) == ["DRAINING"]
    let_go()
    assert (await call).state == SUCCEEDED
    assert await asyncio.to_thread(replica.process.wait, 20) == 0
    await caller.close()


async def test_rule_14_what_does_not_finish_is_handed_over(replicas: Replicas, lab: Lab) -> None:
    """SIGTERM with work that outlasts the drain: the exit code is 0 and another replica tells the outcome."""
    first, second = replicas.start(drain_seconds=0.5), replicas.start()
    one, two = Caller(first.target), Caller(second.target)
    await set_up(one, "lab", lab.settings)
    lab.control.add_fault("hang", method="POST", path_regex="^/things")
    call = asyncio.create_task(one.execute("lab.things.run_raw", {"text": "a"}, "k"))
    while not lab.posts():
        await asyncio.sleep(0.02)
    assert await asyncio.to_thread(first.kill, signal.SIGTERM) == 0
    with pytest.raises(grpc.RpcError):
        await call
    done = await two.execute("lab.things.run_raw", {"text": "a"}, "k")
    assert (done.state, lab.posts()) == (UNKNOWN, 1)
    await one.close()
    await two.close()


def moved(served: Served, days: float) -> Upkeep:
    """The upkeep job with its clock moved ahead."""
    upkeep = served.handle.house.upkeep
    upkeep._now = lambda: datetime.now(UTC) + timedelta(days=days)
    return upkeep


async def test_rule_15_payloads_go_after_a_week_the_key_stays(served: Served) -> None:
    """After 7 days input and output are gone; the key is refused, never run as new."""
    await served.execute("post", {"name": "a"}, "k")
    await moved(served, 6.9).prune()
    assert (await served.caller.execution("k")).HasField("output")
    await moved(served, 7.1).prune()
    kept = await served.caller.execution("k")
    assert (kept.state, kept.payload_dropped, kept.HasField("output"), kept.HasField("input")) == (
        SUCCEEDED,
        True,
        False,
        False,
    )
    with refused("IDEMPOTENCY_KEY_RETIRED", grpc.StatusCode.ALREADY_EXISTS):
        await served.execute("post", {"name": "a"}, "k")
    assert served.lab.posts() == 1


@pytest.mark.parametrize(("action", "days"), [("post", 400), ("run_raw", 400), ("put", 30), ("post_keyed", 30)])
async def test_rule_15_tombstones_stay_by_effect_class(served: Served, action: str, days: float) -> None:
    """Keys of actions that must not be repeated are remembered for 400 days, others for 30."""
    await served.execute(action, {"text": "a"} if action == "run_raw" else {"name": "a"}, "k")
    await moved(served, days - 0.1).prune()
    assert len(await rows(served, "SELECT FROM workflow_action_invocations")) == 1
    await moved(served, days + 0.1).prune()
    assert await rows(served, "SELECT FROM workflow_action_invocations") == []


async def test_rule_15_unknown_outcomes_are_kept_until_settled(served: Served) -> None:
    """Retention never drops what nobody has settled."""
    served.lab.control.add_fault("reset_after", method="POST", path_regex="^/things")
    await served.execute("run_raw", {"text": "a"}, "k")
    await moved(served, 1_000).prune()
    assert (await served.caller.execution("k")).state == UNKNOWN


@pytest.fixture
async def bookings(served: Served) -> None:
    """A table of local effects."""
    connection = await asyncpg.connect(served.fresh.dsn)
    await connection.execute("CREATE TABLE lab_bookings (name text PRIMARY KEY)")
    await connection.execute("GRANT ALL ON lab_bookings TO patchbay_app")
    await connection.close()


@pytest.mark.usefixtures("bookings")
async def test_rule_16_effect_and_record_share_a_transaction(served: Served) -> None:
    """A local effect and its SUCCEEDED record have the same transaction id."""
    done = await served.execute("book", {"name": "a"}, "k")
    assert done.output.json["id"] == "a"
    found = await rows(
        served,
        "SELECT b.xmin = i.xmin AS together FROM lab_bookings b, workflow_action_invocations i",
    )
    assert [row["together"] for row in found] == [True]
    assert (await served.execute("book", {"name": "a"}, "k")).replayed


@pytest.mark.usefixtures("bookings")
async def test_rule_16_a_failed_local_effect_is_rolled_back(served: Served) -> None:
    """The handler writes and then fails: its row is gone, the failure is recorded."""
    done = await served.execute("book", {"name": "a", "mode": "refuse"}, "k")
    assert (done.failure.reason, done.failure.effect) == ("CONFLICT", failure_pb2.EFFECT_NONE)
    assert await rows(served, "SELECT FROM lab_bookings") == []


async def test_list_pages_newest_first_by_filters(served: Served) -> None:
    """ListExecutions: newest first, filtered by action, state and run, paged without gaps."""
    for number in range(5):
        run = executor_pb2.RunContext(run_id="r" if number % 2 else "")
        await served.execute("put", {"name": f"n{number}"}, f"k{number}", run=run)
    request = executor_pb2.ListExecutionsRequest(tenant=TENANT, page_size=2)
    seen = []
    while True:
        page = await served.caller("ActionExecutor/ListExecutions", request)
        seen += [execution.idempotency_key for execution in page.executions]
        request.page_token = page.next_page_token
        if not page.next_page_token:
            break
    assert seen == ["k4", "k3", "k2", "k1", "k0"]
    runs = executor_pb2.ListExecutionsRequest(tenant=TENANT, run_id="r", state=SUCCEEDED, action="lab.things.put")
    page = await served.caller("ActionExecutor/ListExecutions", runs)
    assert [execution.idempotency_key for execution in page.executions] == ["k3", "k1"]


async def test_pruning_touches_only_what_is_due(database: Database) -> None:
    """Retention finds its rows through partial indexes, whatever the size of the table."""
    async with database.system() as connection:
        await connection.execute("SET enable_seqscan = off")
        plan = await connection.fetch(
            "EXPLAIN SELECT FROM workflow_action_invocations WHERE created_at < now() AND NOT payload_dropped"
            " AND status IN ('SUCCEEDED', 'FAILED') LIMIT 10"
        )
        await connection.execute("RESET enable_seqscan")
    assert any("invocations_with_payload" in row[0] for row in plan)
