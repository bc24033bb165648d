"""What the services tell at the edge: trailers, metadata, tokens, and what a caller may not see."""

import asyncio
import base64

import grpc
import pytest

from server.gen.patchbay.v1 import executor_pb2, identity_pb2
from tests.execution.test_review import until
from tests.gen.torture.lab.v1 import lab_pb2
from tests.support.grpc_errors import fields, reasons, refused
from tests.support.served import TENANT, Caller, Served, struct

pytestmark = pytest.mark.anyio

SUCCEEDED = executor_pb2.EXECUTION_STATE_SUCCEEDED


async def direct(
    served: Served, request: lab_pb2.RunRawRequest, timeout: float = 10.0, **headers: str
) -> grpc.RpcError:
    """Calls the lab's own rpc and returns its error."""
    call = served.caller.channel.unary_unary("/torture.lab.v1.Lab/RunRaw", lab_pb2.RunRawRequest.SerializeToString)
    named = {"x-patchbay-tenant": TENANT, "idempotency-key": "k"}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    with pytest.raises(grpc.RpcError) as caught:
        await call(request, timeout=timeout, metadata=tuple(named.items()))
    return caught.value


async def test_forged_page_tokens_are_refused(served: Served) -> None:
    """A token with a broken id is the caller's fault, not ours."""
    token = base64.urlsafe_b64encode(b"2026-01-01|not-a-uuid").decode()
    request = executor_pb2.ListExecutionsRequest(tenant=TENANT, page_token=token)
    with refused("INPUT_INVALID", grpc.StatusCode.INVALID_ARGUMENT, "page_token"):
        await served.caller("ActionExecutor/ListExecutions", request)


async def test_direct_rpcs_name_the_execution_that_failed(served: Served) -> None:
    """The trailing metadata of a failed direct call tell the execution, so that it can be settled."""
    served.lab.control.add_fault("reset_after", method="POST", path_regex="^/things")
    error = await direct(served, lab_pb2.RunRawRequest(text="a"))
    trailers = dict(error.trailing_metadata())
    assert trailers["x-patchbay-execution"] == (await served.caller.execution("k")).id
    assert (trailers["x-patchbay-state"], trailers["x-patchbay-replayed"]) == ("UNKNOWN", "false")
    assert reasons(error) == ["OUTCOME_UNKNOWN"]


async def test_direct_rpcs_know_every_mode(served: Served) -> None:
    """Mode `return` answers at once that the execution runs."""
    let_go = served.lab.hold("POST")
    call = asyncio.create_task(served.execute("run_raw", {"text": "a"}, "k"))
    await until(served, "sent_at")
    error = await direct(served, lab_pb2.RunRawRequest(text="a"), x_patchbay_in_flight="return")
    assert (error.code(), not call.done()) == (grpc.StatusCode.DEADLINE_EXCEEDED, True)
    let_go()
    await call


@pytest.mark.parametrize(
    "header",
    [
        {"x_patchbay_in_flight": "wait"},
        {"x_patchbay_urgency": "high"},
        {"x_patchbay_attempt": "4294967296"},
        {"x_patchbay_attempt": "-1"},
    ],
)
async def test_direct_rpcs_refuse_metadata_that_mean_nothing(served: Served, header: dict[str, str]) -> None:
    """A value that is not known is refused, naming the metadata; it is never taken for the default."""
    error = await direct(served, lab_pb2.RunRawRequest(text="a"), **header)
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert fields(error) == [name.replace("_", "-") for name in header]


async def test_a_direct_call_that_is_cancelled_is_audited(served: Served) -> None:
    """The client leaves a direct call: what ran has its audit row."""
    let_go = served.lab.hold("POST")
    stub = served.caller.channel.unary_unary("/torture.lab.v1.Lab/RunRaw", lab_pb2.RunRawRequest.SerializeToString)
    metadata = (("x-patchbay-tenant", TENANT), ("idempotency-key", "k"))
    call = stub(lab_pb2.RunRawRequest(text="a"), timeout=10, metadata=metadata)
    waiting = asyncio.ensure_future(call.code())
    await until(served, "sent_at")
    call.cancel()
    await waiting
    let_go()
    assert (await served.caller.execution("k", wait=5)).state == SUCCEEDED
    await served.handle.house.audit.flush()
    async with served.handle.house.database.system() as connection:
        outcome = await connection.fetchval("SELECT outcome FROM audit_log WHERE action = 'lab.things.run_raw'")
    assert outcome == "CANCELLED"


async def test_validation_shows_no_execution_that_the_caller_may_not_read(served: Served) -> None:
    """A caller with the right to one action learns nothing of another action's execution by guessing its key."""
    await served.execute("post", {"name": "a"}, "k")
    new = identity_pb2.CreateApiKeyRequest(label="puts", tenants=[TENANT], permissions=["lab.things.p*t"])
    bound = Caller(served.handle.target, (await served.caller("Identity/CreateApiKey", new)).secret)
    found = {}
    for action in ("put", "post"):
        asked = executor_pb2.ExecuteActionRequest(
            tenant=TENANT,
            action=f"lab.things.{action}",
            idempotency_key="k",
            input=executor_pb2.Payload(json=struct({"name": "a"})),
        )
        request = executor_pb2.ValidateActionRequest(call=asked)
        found[action] = await bound("ActionExecutor/ValidateAction", request)
    await bound.close()
    assert not found["put"].HasField("existing")
    assert found["post"].existing.state == SUCCEEDED
    assert not found["post"].existing.HasField("output")
