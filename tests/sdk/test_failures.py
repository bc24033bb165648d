"""Every failure: its reason, its effect, and whether the send mark was there before the first byte."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from server.sdk.failures import ActionFailure, Effect, LeaseLost, OutcomeUnknown
from server.sdk.http import HttpResponse
from server.sdk.scope import CallScope, entered
from tests.sdk.conftest import SECRET, Bound, Names, Pauses, scope
from tests.sdk.vendor import Act, Received, Step, answer, vendor
from tests.support.ports import free_port

pytestmark = pytest.mark.anyio

NONE, UNKNOWN = Effect.EFFECT_NONE, Effect.EFFECT_UNKNOWN


@dataclass(frozen=True)
class Row:
    """One way to fail: what the vendor does, and what a read and a write are told."""

    step: Step
    read: str
    write: str
    retryable: bool = False
    status: int = 0


ROWS = {
    "closed at once": Row(Act.CLOSE, "VENDOR_UNAVAILABLE", "OUTCOME_UNKNOWN", True),
    "reset at once": Row(Act.RESET, "VENDOR_UNAVAILABLE", "OUTCOME_UNKNOWN", True),
    "silence": Row(Act.HANG, "TIMED_OUT", "OUTCOME_UNKNOWN", True),
    "no HTTP": Row((b"SSH-2.0-OpenSSH_9.6\r\n", Act.CLOSE), "VENDOR_ANSWER_INVALID", "OUTCOME_UNKNOWN"),
    "half a head": Row((b"HTTP/1.1 200 O", Act.CLOSE), "VENDOR_UNAVAILABLE", "OUTCOME_UNKNOWN", True),
    "half a body": Row((answer(200, b"{", length=99), Act.CLOSE), "VENDOR_UNAVAILABLE", "OUTCOME_UNKNOWN", True, 200),
    "body reset": Row((answer(200, b"{", length=99), Act.RESET), "VENDOR_UNAVAILABLE", "OUTCOME_UNKNOWN", True, 200),
    "slow body": Row((answer(200, b"{", length=99), Act.HANG), "TIMED_OUT", "OUTCOME_UNKNOWN", True),
    "bad chunk": Row(
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n", Act.CLOSE),
        "VENDOR_ANSWER_INVALID",
        "OUTCOME_UNKNOWN",
    ),
    "huge head": Row(
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", "VENDOR_ANSWER_INVALID", "OUTCOME_UNKNOWN"
    ),
    "too large": Row(answer(200, b"x" * 5000), "VENDOR_ANSWER_TOO_LARGE", "OUTCOME_UNKNOWN", False, 200),
    "unasked packing": Row(
        answer(200, b"x", "Content-Encoding: br"), "VENDOR_ANSWER_INVALID", "OUTCOME_UNKNOWN", False, 200
    ),
    "400": Row(answer(400), "VENDOR_REJECTED_INPUT", "VENDOR_REJECTED_INPUT", False, 400),
    "401": Row(answer(401), "CREDENTIALS_REFUSED", "CREDENTIALS_REFUSED", False, 401),
    "403": Row(answer(403), "VENDOR_PERMISSION_DENIED", "VENDOR_PERMISSION_DENIED", False, 403),
    "404": Row(answer(404), "NOT_FOUND", "NOT_FOUND", False, 404),
    "405": Row(answer(405), "VENDOR_REJECTED_INPUT", "VENDOR_REJECTED_INPUT", False, 405),
    "408": Row(answer(408), "VENDOR_UNAVAILABLE", "OUTCOME_UNKNOWN", True, 408),
    "409": Row(answer(409), "CONFLICT", "CONFLICT", False, 409),
    "410": Row(answer(410), "NOT_FOUND", "NOT_FOUND", False, 410),
    "413": Row(answer(413), "VENDOR_REJECTED_INPUT", "VENDOR_REJECTED_INPUT", False, 413),
    "422": Row(answer(422), "VENDOR_REJECTED_INPUT", "VENDOR_REJECTED_INPUT", False, 422),
    "429": Row(answer(429), "RATE_LIMITED", "RATE_LIMITED", True, 429),
    "500": Row(answer(500), "VENDOR_ERROR", "OUTCOME_UNKNOWN", False, 500),
    "501": Row(answer(501), "VENDOR_ERROR", "OUTCOME_UNKNOWN", False, 501),
    "502": Row(answer(502), "VENDOR_UNAVAILABLE", "OUTCOME_UNKNOWN", True, 502),
    "503": Row(answer(503), "VENDOR_UNAVAILABLE", "OUTCOME_UNKNOWN", True, 503),
    "504": Row(answer(504), "VENDOR_UNAVAILABLE", "OUTCOME_UNKNOWN", True, 504),
    "599": Row(answer(599), "VENDOR_ERROR", "OUTCOME_UNKNOWN", False, 599),
    "304": Row(answer(304, b""), "VENDOR_ANSWER_INVALID", "VENDOR_ANSWER_INVALID", False, 304),
    "unexpected 202": Row(answer(202), "VENDOR_ANSWER_INVALID", "OUTCOME_UNKNOWN", False, 202),
    "refusal with a broken body": Row(
        (answer(400, b"{", length=99), Act.CLOSE), "VENDOR_REJECTED_INPUT", "VENDOR_REJECTED_INPUT", False, 400
    ),
    "refusal with a large body": Row(
        answer(403, b"x" * 400_000), "VENDOR_PERMISSION_DENIED", "VENDOR_PERMISSION_DENIED", False, 403
    ),
}


@pytest.mark.parametrize("writes", [False, True], ids=["read", "write"])
@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
async def test_failure_row(bound: Bound, row: Row, writes: bool) -> None:
    """Reason, effect, retryable and status are as tabled; a write's mark precedes its first byte, a read makes none."""
    timeout = 0.3 if row.read == "TIMED_OUT" else 20.0
    async with vendor(row.step) as server:
        call = scope(events=server.events, repeatable=False)
        client = bound(server, max_bytes=4096)
        async with entered(call):
            with pytest.raises(ActionFailure) as raised:
                await client.request("POST" if writes else "GET", "/", ok={200}, timeout=timeout)
    failure = raised.value.failure
    reason = row.write if writes else row.read
    unknown = reason == "OUTCOME_UNKNOWN"
    assert failure.reason == reason
    assert failure.effect == (UNKNOWN if unknown else NONE)
    assert isinstance(raised.value, OutcomeUnknown) is unknown
    assert failure.retryable is (row.retryable and not unknown)
    assert failure.vendor_status == row.status
    assert call.sent is writes
    assert server.events[: 1 + writes] == ["mark", "first byte"][1 - writes :]
    assert raised.value.__context__ is None
    if writes:
        assert len(server.requests) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://127.0.0.1:{closed}", "refused"),
        ("http://missing.example.test", "resolved"),
        ("http://empty.example.test", "resolved"),
    ],
)
async def test_unreachable_vendor_saw_nothing(bound: Bound, names: Names, method: str, url: str, told: str) -> None:
    """Without a connection there is no mark and no effect, and a repeat may help."""
    names.answers["empty.example.test"] = [[]]
    events: list[str] = []
    call = scope(events=events, repeatable=False)
    async with entered(call):
        with pytest.raises(ActionFailure) as raised:
            await bound(url.format(closed=free_port())).request(method, "/")
    failure = raised.value.failure
    assert (failure.reason, failure.effect, failure.retryable) == ("VENDOR_UNAVAILABLE", NONE, True)
    assert told in failure.message
    assert (events, call.sent) == ([], False)


async def test_unreachable_after_an_earlier_write_is_a_part_done(bound: Bound) -> None:
    """The second write of an execution finds nobody after the first was done: effect APPLIED, not to be repeated."""
    async with vendor((answer(), Act.CLOSE)) as server, entered(scope(repeatable=False)) as call:
        client = bound(server)
        await client.request("POST", "/first")
        assert call.sent
        nobody = bound(f"http://127.0.0.1:{free_port()}")
        with pytest.raises(ActionFailure) as raised:
            await nobody.request("POST", "/second")
    assert (raised.value.failure.reason, raised.value.failure.effect) == ("VENDOR_UNAVAILABLE", Effect.EFFECT_APPLIED)
    assert not raised.value.failure.retryable


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_connection_that_does_not_come_in_time(bound: Bound, names: Names, method: str) -> None:
    """A deadline that passes while a name is looked up is no effect, for writes too."""

    async def never(_host: str) -> list[str]:
        await asyncio.Event().wait()
        raise AssertionError

    names.__class__ = type("Slow", (Names,), {"__call__": lambda _self, host: never(host)})
    async with entered(scope(seconds=0.2, repeatable=False)) as call:
        with pytest.raises(ActionFailure) as raised:
            await bound("http://slow.example.test").request(method, "/")
    assert (raised.value.failure.reason, raised.value.failure.effect) == ("VENDOR_UNAVAILABLE", NONE)
    assert not call.sent


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_no_time_left_sends_nothing(bound: Bound, method: str) -> None:
    """After the deadline nothing goes out, not even on a connection that is open already."""
    async with vendor() as server:
        client = bound(server)
        async with entered(scope()):
            await client.request("GET", "/warm")
        for call, timeout in ((scope(seconds=0), None), (scope(), 0.0)):
            async with entered(call):
                with pytest.raises(ActionFailure) as raised:
                    await client.request(method, "/late", timeout=timeout)
            assert (raised.value.failure.reason, raised.value.failure.effect) == ("TIMED_OUT", NONE)
            assert not call.sent
    assert server.paths() == ["GET /warm"]


@pytest.mark.parametrize("warm", [False, True], ids=["new connection", "kept connection"])
@pytest.mark.parametrize("error", [LeaseLost("lost"), TimeoutError("database"), OSError("database"), RuntimeError("x")])
async def test_mark_that_fails_stops_the_write(bound: Bound, error: Exception, warm: bool) -> None:
    """When the mark cannot be recorded no byte of the write leaves; the error comes out as it is; nothing leaks."""

    async def mark(_evidence: Mapping[str, str]) -> None:
        raise error

    async with vendor() as server:
        client = bound(server)
        async with entered(scope(mark=mark)) as call:
            if warm:
                await client.request("GET", "/warm")
            with pytest.raises(type(error)) as raised:
                await client.request("POST", "/write")
            assert raised.value is error
            assert not call.sent
            await client.request("GET", "/after")
    assert server.paths() == ["GET /warm"] * warm + ["GET /after"]
    assert server.connections == 1


async def test_mark_holds_the_evidence_and_is_made_once(bound: Bound) -> None:
    """The first write records what was remembered; later writes and all reads record nothing."""
    marks: list[dict[str, str]] = []

    async def mark(evidence: Mapping[str, str]) -> None:
        marks.append(dict(evidence))

    async with vendor() as server:
        client = bound(server)
        async with entered(scope(mark=mark)) as call:
            call.evidence["run"] = "17"
            await client.request("POST", "/login", json={}, effect=False)
            assert marks == []
            await client.request("POST", "/write")
            await client.request("DELETE", "/write")
            await client.request("GET", "/cleanup", effect=True)
    assert marks == [{"run": "17"}]
    assert len(server.requests) == 4


async def test_connection_that_dies_during_the_mark_is_replaced(bound: Bound) -> None:
    """A kept connection that the vendor closes while the mark is recorded is not written to: another one is made."""
    async with vendor() as server:
        hung_up = asyncio.Event()

        async def mark(_evidence: Mapping[str, str]) -> None:
            await asyncio.wait_for(hung_up.wait(), 5)
            await asyncio.sleep(0.05)

        def hang_up(_received: Received) -> bytes:
            asyncio.get_running_loop().call_later(0.05, hung_up.set)
            return answer()

        server.script[:] = [(hang_up, Act.CLOSE), answer()]
        client = bound(server)
        async with entered(scope(mark=mark, repeatable=False)):
            await client.request("GET", "/warm")
            await client.request("POST", "/write")
    assert [one.connection for one in server.requests] == [1, 2]


async def test_cancelled_write_is_cancelled(bound: Bound) -> None:
    """A cancellation passes through as itself; what was sent is for the framework to know."""
    arrived = asyncio.Event()

    def notice(_received: Received) -> bytes:
        arrived.set()
        return b""

    async with vendor((notice, Act.HANG)) as server, entered(scope()) as call:
        task = asyncio.ensure_future(bound(server).request("POST", "/"))
        await asyncio.wait_for(arrived.wait(), 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert call.sent


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_own_reading_comes_first(bound: Bound, method: str) -> None:
    """The module's reading of an error wins, masked; where it has none the general one holds."""

    def read(response: HttpResponse) -> ActionFailure | None:
        told = response.json()["error"]
        return ActionFailure("AGENT_OFFLINE", f"Offline: {told}", retryable=True) if "offline" in told else None

    script = [
        answer(500, f'{{"error": "offline {SECRET}"}}'),
        answer(400, '{"error": "other"}'),
        answer(403, "<html><title>Forbidden by proxy</title></html>", "Content-Type: text/html"),
    ]
    found = []
    async with vendor(*script) as server, entered(scope()):
        client = bound(server, read_error=read)
        for _ in script:
            with pytest.raises(ActionFailure) as raised:
                await client.request(method, "/")
            found.append(raised.value)
    assert [one.failure.reason for one in found] == [
        "AGENT_OFFLINE",
        "VENDOR_REJECTED_INPUT",
        "VENDOR_PERMISSION_DENIED",
    ]
    assert found[0].failure.message == "Offline: offline ***"
    assert SECRET not in str(found[0])
    assert found[2].failure.vendor_message == "Forbidden by proxy"


async def test_what_is_not_found_names_the_input_that_names_it(bound: Bound) -> None:
    """NOT_FOUND has the field that the request was about, unless the module says another; others have none."""

    def read(response: HttpResponse) -> ActionFailure | None:
        script = ActionFailure("NOT_FOUND", "No such script.", field="script_id")
        return script if b"script" in response.content else None

    async with vendor(answer(404), answer(404, "script"), answer(409)) as server, entered(scope()):
        client = bound(server, read_error=read)
        found = []
        for _ in range(3):
            with pytest.raises(ActionFailure) as raised:
                await client.request("GET", "/", about="device_id")
            found.append((raised.value.failure.reason, raised.value.failure.field))
    assert found == [("NOT_FOUND", "device_id"), ("NOT_FOUND", "script_id"), ("CONFLICT", "")]


async def test_no_more_of_an_error_is_read_than_helps(bound: Bound) -> None:
    """The module's reading of an error gets at most 256 KiB of it, whatever it accepts as an answer."""
    seen: list[int] = []

    def read(response: HttpResponse) -> None:
        seen.append(len(response.content))

    async with vendor(answer(400, b"x" * 1_000_000)) as server, entered(scope()):
        with pytest.raises(ActionFailure, match="VENDOR_REJECTED_INPUT"):
            await bound(server, read_error=read).request("GET", "/")
    assert seen == [256 * 1024]


async def test_nothing_runs_outside_of_an_execution(bound: Bound) -> None:
    """Without a scope there is no deadline and no mark, so there is no request."""
    async with vendor() as server:
        with pytest.raises(LookupError):
            await bound(server).request("GET", "/")
    assert server.connections == 0


async def test_scopes_do_not_mix(bound: Bound) -> None:
    """Many executions at once on one client: each marks its own."""
    async with vendor() as server:
        client = bound(server)

        async def run(writes: bool) -> CallScope:
            async with entered(scope()) as call:
                await client.request("POST" if writes else "GET", "/")
            return call

        calls = await asyncio.gather(*(run(number % 2 == 0) for number in range(40)))
    assert [call.sent for call in calls] == [True, False] * 20


async def test_deadline_of_the_execution_holds_over_the_timeout(bound: Bound, pauses: Pauses) -> None:
    """The shorter of both ends the request, and nothing is tried again after it."""
    for seconds, timeout in ((0.2, 20.0), (20.0, 0.2), (0.2, None)):
        async with vendor(Act.HANG) as server, entered(scope(seconds)):
            with pytest.raises(ActionFailure, match="TIMED_OUT"):
                await bound(server).request("GET", "/", timeout=timeout)
        assert len(server.requests) == 1
    assert pauses.taken == []
