"""When a request is made again, how long it waits, and what several attempts together prove."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.utils import formatdate

import pytest

from server.sdk.context import Deadline
from server.sdk.failures import ActionFailure, Effect
from server.sdk.http import HttpPool, HttpResponse
from server.sdk.http.retry import advised_wait
from server.sdk.scope import entered
from tests.sdk.conftest import LOOPBACK, Bound, Names, Pauses, scope
from tests.sdk.vendor import Act, Step, answer, vendor

pytestmark = pytest.mark.anyio

BUSY = answer(503)
ENOUGH = 4


@dataclass(frozen=True)
class Case:
    """What a vendor does in turn, how often it is asked then, and what comes of it (a reason; empty: success)."""

    steps: Sequence[Step]
    method: str
    repeatable: bool
    requests: int
    reason: str = ""


CASES = {
    "read after reset": Case([Act.RESET, answer()], "GET", False, 2),
    "read after close": Case([Act.CLOSE, answer()], "GET", False, 2),
    "read after 429": Case([answer(429), answer()], "GET", False, 2),
    "read after 502 and 503": Case([answer(502), BUSY, answer()], "GET", False, 3),
    "read after 504": Case([answer(504), answer()], "GET", False, 2),
    "read gives up": Case([BUSY] * ENOUGH, "GET", True, 3, "VENDOR_UNAVAILABLE"),
    "read gives up on resets": Case([Act.RESET] * ENOUGH, "GET", True, 3, "VENDOR_UNAVAILABLE"),
    "read does not repeat 500": Case([answer(500), answer()], "GET", True, 1, "VENDOR_ERROR"),
    "read does not repeat 404": Case([answer(404), answer()], "GET", True, 1, "NOT_FOUND"),
    "read does not repeat an answer too large": Case(
        [answer(200, b"x" * 999)], "GET", True, 1, "VENDOR_ANSWER_TOO_LARGE"
    ),
    "write after reset": Case([Act.RESET, answer()], "POST", False, 1, "OUTCOME_UNKNOWN"),
    "write after 503": Case([BUSY, answer()], "POST", False, 1, "OUTCOME_UNKNOWN"),
    "write after 429": Case([answer(429), answer()], "POST", False, 1, "RATE_LIMITED"),
    "put is a write like any": Case([Act.RESET, answer()], "PUT", False, 1, "OUTCOME_UNKNOWN"),
    "delete is a write like any": Case([Act.RESET, answer()], "DELETE", False, 1, "OUTCOME_UNKNOWN"),
    "repeatable write after reset": Case([Act.RESET, answer()], "PUT", True, 2),
    "repeatable write after 503": Case([BUSY, answer()], "POST", True, 2),
    "repeatable write after 429": Case([answer(429), answer()], "POST", True, 2),
    "repeatable write gives up": Case([BUSY] * ENOUGH, "PUT", True, 3, "OUTCOME_UNKNOWN"),
    "reset, then not found": Case([Act.RESET, answer(404)], "DELETE", True, 2, "OUTCOME_UNKNOWN"),
    "reset, then conflict": Case([Act.RESET, answer(409)], "POST", True, 2, "OUTCOME_UNKNOWN"),
    "503, then too many": Case([BUSY, *[answer(429)] * 3], "POST", True, 3, "OUTCOME_UNKNOWN"),
    "429, then refused": Case([answer(429), answer(400)], "POST", True, 2, "VENDOR_REJECTED_INPUT"),
    "repeatable write does not repeat 500": Case([answer(500), answer()], "PUT", True, 1, "OUTCOME_UNKNOWN"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_attempts(bound: Bound, pauses: Pauses, case: Case) -> None:
    """The vendor is asked exactly as often as is safe, with a pause before each repetition."""
    async with vendor(*case.steps) as server, entered(scope(repeatable=case.repeatable, events=server.events)):
        request = bound(server, max_bytes=500).request(case.method, "/")
        if case.reason:
            with pytest.raises(ActionFailure) as raised:
                await request
            assert raised.value.failure.reason == case.reason
        else:
            assert (await request).status == 200
    assert len(server.requests) == case.requests
    assert pauses.taken == pytest.approx([0.1, 0.2][: case.requests - 1])
    assert server.events.count("mark") == (case.method != "GET")


NO_EFFECT_CASES = {
    "429": Case([answer(429), answer()], "POST", False, 2),
    "412, then 429": Case([answer(412), answer(429), answer()], "POST", False, 3),
    "429 to the end": Case([answer(429)] * ENOUGH, "POST", False, 3, "RATE_LIMITED"),
    "429, then reset": Case([answer(429), Act.RESET, answer()], "POST", False, 2, "OUTCOME_UNKNOWN"),
    "412, then 502": Case([answer(412), answer(502), answer()], "POST", False, 2, "OUTCOME_UNKNOWN"),
    "another refusal": Case([answer(409), answer()], "POST", False, 1, "CONFLICT"),
    "a status of the server's that is named": Case([BUSY] * ENOUGH, "POST", False, 3, "VENDOR_UNAVAILABLE"),
}


@pytest.mark.parametrize("case", NO_EFFECT_CASES.values(), ids=NO_EFFECT_CASES.keys())
async def test_a_status_that_proves_no_effect_lets_any_write_go_again(bound: Bound, pauses: Pauses, case: Case) -> None:
    """Where the vendor says that it did nothing even a write that must not go twice does; doubt ends that."""
    async with vendor(*case.steps) as server, entered(scope(repeatable=case.repeatable, events=server.events)):
        request = bound(server, no_effect={412, 429, 503}).request(case.method, "/")
        if case.reason:
            with pytest.raises(ActionFailure) as raised:
                await request
            assert raised.value.failure.reason == case.reason
        else:
            assert (await request).status == 200
    assert len(server.requests) == case.requests
    assert len(pauses.taken) == case.requests - 1
    assert server.events.count("mark") == 1


ONE_ATTEMPT = {
    "read after 503": Case([BUSY, answer()], "GET", True, 1, "VENDOR_UNAVAILABLE"),
    "write after 429": Case([answer(429), answer()], "POST", True, 1, "RATE_LIMITED"),
    "write after a reset": Case([Act.RESET, answer()], "PUT", True, 1, "OUTCOME_UNKNOWN"),
    "write after a status that proves no effect": Case(
        [answer(412), answer()], "POST", True, 1, "VENDOR_REJECTED_INPUT"
    ),
}


@pytest.mark.parametrize("case", ONE_ATTEMPT.values(), ids=ONE_ATTEMPT.keys())
async def test_who_tries_all_again_has_each_request_made_once(bound: Bound, pauses: Pauses, case: Case) -> None:
    """With one attempt allowed nothing is repeated, whatever the vendor says and whatever would be safe."""
    async with vendor(*case.steps) as server, entered(scope(attempts=1)):
        with pytest.raises(ActionFailure) as raised:
            await bound(server, no_effect={412}).request(case.method, "/")
    assert raised.value.failure.reason == case.reason
    assert (len(server.requests), pauses.taken) == (case.requests, [])


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("aiohttp_retries", [False, True])
async def test_stale_connection_is_not_used_to_send_twice(
    bound: Bound, aiohttp_retries: bool, method: str, pauses: Pauses
) -> None:
    """A kept connection that breaks under a request: only we decide on a repetition, also if aiohttp wanted one."""
    async with vendor(answer(), Act.CLOSE, answer()) as server, entered(scope(repeatable=False)):
        client = bound(server)
        if aiohttp_retries:
            client._courier.session._retry_connection = True  # type: ignore[attr-defined]
        await client.request("GET", "/warm")
        if method == "GET":
            await client.request("GET", "/x")
        else:
            with pytest.raises(ActionFailure, match="OUTCOME_UNKNOWN"):
                await client.request(method, "/x", json={})
    assert [one.connection for one in server.requests[:2]] == [1, 1]
    assert len(server.requests) == (3 if method == "GET" else 2)
    assert len(pauses.taken) == (method == "GET")


async def test_write_that_could_not_leave_is_tried_again(bound: Bound, names: Names, pauses: Pauses) -> None:
    """Before anything was sent even a write that must not go twice has a second attempt."""
    names.answers["late.example.test"] = [[], [], ["127.0.0.1"]]
    async with vendor() as server, entered(scope(repeatable=False, events=server.events)):
        await bound(server.named("late.example.test")).request("POST", "/")
    assert server.events == ["mark", "first byte"]
    assert len(pauses.taken) == 2


async def test_a_module_says_how_long_to_wait_where_the_vendor_does_not(bound: Bound, pauses: Pauses) -> None:
    """The wait that a module's own reading advises is kept, or passed on when it does not fit the deadline.

    Status and words of the answer are filled in.
    """

    def read(_response: HttpResponse) -> ActionFailure:
        return ActionFailure("RATE_LIMITED", "Too many.", retry_after=10)

    steps = [answer(429, b'{"error": "slow down"}')] * 2
    async with vendor(*steps, answer()) as server, entered(scope(20)):
        with pytest.raises(ActionFailure) as raised:
            await bound(server, read_error=read).request("GET", "/", timeout=5)
        await bound(server, read_error=read).request("GET", "/")
    failure = raised.value.failure
    assert (failure.retry_after.seconds, failure.vendor_status, failure.vendor_message) == (10, 429, "slow down")
    assert pauses.taken == pytest.approx([10.1])


@pytest.mark.parametrize(
    ("advice", "seconds", "requests", "paused"),
    [
        ("Retry-After: 3", 20, 2, 3.1),
        ("Retry-After: 0", 20, 2, 0.1),
        ("Retry-After: 1.5", 20, 2, 1.6),
        ("Retry-After: 30", 20, 1, None),
        ("Retry-After: 999999999999", 20, 1, None),
        ("Retry-After: soon", 20, 2, 0.1),
        ("Retry-After: -5", 20, 2, 0.1),
        ("X-Other: 1", 20, 2, 0.1),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after(
    bound: Bound, pauses: Pauses, status: int, advice: str, seconds: float, requests: int, paused: float | None
) -> None:
    """The vendor's advice is the least pause; what does not fit the deadline fails at once and passes the advice on."""
    async with vendor(answer(status, b"{}", advice), answer()) as server, entered(scope(seconds)):
        request = bound(server).request("GET", "/")
        if paused is not None:
            await request
            assert pauses.taken == pytest.approx([paused])
        else:
            with pytest.raises(ActionFailure) as raised:
                await request
            wanted = advice.partition(": ")[2]
            assert raised.value.failure.retry_after.seconds == min(int(wanted), 86_400)
            assert pauses.taken == []
    assert len(server.requests) == requests


async def test_retry_after_as_a_date(bound: Bound, pauses: Pauses) -> None:
    """An HTTP date is waited for, one in the past is not."""
    soon, past = formatdate(time.time() + 5, usegmt=True), formatdate(time.time() - 60, usegmt=True)
    steps = [answer(429, b"{}", f"Retry-After: {soon}"), answer(429, b"{}", f"Retry-After: {past}"), answer()]
    async with vendor(*steps), entered(scope()):
        pass
    async with vendor(*steps) as server, entered(scope()):
        await bound(server).request("GET", "/")
    assert 1 < pauses.taken[0] <= 5.1
    assert pauses.taken[1] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", None),
        ("120", 120),
        (" 7 ", 7),
        ("0.5", 0.5),
        ("1e3", None),
        ("-1", None),
        ("+1", None),
        ("١٢", None),
        ("9" * 400, None),
        ("999999999", 86_400),
        ("inf", None),
        ("nan", None),
        ("Thu, 01 Jan 1970 00:16:50 GMT", 10),
        ("Thu, 01 Jan 1970 00:16:50 -0000", 10),
        ("Thursday, 01-Jan-70 00:16:50 GMT", 10),
        ("Thu Jan  1 00:16:50 1970", 10),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400),
        ("Fri, 32 Dec 2020 23:59:59 GMT", None),
        ("tomorrow", None),
        ("Thu, 01 Jan 99999999999 00:00:00 GMT", None),
    ],
)
def test_advice_is_read_or_ignored(header: str, seconds: float | None) -> None:
    """Seconds and the three date forms of RFC 9110 are understood; nonsense is no advice, never an error."""
    assert advised_wait(header, 1000.0) == seconds


@dataclass
class Budget:
    """A vendor budget that notes what is spent, waits, and may run dry."""

    waits: float = 0.0
    holds: int = 1_000
    spent: int = 0
    deadlines: list[Deadline] = field(default_factory=list)

    async def spend(self, deadline: Deadline) -> float:
        """Spends one request."""
        self.deadlines.append(deadline)
        if self.spent >= self.holds:
            raise ActionFailure("BUDGET_EXHAUSTED", "Used up.", retry_after=30)
        self.spent += 1
        await asyncio.sleep(self.waits)
        return self.waits


async def test_each_attempt_and_hop_spends_the_budget(bound: Bound) -> None:
    """Every request that reaches the vendor is paid for."""
    budget = Budget()
    steps = [answer(503), answer(302, b"", "Location: /b"), answer()]
    async with vendor(*steps) as server, entered(scope(budget=budget)) as call:
        await bound(server).request("GET", "/")
    assert (budget.spent, len(server.requests)) == (3, 3)
    assert set(budget.deadlines) == {call.deadline}


async def test_waiting_for_the_budget_is_not_the_vendors_time(bound: Bound) -> None:
    """The request's own timeout begins when the budget has been granted."""
    async with vendor() as server, entered(scope(budget=Budget(waits=1.2))) as call:
        await bound(server).request("GET", "/", timeout=1.0)
    assert call.budget_wait == pytest.approx(1.2)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_without_budget_nothing_is_sent(bound: Bound, method: str) -> None:
    """An exhausted budget is its own failure, before connection and mark."""
    async with vendor() as server, entered(scope(budget=Budget(holds=0))) as call:
        with pytest.raises(ActionFailure, match="BUDGET_EXHAUSTED") as raised:
            await bound(server).request(method, "/")
    assert raised.value.failure.effect == Effect.EFFECT_NONE
    assert (server.connections, call.sent) == (0, False)


async def test_budget_that_ends_between_attempts_leaves_the_doubt(bound: Bound) -> None:
    """A repeatable write that may have arrived stays unknown when its second attempt cannot be paid."""
    async with vendor(Act.RESET) as server, entered(scope(budget=Budget(holds=1))):
        with pytest.raises(ActionFailure) as raised:
            await bound(server).request("PUT", "/")
    assert raised.value.failure.reason == "OUTCOME_UNKNOWN"
    assert raised.value.failure.effect == Effect.EFFECT_UNKNOWN


async def test_doubt_keeps_what_both_attempts_said(bound: Bound) -> None:
    """The failure of a doubtful repetition tells both stories and the last status."""
    async with vendor(Act.RESET, answer(404, "gone")) as server, entered(scope()):
        with pytest.raises(ActionFailure) as raised:
            await bound(server).request("DELETE", "/")
    failure = raised.value.failure
    assert (failure.vendor_status, failure.vendor_message) == (404, "gone")
    assert "closed the connection" in failure.message
    assert "does not know the object" in failure.message


async def test_pauses_are_real_by_default() -> None:
    """Without injected sleep the pool still repeats."""
    pool = HttpPool(draw=lambda: 0.0)
    async with vendor(answer(503), answer()) as server, entered(scope()):
        await pool.client(LOOPBACK).bind(base_url=server.url).request("GET", "/")
    await pool.close()
    assert len(server.requests) == 2
