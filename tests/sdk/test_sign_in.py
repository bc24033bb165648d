"""Requests that obtain credentials: apart from the execution that needs them, and never sent on a guess."""

from contextlib import suppress

import pytest

from server.sdk.context import Deadline
from server.sdk.failures import ActionFailure, Effect
from server.sdk.http import AnswerLost
from server.sdk.scope import Gate, entered
from tests.sdk.conftest import Bound, Names, scope
from tests.sdk.vendor import Act, Step, answer, vendor

pytestmark = pytest.mark.anyio

TOKEN = "canary-t0ken-5b1e77"


class Spent(Gate):
    """A budget that notes its use."""

    count = 0

    async def spend(self, deadline: Deadline) -> float:
        """Notes a request."""
        del deadline
        self.count += 1
        return 0.0


async def test_a_sign_in_is_not_the_actions_write(bound: Bound) -> None:
    """No send mark, no budget, nothing that was written; it also works where nothing is running."""
    events: list[str] = []
    budget = Spent()
    async with vendor(answer(200, '{"token": "x"}')) as server:
        client = bound(server)
        async with entered(scope(repeatable=False, events=events, budget=budget)) as call:
            assert await client.sign_in("/token", form={"a": "b"}) == {"token": "x"}
            assert (events, call.sent, call.wrote, budget.count) == ([], False, False, 0)
            await client.request("GET", "/read")
            assert budget.count == 1
        assert await client.sign_in("/token", form={"a": "b"}) == {"token": "x"}
    assert server.paths() == ["POST /token", "GET /read", "POST /token"]


LOST: dict[str, tuple[Step, str]] = {
    "closed": (Act.CLOSE, "VENDOR_UNAVAILABLE"),
    "a gateway": (answer(502), "VENDOR_UNAVAILABLE"),
    "a defect": (answer(500), "VENDOR_ERROR"),
    "no JSON": (answer(200, "<p>"), "VENDOR_UNAVAILABLE"),
    "no object": (answer(200, "[]"), "VENDOR_ANSWER_INVALID"),
}


@pytest.mark.parametrize("case", LOST)
async def test_a_lost_answer_is_not_asked_for_again(bound: Bound, case: str) -> None:
    """One request, in a repeatable action, too; nothing of the action has happened."""
    step, reason = LOST[case]
    async with vendor(step) as server, entered(scope(repeatable=True)):
        with pytest.raises(AnswerLost) as raised:
            await bound(server).sign_in("/token", form={})
    assert (raised.value.failure.reason, raised.value.failure.effect) == (reason, Effect.EFFECT_NONE)
    assert len(server.requests) == 1


async def test_a_refusal_is_definite_and_masked(bound: Bound) -> None:
    """Its words lose the secrets of the sign-in; the module reads what it means."""
    async with vendor(answer(400, f'{{"error": "{TOKEN} is not good"}}')) as server, entered(scope()):
        with pytest.raises(ActionFailure) as raised:
            await bound(server).sign_in("/token", form={"refresh": TOKEN}, secrets=[TOKEN])
    assert not isinstance(raised.value, AnswerLost)
    assert raised.value.failure.vendor_message == "*** is not good"


async def test_what_comes_before_can_keep_it_from_being_sent(bound: Bound) -> None:
    """`before` runs on the open connection; when it raises, the vendor sees nothing."""

    async def refuse() -> None:
        raise ActionFailure("INTERRUPTED", "not now")

    async with vendor() as server, entered(scope()):
        with pytest.raises(ActionFailure, match="not now"):
            await bound(server).sign_in("/token", form={}, before=refuse)
    assert server.requests == []


@pytest.mark.parametrize(("attempts", "connected"), [(1, False), (3, True)])
async def test_attempts_are_those_of_what_runs(bound: Bound, names: Names, attempts: int, connected: bool) -> None:
    """A sign-in that could not leave is made again only where requests of what runs are."""
    names.answers["late.example.test"] = [[], ["127.0.0.1"]]
    async with vendor(answer(200, "{}")) as server, entered(scope(attempts=attempts)):
        with suppress(ActionFailure):
            await bound(server.named("late.example.test")).sign_in("/token", form={})
    assert len(server.requests) == connected


async def test_without_time_nothing_is_sent(bound: Bound) -> None:
    """The execution's deadline holds."""
    async with vendor() as server, entered(scope(0.0)):
        with pytest.raises(ActionFailure) as raised:
            await bound(server).sign_in("/token", form={})
    assert raised.value.failure.reason == "TIMED_OUT"
    assert server.requests == []


async def test_after_a_write_part_of_the_action_is_done(bound: Bound) -> None:
    """A sign-in that fails in the middle is not told as a failure without effect."""
    async with vendor(answer(200), answer(401)) as server:
        client = bound(server)
        async with entered(scope(repeatable=False)):
            await client.request("POST", "/write")
            with pytest.raises(ActionFailure) as raised:
                await client.sign_in("/token", form={})
    assert (raised.value.failure.effect, raised.value.failure.retryable) == (Effect.EFFECT_APPLIED, False)
