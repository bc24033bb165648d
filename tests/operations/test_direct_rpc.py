"""A module's own rpcs: typed bytes in and out, the envelope in metadata, failures as statuses."""

import asyncio
from dataclasses import dataclass
from typing import Any

import asyncpg
import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from server.gen.patchbay.v1 import executor_pb2, failure_pb2
from tests.gen.torture.lab.v1 import lab_pb2 as lab
from tests.support.grpc_errors import fields, reasons, refused
from tests.support.served import TENANT, Served

pytestmark = pytest.mark.anyio

Code = grpc.StatusCode
SUCCEEDED = executor_pb2.EXECUTION_STATE_SUCCEEDED


@dataclass(frozen=True)
class Told:
    """What an rpc told: its answer or its error, and the trailing metadata."""

    answer: Any
    error: grpc.aio.AioRpcError | None
    trailers: dict[str, Any]

    @property
    def ours(self) -> tuple[str, str]:
        """State and replay, as the trailing metadata have them."""
        return self.trailers["x-patchbay-state"], self.trailers["x-patchbay-replayed"]

    @property
    def failure(self) -> failure_pb2.Failure:
        """The Failure in the status."""
        return detail(self.error, failure_pb2.Failure())


def detail(error: grpc.aio.AioRpcError | None, kind: Any) -> Any:
    """Returns the detail of a kind from a status; fails when there is none."""
    assert error is not None
    status = rpc_status.from_call(error)
    assert status is not None
    assert any(one.Unpack(kind) for one in status.details), status
    return kind


async def direct(served: Served, rpc: str, request: Message, key: str = "", **metadata: str) -> Told:
    """Calls an rpc of the lab for the tenant."""
    answer_type = getattr(lab, f"{rpc}Response")
    stub = served.caller.channel.unary_unary(
        f"/torture.lab.v1.Lab/{rpc}", type(request).SerializeToString, answer_type.FromString
    )
    pairs = {"x-patchbay-tenant": TENANT} | ({"idempotency-key": key} if key else {})
    pairs |= {name.replace("_", "-"): value for name, value in metadata.items()}
    call = stub(request, timeout=float(pairs.pop("timeout", "30")), metadata=tuple(pairs.items()))
    try:
        answer, error = await call, None
    except grpc.aio.AioRpcError as caught:
        answer, error = None, caught
    return Told(answer, error, dict(await call.trailing_metadata()))


async def test_success_is_the_actions_own_message(served: Served) -> None:
    """The answer is the response message itself; trailing metadata name the execution."""
    told = await direct(served, "PostThing", lab.PostThingRequest(name="a"), "k")
    assert told.answer == lab.PostThingResponse(thing=lab.Thing(id="1", name="a"))
    assert told.ours == ("SUCCEEDED", "false")
    kept = await served.caller.execution(id=told.trailers["x-patchbay-execution"])
    assert (kept.state, kept.idempotency_key) == (SUCCEEDED, "k")


async def test_the_same_key_is_replayed_across_both_ways(served: Served) -> None:
    """A direct call, its repetition and ExecuteAction under the same key are one execution with one effect."""
    request = lab.PostThingRequest(name="a")
    first = await direct(served, "PostThing", request, "k")
    again = await direct(served, "PostThing", request, "k")
    other = await served.execute("post", {"name": "a"}, "k")
    assert again.answer == first.answer
    assert again.ours == ("SUCCEEDED", "true")
    assert (other.replayed, other.id) == (True, first.trailers["x-patchbay-execution"])
    assert served.lab.posts() == 1


async def test_a_failure_is_a_status_with_the_failure_inside(served: Served) -> None:
    """The status has the failure, its reason as ErrorInfo, its remedy, and trailing metadata naming the execution."""
    told = await direct(served, "PostThing", lab.PostThingRequest(name="a", mode="closed"), "k")
    assert told.error is not None
    assert told.failure.reason == "LAB_CLOSED"
    assert told.failure.retryable
    assert told.failure.remedy.text == "Come back later."
    info = detail(told.error, error_details_pb2.ErrorInfo())
    assert (info.reason, info.domain) == ("LAB_CLOSED", "patchbay")
    assert told.ours == ("FAILED", "false")
    kept = await served.caller.execution(id=told.trailers["x-patchbay-execution"])
    assert kept.failure == told.failure


async def test_an_unknown_outcome_is_a_status_of_its_own(served: Served) -> None:
    """A reset after the effect is UNKNOWN with the remedy; the execution can be found by the trailing metadata."""
    served.lab.control.add_fault("reset_after", method="POST", path_regex="^/things")
    told = await direct(served, "RunRaw", lab.RunRawRequest(text="a"), "k")
    assert told.error is not None
    assert told.error.code() == Code.UNKNOWN
    assert told.failure.effect == failure_pb2.EFFECT_UNKNOWN
    assert not told.failure.retryable
    assert told.failure.remedy.text
    assert told.ours == ("UNKNOWN", "false")
    assert served.lab.posts() == 1


@pytest.mark.parametrize(
    ("status", "reason", "code"),
    [(404, "NOT_FOUND", Code.NOT_FOUND), (409, "CONFLICT", Code.FAILED_PRECONDITION)],
)
async def test_categories_become_codes(served: Served, status: int, reason: str, code: Code) -> None:
    """What the vendor refuses becomes the gRPC code of its category."""
    served.lab.control.add_fault("status", method="POST", path_regex="^/things", status=status)
    told = await direct(served, "RunRaw", lab.RunRawRequest(text="a"), "k")
    assert told.error is not None
    assert (told.failure.reason, told.error.code()) == (reason, code)
    assert told.failure.vendor_status == status


async def test_a_vendor_that_asks_to_wait_is_passed_on(served: Served) -> None:
    """429 with Retry-After is RESOURCE_EXHAUSTED with RetryInfo; the same key runs once it is over."""
    served.lab.control.add_fault("status", method="PUT", status=429, headers={"retry-after": "3600"})
    told = await direct(served, "PutThing", lab.PutThingRequest(name="a"), "k")
    assert told.error is not None
    assert told.error.code() == Code.RESOURCE_EXHAUSTED
    assert detail(told.error, error_details_pb2.RetryInfo()).retry_delay.seconds >= 3_590
    again = await direct(served, "PutThing", lab.PutThingRequest(name="a"), "k")
    assert again.ours == ("SUCCEEDED", "false")


async def test_a_read_needs_no_key(served: Served) -> None:
    """A reading rpc runs without a key, every time."""
    for _ in range(2):
        told = await direct(served, "ReadThing", lab.ReadThingRequest(name="a"))
        assert (told.answer.thing.name, told.ours) == ("a", ("SUCCEEDED", "false"))


async def test_a_write_needs_a_key(served: Served) -> None:
    """A writing rpc without a key is refused by the field's name and sends nothing."""
    told = await direct(served, "PostThing", lab.PostThingRequest(name="a"))
    assert told.error is not None
    assert (told.error.code(), reasons(told.error)) == (Code.INVALID_ARGUMENT, ["IDEMPOTENCY_KEY_REQUIRED"])
    assert "idempotency_key" in fields(told.error)
    assert served.lab.posts() == 0


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        ({"x_patchbay_attempt": "twice"}, "x-patchbay-attempt"),
        ({"x_patchbay_attempt": "-1"}, "x-patchbay-attempt"),
        ({"x_patchbay_attempt": "9" * 5_000}, "x-patchbay-attempt"),
        ({"x_patchbay_in_flight": "maybe"}, "x-patchbay-in-flight"),
        ({"x_patchbay_urgency": "soon"}, "x-patchbay-urgency"),
        ({"idempotency_key": "k" * 256}, "idempotency_key"),
        ({"x_patchbay_actor": "a" * 2_000}, "actor"),
        ({"x_patchbay_run_id": "r" * 2_000}, "run.run_id"),
    ],
)
async def test_wrong_metadata_are_refused_by_name(served: Served, metadata: dict[str, str], field: str) -> None:
    """Metadata that make no sense are INVALID_ARGUMENT with their name; nothing is sent."""
    told = await direct(served, "PostThing", lab.PostThingRequest(name="a"), **{"idempotency_key": "k", **metadata})
    assert told.error is not None
    assert (told.error.code(), reasons(told.error)) == (Code.INVALID_ARGUMENT, ["INPUT_INVALID"])
    assert field in fields(told.error)
    assert served.lab.posts() == 0


async def test_a_tenant_that_does_not_exist(served: Served) -> None:
    """An unknown tenant is refused like in every other service."""
    told = await direct(served, "ReadThing", lab.ReadThingRequest(name="a"), x_patchbay_tenant="nobody")
    via = executor_pb2.ExecuteActionRequest(tenant="nobody", action="lab.things.read")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.caller("ActionExecutor/ExecuteAction", via)
    assert told.error is not None
    assert (told.error.code(), reasons(told.error)) == (caught.value.code(), reasons(caught.value))


async def test_bytes_that_are_no_message(served: Served) -> None:
    """Bytes that do not parse are INPUT_INVALID, not an internal error."""
    stub = served.caller.channel.unary_unary("/torture.lab.v1.Lab/PostThing")
    with refused("INPUT_INVALID", Code.INVALID_ARGUMENT):
        await stub(b"\xff\xff\xff", timeout=30, metadata=(("x-patchbay-tenant", TENANT), ("idempotency-key", "k")))


async def test_an_input_against_the_rules(served: Served) -> None:
    """A typed input that breaks its rules is refused by the field's path."""
    told = await direct(served, "PostThing", lab.PostThingRequest(name="a" * 51), "k")
    assert told.error is not None
    assert reasons(told.error) == ["INPUT_INVALID"]
    assert "input.name" in fields(told.error)


async def test_calls_that_meet_a_running_execution(served: Served) -> None:
    """While it runs: `fail` is ABORTED with RetryInfo, `return` and a short deadline tell so, others wait."""
    hold = served.lab.control.add_fault("hang", method="POST", path_regex="^/things")
    request = lab.RunRawRequest(text="a")
    running = asyncio.create_task(direct(served, "RunRaw", request, "k"))
    while not served.lab.posts():
        await asyncio.sleep(0.02)
    fail = await direct(served, "RunRaw", request, "k", x_patchbay_in_flight="fail")
    assert fail.error is not None
    assert (fail.error.code(), reasons(fail.error)) == (Code.ABORTED, ["EXECUTION_IN_FLIGHT"])
    assert detail(fail.error, error_details_pb2.RetryInfo()).retry_delay.seconds
    for more in ({"x_patchbay_in_flight": "return"}, {"timeout": "1"}):
        told = await direct(served, "RunRaw", request, "k", **more)
        assert told.error is not None
        assert (reasons(told.error), told.ours[0]) == (["STILL_RUNNING"], "RUNNING")
    attached = asyncio.create_task(direct(served, "RunRaw", request, "k", x_patchbay_in_flight="attach"))
    await asyncio.sleep(0.2)
    served.lab.control.remove_fault(hold)
    first, second = await running, await attached
    assert second.answer == first.answer
    assert (first.ours, second.ours) == (("SUCCEEDED", "false"), ("SUCCEEDED", "true"))
    assert served.lab.posts() == 1


async def test_another_input_under_the_same_key(served: Served) -> None:
    """ALREADY_EXISTS with the reason, as through ExecuteAction."""
    await direct(served, "PostThing", lab.PostThingRequest(name="a"), "k")
    told = await direct(served, "PostThing", lab.PostThingRequest(name="b"), "k")
    assert told.error is not None
    assert (told.error.code(), reasons(told.error)) == (Code.ALREADY_EXISTS, ["IDEMPOTENCY_KEY_REUSED"])


async def test_the_envelope_is_recorded_and_audited(served: Served) -> None:
    """Run, step, attempt and actor reach the record; the audit row names the rpc and the outcome."""
    envelope = {"x_patchbay_run_id": "r1", "x_patchbay_step_path": "a/b", "x_patchbay_attempt": "3"}
    await direct(served, "PostThing", lab.PostThingRequest(name="a"), "k", x_patchbay_actor="night shift", **envelope)
    kept = await served.caller.execution("k")
    assert (kept.run.run_id, kept.run.step_path, kept.run.attempt) == ("r1", "a/b", 3)
    assert kept.actor == "night shift"
    await served.handle.house.audit.flush()
    connection = await asyncpg.connect(served.fresh.dsn)
    rows = await connection.fetch("SELECT operation, action, outcome, actor, run_id FROM audit_log WHERE run_id = 'r1'")
    await connection.close()
    assert [tuple(row) for row in rows] == [
        ("torture.lab.v1.Lab/PostThing", "lab.things.post", "SUCCEEDED", "night shift", "r1")
    ]


async def test_a_method_that_does_not_exist(served: Served) -> None:
    """An rpc that the module does not have is UNIMPLEMENTED."""
    stub = served.caller.channel.unary_unary("/torture.lab.v1.Lab/Nothing")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub(b"", timeout=30)
    assert caught.value.code() == Code.UNIMPLEMENTED
