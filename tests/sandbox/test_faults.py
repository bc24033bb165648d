"""Every fault does to a request what its name says, and counts the effect or not."""

import http.client
import json
import socket
import threading
import time
from typing import Any

import pytest

from sandbox.client import SandboxRefused
from sandbox.serving import SandboxServer
from tests.sandbox.conftest import Caller
from tests.support.web import fetch

HOST = "HD-DC01"
RUN = {"script": 3, "output": "wait", "args": ["x"], "env_vars": [], "run_as_user": False, "timeout": 5}


def _path(caller: Caller) -> str:
    return f"/agents/{caller.agents[HOST]}/runscript/"


def _runs(caller: Caller) -> int:
    return caller.control.effects().count("run_script")


def test_reset_before_breaks_the_connection_without_effect(caller: Caller) -> None:
    """The client gets ECONNRESET, the script never starts."""
    caller.control.add_fault("reset_before", path_regex="/runscript/$")
    with pytest.raises(ConnectionResetError):
        caller.call("POST", _path(caller), RUN)
    assert _runs(caller) == 0


def test_reset_after_breaks_the_connection_with_the_effect(caller: Caller) -> None:
    """The client gets ECONNRESET although the script ran, once."""
    caller.control.add_fault("reset_after", path_regex="/runscript/$")
    with pytest.raises(ConnectionResetError):
        caller.call("POST", _path(caller), RUN)
    assert _runs(caller) == 1
    assert caller.history(HOST)[0]["script_results"]["stdout"] == "x\n"


def test_a_reset_sends_no_byte(server: SandboxServer, caller: Caller) -> None:
    """Seen from a bare socket, the first thing after the request is the reset."""
    caller.control.add_fault("reset_after", path_regex="^/$")
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as bare:
        bare.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            bare.recv(1)


@pytest.mark.parametrize(("after", "effects"), [(True, 1), (False, 0)])
def test_hang_never_answers(caller: Caller, after: bool, effects: int) -> None:
    """The client runs into its own time limit; `after` decides whether the effect happened."""
    caller.control.add_fault("hang", method="POST", after=after)
    with pytest.raises(TimeoutError):
        caller.call("POST", _path(caller), RUN, timeout=0.3)
    assert _runs(caller) == effects


def _call_in_background(caller: Caller, answers: list[object]) -> threading.Thread:
    def call() -> None:
        try:
            answers.append(caller.call("POST", _path(caller), RUN))
        except OSError as error:
            answers.append(type(error))

    thread = threading.Thread(target=call)
    thread.start()
    return thread


def _wait_for_request(caller: Caller) -> None:
    deadline = time.monotonic() + 20
    while not any(entry["fault"] == "hang" for entry in caller.control.requests()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(("after", "answer", "effects"), [(True, (200, '"x\\n"'), 1), (False, ConnectionResetError, 0)])
def test_clearing_faults_ends_a_hang(caller: Caller, after: bool, answer: object, effects: int) -> None:
    """A hanging request whose effect happened gets its answer, another one a reset and never an effect."""
    caller.control.add_fault("hang", method="POST", after=after)
    answers: list[object] = []
    thread = _call_in_background(caller, answers)
    _wait_for_request(caller)
    caller.control.clear_faults()
    thread.join(timeout=20)
    assert answers == [answer]
    assert _runs(caller) == effects


@pytest.mark.parametrize("after", [True, False])
def test_delay_answers_in_the_end(caller: Caller, after: bool) -> None:
    """A delayed request gets the vendor's own answer, and the effect once."""
    caller.control.add_fault("delay", method="POST", seconds=0.05, after=after)
    assert caller.call("POST", _path(caller), RUN) == (200, '"x\\n"')
    assert _runs(caller) == 1


def test_delay_before_happens_even_when_the_client_left(caller: Caller) -> None:
    """A server does not notice that its caller gave up: the late effect still comes."""
    caller.control.add_fault("delay", method="POST", seconds=0.3, after=False)
    with pytest.raises(TimeoutError):
        caller.call("POST", _path(caller), RUN, timeout=0.05)
    deadline = time.monotonic() + 20
    while _runs(caller) == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert _runs(caller) == 1


def test_status_answers_instead_of_the_vendor(caller: Caller) -> None:
    """Status, body and headers are the wished ones, the script does not start."""
    caller.control.add_fault("status", status=429, body={"detail": "slow"}, headers={"Retry-After": "7"})
    assert caller.call("POST", _path(caller), RUN) == (429, '{"detail": "slow"}')
    assert _runs(caller) == 0


def test_status_can_hide_an_effect(caller: Caller) -> None:
    """A gateway that gives up while the script runs: 504, and one effect."""
    caller.control.add_fault("status", status=504, body="<html>", after=True)
    assert caller.call("POST", _path(caller), RUN) == (504, "<html>")
    assert _runs(caller) == 1


def test_garbage_claims_to_be_json(server: SandboxServer, caller: Caller) -> None:
    """The body is of the wished size, has the JSON content type and does not parse."""
    caller.control.add_fault("garbage", bytes=256)
    answer = fetch(server.url, "GET", "/")
    assert (answer.headers["content-type"], len(answer.body)) == ("application/json", 256)
    with pytest.raises(ValueError):  # noqa: PT011 # bad encoding and bad JSON are different subclasses
        answer.json()


def test_huge_body_is_as_huge_as_wished(caller: Caller) -> None:
    """A valid JSON string of the given size arrives in pieces."""
    caller.control.add_fault("huge_body", bytes=3_000_000)
    status, body = caller.call("GET", "/")
    assert (status, len(json.loads(body))) == (200, 3_000_000)


def test_huge_body_ends_when_the_client_leaves(server: SandboxServer, caller: Caller) -> None:
    """A client that stops reading frees the server, which then answers others."""
    caller.control.add_fault("huge_body", bytes=10_000_000_000)
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as bare:
        bare.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert bare.recv(10)
    assert caller.call("GET", "/") == (200, '{"status":"ok"}')


def test_truncate_promises_more_than_it_sends(caller: Caller) -> None:
    """The answer ends before its Content-Length, and the effect happened."""
    caller.control.add_fault("truncate", bytes=10, body="abc")
    with pytest.raises(http.client.IncompleteRead) as broken:
        caller.call("POST", _path(caller), RUN)
    assert (broken.value.partial, broken.value.expected) == (b"abc", 10)
    assert _runs(caller) == 1


def test_skip_and_times_count_matching_requests(caller: Caller) -> None:
    """Of six matching requests the second and third suffer; others are not counted."""
    caller.control.add_fault("status", path_regex="^/$", skip=1, times=2, status=503)
    statuses = [caller.call("GET", "/")[0] for _ in range(2)]
    caller.call("GET", "/scripts/")
    statuses += [caller.call("GET", "/")[0] for _ in range(4)]
    assert statuses == [200, 503, 503, 200, 200, 200]
    assert caller.control.faults() == []


def test_times_zero_lasts_until_removed(caller: Caller) -> None:
    """A fault without a count stays listed and hits every request until it is removed."""
    fault = caller.control.add_fault("status", method="get", times=0, status=500)
    assert [caller.call("GET", "/")[0] for _ in range(3)] == [500] * 3
    assert [one["id"] for one in caller.control.faults()] == [fault]
    caller.control.remove_fault(fault)
    assert caller.call("GET", "/")[0] == 200


def test_the_first_fault_that_applies_is_taken(caller: Caller) -> None:
    """Two faults on one path hit one request after the other, in order of registration."""
    caller.control.add_fault("status", status=502)
    caller.control.add_fault("status", status=503)
    assert [caller.call("GET", "/")[0] for _ in range(3)] == [502, 503, 200]


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "explode"},
        {"kind": "status", "colour": "red"},
        {"kind": "delay", "path_regex": "("},
        {"kind": "delay", "seconds": "long"},
        {"kind": "status", "headers": {"Retry-After": 7}},
        {"kind": "delay", "times": "often"},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(caller: Caller, fault: dict[str, Any]) -> None:
    """Unknown kinds, unknown fields, broken patterns and wrong types are a 400 and register nothing."""
    with pytest.raises(SandboxRefused, match="400"):
        caller.control.add_fault(**fault)
    assert caller.control.faults() == []


def test_removing_an_unknown_fault_is_refused(caller: Caller) -> None:
    """There is no silent success for an id that does not exist."""
    with pytest.raises(SandboxRefused, match="404"):
        caller.control.remove_fault(99)
