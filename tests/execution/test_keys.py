"""Keys: what is claimed, replayed, refused (rules 1, 2, 3, 5, 6)."""

import asyncio

import grpc
import pytest

from server.gen.patchbay.v1 import connections_pb2, executor_pb2, failure_pb2, identity_pb2
from tests.support.grpc_errors import refused
from tests.support.served import TENANT, Caller, Served, set_up

pytestmark = pytest.mark.anyio

SUCCEEDED = executor_pb2.EXECUTION_STATE_SUCCEEDED
FAILED = executor_pb2.EXECUTION_STATE_FAILED


async def test_rule_1_a_key_is_required_for_everything_but_reads(served: Served) -> None:
    """A write without a key is refused, naming the field; a read needs none."""
    with refused("IDEMPOTENCY_KEY_REQUIRED", grpc.StatusCode.INVALID_ARGUMENT, "idempotency_key"):
        await served.execute("post", {"name": "a"})
    assert (await served.execute("read", {"name": "a"})).state == SUCCEEDED
    assert served.lab.posts() == 0


@pytest.mark.parametrize("key", ["k" * 256, "tab\there", "umlaut-ä", "null\0byte"])
async def test_rule_1_keys_are_printable_and_short(served: Served, key: str) -> None:
    """Keys over 255 characters or with unprintable ones are refused."""
    with refused("INPUT_INVALID", grpc.StatusCode.INVALID_ARGUMENT, "idempotency_key"):
        await served.execute("post", {"name": "a"}, key)


async def test_rule_1_a_key_belongs_to_the_tenant_not_to_the_action(served: Served) -> None:
    """The same key under another action is refused as reused."""
    await served.execute("post", {"name": "a"}, "k")
    with refused("IDEMPOTENCY_KEY_REUSED", grpc.StatusCode.ALREADY_EXISTS):
        await served.execute("put", {"name": "a"}, "k")


@pytest.mark.parametrize(
    "other",
    [{"name": "b"}, {"name": "a", "times": 2}, {"name": "a", "secret": "other"}],
    ids=["field", "default overridden", "secret"],
)
async def test_rule_2_another_input_under_the_key_is_refused(served: Served, other: dict[str, object]) -> None:
    """Any difference of the input counts, secret fields included; nothing is sent."""
    await served.execute("post", {"name": "a", "secret": "first"} if "secret" in other else {"name": "a"}, "k")
    with refused("IDEMPOTENCY_KEY_REUSED", grpc.StatusCode.ALREADY_EXISTS):
        await served.execute("post", other, "k")
    assert served.lab.posts() == 1


async def test_rule_2_a_default_spelled_out_is_the_same_input(served: Served) -> None:
    """The fingerprint is taken after defaults: spelling a default out replays."""
    await served.execute("post", {"name": "a"}, "k")
    again = await served.execute("post", {"name": "a", "times": 1}, "k")
    assert again.replayed
    assert served.lab.posts() == 1


async def test_rule_3_permission_is_checked_before_the_input(served: Served) -> None:
    """A caller without the permission learns nothing about its input's faults."""
    request = identity_pb2.CreateApiKeyRequest(label="reader", tenants=[TENANT], permissions=["catalog"])
    key = (await served.caller("Identity/CreateApiKey", request)).secret
    bound = Caller(served.handle.target, key)
    with refused("PERMISSION_DENIED", grpc.StatusCode.PERMISSION_DENIED):
        await bound.execute("lab.things.post", {"nonsense": True}, "k")
    await bound.close()


async def test_rule_3_claim_and_send_mark_are_one_statement(served: Served) -> None:
    """An action that sends at once has its send mark from the claim: both times are equal."""
    done = await served.execute("run_raw", {"text": "a"}, "k")
    assert done.send_time == done.start_time


async def test_rule_5_success_is_replayed(served: Served) -> None:
    """The same call again is answered from the record, equal to the first answer, and sends nothing."""
    first = await served.execute("post", {"name": "a"}, "k")
    again = await served.execute("post", {"name": "a"}, "k")
    assert not first.replayed
    assert again.replayed
    assert again.output == first.output
    assert (again.id, again.complete_time) == (first.id, first.complete_time)
    assert served.lab.posts() == 1


async def test_rule_5_definite_failure_is_replayed(served: Served) -> None:
    """A failure that a repeat cannot mend is answered from the record."""
    served.lab.control.add_fault("status", method="POST", path_regex="/things", status=422, body={"error": "no"})
    first = await served.execute("post", {"name": "a"}, "k")
    again = await served.execute("post", {"name": "a"}, "k")
    assert (first.failure.reason, first.failure.effect) == ("VENDOR_REJECTED_INPUT", failure_pb2.EFFECT_NONE)
    assert again.replayed
    assert again.failure == first.failure


@pytest.mark.parametrize("how", ["429", "declared"])
async def test_rule_5_nothing_happened_and_retryable_is_claimed_again(served: Served, how: str) -> None:
    """A retryable failure without effect frees the key: the next call is attempt 2."""
    if how == "429":
        served.lab.control.add_fault("status", method="POST", path_regex="/things", status=429, times=0)
    first = await served.execute("post", {"name": "a", "mode": "" if how == "429" else "closed"}, "k")
    assert first.failure.retryable
    served.lab.control.clear_faults()
    again = await served.execute("post", {"name": "a", "mode": "" if how == "429" else "closed"}, "k")
    assert (again.attempt, again.replayed, again.id) == (2, False, first.id)


async def test_rule_5_connection_refused_is_claimed_again(served: Served) -> None:
    """Nothing listens at the vendor: no effect, retryable, and the key works once it is back."""
    served.lab.control.add_fault("reset_before", path_regex="/things/a", times=0)
    first = await served.execute("post_slowly", {"name": "a"}, "k", timeout=20)
    assert (first.failure.effect, first.failure.retryable) == (failure_pb2.EFFECT_NONE, True)
    served.lab.control.clear_faults()
    again = await served.execute("post_slowly", {"name": "a"}, "k")
    assert (again.state, again.attempt) == (SUCCEEDED, 2)


async def test_rule_6_nothing_is_stored_before_the_claim(served: Served) -> None:
    """Invalid input and a missing connection leave no row: the same key works after the fix."""
    with refused("INPUT_INVALID", grpc.StatusCode.INVALID_ARGUMENT, "input.name"):
        await served.execute("post", {"name": ""}, "k")
    await served.caller("Connections/Disconnect", connections_pb2.DisconnectRequest(tenant=TENANT, provider="lab"))
    away = await served.execute("post", {"name": "a"}, "k")
    assert (away.failure.reason, away.id) == ("INTEGRATION_INACTIVE", "")
    with refused("EXECUTION_UNKNOWN", grpc.StatusCode.NOT_FOUND):
        await served.caller.execution("k")
    await set_up(served.caller, "lab", served.lab.settings)
    assert (await served.execute("post", {"name": "a"}, "k")).attempt == 1


async def test_rule_6_a_known_key_is_answered_while_disconnected(served: Served) -> None:
    """After a disconnect, what happened under a key is still told, not denied."""
    await served.execute("post", {"name": "a"}, "k")
    await served.caller("Connections/Disconnect", connections_pb2.DisconnectRequest(tenant=TENANT, provider="lab"))
    again = await served.execute("post", {"name": "a"}, "k")
    assert (again.state, again.replayed) == (SUCCEEDED, True)


async def test_r3_thirty_two_callers_with_one_key_make_one_effect(served: Served) -> None:
    """Concurrent calls under one key: one dispatch, everybody gets its outcome."""
    answers = await asyncio.gather(*(served.execute("post_slowly", {"name": "a"}, "k") for _ in range(32)))
    assert served.lab.posts() == 1
    assert {answer.id for answer in answers} == {answers[0].id}
    assert all(answer.state == SUCCEEDED for answer in answers)
    assert [answer.replayed for answer in answers].count(False) == 1
