"""run_script: the order, the row that answers it, and what is refused before."""

import asyncio
from typing import Any

import pytest

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from server.gen.patchbay.modules.tacticalrmm.v1.tacticalrmm_pb2 import RunScriptRequest, RunScriptResponse
from server.modules.tacticalrmm.runs import run_script
from server.sdk import Effect
from tests.modules.harness import Connect, Connected
from tests.modules.tacticalrmm.asking import ask, body, failing, posts, ran, somebody_runs, until
from tests.modules.tacticalrmm.world import (
    CLEANUP,
    ENDLESS,
    LINUX,
    NOBODY,
    OBEDIENT,
    ONLINE,
    REPORT,
    by_key,
    by_password,
)

pytestmark = pytest.mark.anyio


async def test_exit_code_and_both_outputs_come_from_the_history(connected: Connected, vendor: SandboxControl) -> None:
    """A script that ends with another code than 0 is a success with that code, its outputs apart and together."""
    answer = await connected.run(run_script, ask())
    assert (answer.exit_code, answer.stdout, answer.stderr) == (3, "freed 5 MB\r\n", "locked file\r\n")
    assert answer.output == answer.vendor_response.string_value == "freed 5 MB\r\nlocked file\r\n"
    assert answer.run_requested
    assert answer.agent_id == ONLINE
    assert answer.history_id == "1"
    assert answer.execution_time.ToMilliseconds() == 500
    assert ran(vendor) == 1
    assert connected.told.warnings == []


async def test_the_order_has_every_field_the_server_reads_and_never_run_on_server(
    connected: Connected, vendor: SandboxControl
) -> None:
    """The body is complete and typed, arguments stay apart, and nothing asks the server to run it on itself."""
    await connected.run(run_script, ask(LINUX, REPORT, "a b", "c", env_vars=["A=1=2"], run_as_user=True))
    (order,) = posts(vendor, "/runscript/")
    assert body(order) == {
        "script": 2,
        "output": "wait",
        "args": ["a b", "c"],
        "env_vars": ["A=1=2"],
        "run_as_user": True,
        "timeout": 5,
        "emailMode": "default",
        "emails": [],
        "custom_field": None,
        "save_all_output": False,
    }


async def test_unset_fields_take_their_documented_defaults(connected: Connected, vendor: SandboxControl) -> None:
    """Without a time limit it is 90 s, which is longer than the front end waits, so the run is watched."""
    answer = await connected.run(run_script, RunScriptRequest(agent_id=ONLINE, script_id=CLEANUP))
    (order,) = posts(vendor, "/runscript/")
    sent = body(order)
    assert (sent["timeout"], sent["output"], sent["args"], sent["env_vars"]) == (90, "forget", [], [])
    assert answer.exit_code == 3


async def test_a_late_row_is_waited_for(connected: Connected, vendor: SandboxControl) -> None:
    """The agent fills its row after it has answered; the exit code is still found."""
    vendor.patch_state(settings={"history_lag": 10.0})
    answer = await connected.run(run_script, ask())
    assert answer.exit_code == 3


async def test_a_row_that_stays_empty_leaves_a_success_without_exit_code(
    connected: Connected, vendor: SandboxControl
) -> None:
    """When the script ran and its row is never filled, the output counts and a warning says what is missing."""
    vendor.patch_state(settings={"history_lag": 1e6})
    answer = await connected.run(run_script, ask())
    assert answer.output == "freed 5 MB\r\nlocked file\r\n"
    assert not answer.HasField("exit_code")
    assert answer.history_id == "1"
    assert [reason for reason, _ in connected.told.warnings] == ["EXIT_CODE_UNKNOWN"]


async def test_a_history_that_cannot_be_read_any_more_does_not_undo_a_success(
    connected: Connected, vendor: SandboxControl
) -> None:
    """After the order, failing reads leave a success without exit code, never a failure with effect NONE."""
    vendor.add_fault("status", path_regex="/history/$", skip=1, times=0, status=403, body={"detail": "No."})
    answer = await connected.run(run_script, ask())
    assert answer.output == "freed 5 MB\r\nlocked file\r\n"
    assert not answer.HasField("exit_code")
    assert ran(vendor) == 1


async def test_a_run_longer_than_the_front_end_waits_is_dispatched_and_watched(
    connect: Connect, server: SandboxServer, vendor: SandboxControl
) -> None:
    """With a time limit beyond `max_wait` the order is only given, and the row tells the end."""
    connected = connect(by_key(server.url, max_wait=10))
    answer = await connected.run(run_script, ask(timeout=8))
    (order,) = posts(vendor, "/runscript/")
    assert body(order)["output"] == "forget"
    assert (answer.exit_code, answer.output) == (3, "freed 5 MB\r\nlocked file\r\n")
    assert answer.vendor_response.string_value == "Clear temp will now be run on till-01"


@pytest.mark.parametrize(("limit", "mode"), [(7, "wait"), (8, "forget")])
async def test_waiting_ends_where_three_seconds_more_exceed_max_wait(
    connect: Connect, server: SandboxServer, vendor: SandboxControl, limit: int, mode: str
) -> None:
    """The server waits 3 s longer than the script may run, which must fit into `max_wait`."""
    connected = connect(by_key(server.url, max_wait=10))
    await connected.run(run_script, ask(timeout=limit))
    (order,) = posts(vendor, "/runscript/")
    assert body(order)["output"] == mode


async def test_not_waiting_answers_at_once_without_exit_code(connected: Connected, vendor: SandboxControl) -> None:
    """`wait_for_output: false` returns when the order was taken; output and exit code are unset."""
    answer = await connected.run(run_script, ask(ONLINE, ENDLESS, wait_for_output=False))
    assert answer == RunScriptResponse(run_requested=True, agent_id=ONLINE, vendor_response=answer.vendor_response)
    assert answer.vendor_response.string_value == "Endless will now be run on till-01"
    assert ran(vendor) == 1
    assert connected.told.warnings == []


async def test_evidence_for_the_probe_is_recorded_before_the_order(
    connected: Connected, vendor: SandboxControl
) -> None:
    """The send mark carries the newest row of before, the server's time, and whether the agent was long gone."""
    await connected.run(run_script, ask())
    await connected.run(run_script, ask())
    evidence = connected.told.evidence
    assert (evidence["newest"], evidence["script_id"], evidence["timeout"]) == ("1", CLEANUP, "5")
    assert evidence["gone"] == "False"
    assert evidence["asked_at"].endswith("+00:00")


async def test_runs_of_one_script_on_one_agent_are_made_one_after_another(
    connected: Connected, vendor: SandboxControl
) -> None:
    """Two runs that print the same keep their own rows and exit codes."""
    requests = [ask(ONLINE, OBEDIENT, "sleep=5", "stdout=same", f"exit={code}", timeout=10) for code in (1, 2)]
    answers = await asyncio.gather(*(connected.run(run_script, request) for request in requests))
    assert [answer.exit_code for answer in answers] == [1, 2]
    assert sorted(answer.history_id for answer in answers) == ["1", "2"]
    assert ran(vendor) == 2


async def test_other_scripts_and_commands_do_not_get_mixed_up(connected: Connected, vendor: SandboxControl) -> None:
    """Runs of different scripts on one agent go on side by side, each told by its own row."""
    slow, quick = ask(ONLINE, OBEDIENT, "sleep=10", "stdout=slow", timeout=20), ask()
    first, second = await asyncio.gather(connected.run(run_script, slow), connected.run(run_script, quick))
    assert (first.output, second.output) == ("slow", "freed 5 MB\r\nlocked file\r\n")


async def test_a_persons_run_of_the_same_script_is_told_apart_by_the_output(
    connected: Connected, vendor: SandboxControl, server: SandboxServer
) -> None:
    """Somebody else's row of the same script does not lend its exit code."""
    ours = asyncio.create_task(
        connected.run(run_script, ask(ONLINE, OBEDIENT, "sleep=20", "stdout=ours", "exit=5", timeout=30))
    )
    await until(lambda: ran(vendor) == 1)
    await asyncio.to_thread(somebody_runs, server, ["stdout=theirs", "exit=9"])
    answer = await ours
    assert (answer.output, answer.exit_code, answer.history_id) == ("ours", 5, "1")
    assert ran(vendor) == 2


async def test_rows_that_cannot_be_told_apart_lend_no_exit_code(
    connected: Connected, vendor: SandboxControl, server: SandboxServer
) -> None:
    """Two rows with the same output: the output counts, the exit code stays open."""
    ours = asyncio.create_task(connected.run(run_script, ask(ONLINE, OBEDIENT, "sleep=20", "stdout=same", timeout=30)))
    await until(lambda: ran(vendor) == 1)
    await asyncio.to_thread(somebody_runs, server, ["stdout=same", "exit=9"])
    answer = await ours
    assert answer.output == "same"
    assert not answer.HasField("exit_code")
    assert [reason for reason, _ in connected.told.warnings] == ["EXIT_CODE_UNKNOWN"]


async def test_a_known_user_name_picks_the_row(connect: Connect, server: SandboxServer, vendor: SandboxControl) -> None:
    """Signed in by password the account's name is known, and rows of others are left out."""
    connected = connect(by_password(server.url))
    ours = asyncio.create_task(
        connected.run(run_script, ask(ONLINE, OBEDIENT, "sleep=20", "stdout=same", "exit=5", timeout=30))
    )
    await until(lambda: ran(vendor) == 1)
    await asyncio.to_thread(somebody_runs, server, ["stdout=same", "exit=9"])
    assert (await ours).exit_code == 5


@pytest.mark.parametrize("name", ["args", "env_vars"])
async def test_templates_are_refused_before_anything_is_asked(
    connected: Connected, vendor: SandboxControl, name: str
) -> None:
    """`{{` in an argument or variable names the field at fault; the server hears nothing."""
    request = ask()
    getattr(request, name).extend(["A=1", "B={{global.secret}}"])
    failure = await failing(connected, request)
    assert (failure.reason, failure.field, failure.effect) == ("TEMPLATE_REFUSED", f"{name}[1]", Effect.EFFECT_NONE)
    assert "global.secret" not in failure.message
    assert vendor.requests() == []


async def test_templates_go_through_where_the_connection_allows_them(
    connect: Connect, server: SandboxServer, vendor: SandboxControl
) -> None:
    """`allow_templates` lets the server expand them."""
    connected = connect(by_key(server.url, allow_templates=True))
    answer = await connected.run(run_script, ask(ONLINE, OBEDIENT, "{{agent.hostname}}"))
    assert answer.stdout == "'till-01'"


async def test_a_script_for_another_system_is_refused_before_it_is_sent(
    connected: Connected, vendor: SandboxControl
) -> None:
    """The server would run it without complaint; here nothing leaves."""
    failure = await failing(connected, ask(LINUX, CLEANUP))
    assert (failure.reason, failure.field) == ("PLATFORM_NOT_SUPPORTED", "script_id")
    assert posts(vendor, "") == []
    assert connected.told.marks == []


@pytest.mark.parametrize(("agent", "script", "field"), [(NOBODY, CLEANUP, "agent_id"), (ONLINE, "999", "script_id")])
async def test_what_does_not_exist_is_named(connected: Connected, agent: str, script: str, field: str) -> None:
    """An unknown agent or script is NOT_FOUND at its field."""
    failure = await failing(connected, ask(agent, script))
    assert (failure.reason, failure.field, failure.vendor_status) == ("NOT_FOUND", field, 404)


async def test_values_of_variables_are_in_no_failure(connected: Connected, vendor: SandboxControl) -> None:
    """A script that prints a variable and is stopped does not carry its value into the failure."""
    vendor.patch_state(scripts={REPORT: {"behaviour": {"stdout": "{env}", "seconds": 900_000.0}}})
    failure = await failing(connected, ask(LINUX, REPORT, timeout=1, env_vars=["TOKEN=hunter2hunter2"]))
    assert failure.reason == "SCRIPT_TIMED_OUT"
    assert "hunter2" not in str(failure)


async def test_half_characters_in_output_do_not_lose_the_outcome(connected: Connected, vendor: SandboxControl) -> None:
    """JSON can carry half of a surrogate pair; it is replaced, the run stays a success."""
    vendor.add_fault("status", path_regex="/runscript/$", status=200, body='"cut \\ud83d"', after=True)
    vendor.patch_state(settings={"history_lag": 1e6})
    answer = await connected.run(run_script, ask())
    assert answer.output == "cut ?"


@pytest.mark.parametrize(("reported", "told"), [(3221225477, -1073741819), (-1, -1), (4294967295, -1), (255, 255)])
async def test_exit_codes_of_windows_fit_the_contract(
    connected: Connected, vendor: SandboxControl, reported: int, told: int
) -> None:
    """Windows reports unsigned codes; they come as the same 32 bits with a sign, never as an error after the effect."""
    vendor.patch_state(scripts={CLEANUP: {"behaviour": {"stdout": "x", "retcode": reported}}})
    answer = await connected.run(run_script, ask())
    assert answer.exit_code == told


@pytest.mark.parametrize(
    "results", [{}, {"retcode": None, "execution_time": "soon"}, {"execution_time": -1e300, "stdout": 5}]
)
async def test_a_garbled_report_is_still_an_end(
    connected: Connected, vendor: SandboxControl, results: dict[str, Any]
) -> None:
    """Whatever the agent reports about a script that ran, the run is a success."""
    row = {"id": 9, "script": int(CLEANUP), "username": None, "time": "?", "script_results": results}
    vendor.add_fault("status", path_regex="/history/$", skip=1, times=0, status=200, body=[row])
    answer = await connected.run(run_script, ask())
    assert (answer.exit_code, answer.execution_time.seconds, answer.history_id) == (0, 0, "9")


async def test_a_watched_run_keeps_the_row_it_was_first_seen_in(
    connect: Connect, server: SandboxServer, vendor: SandboxControl
) -> None:
    """A person's run of the same script that starts later does not make a watched run a riddle."""
    connected = connect(by_key(server.url, max_wait=10))
    ours = asyncio.create_task(
        connected.run(run_script, ask(ONLINE, OBEDIENT, "sleep=40", "stdout=ours", "exit=5", timeout=60))
    )
    await until(lambda: histories(vendor) == 2)
    await asyncio.to_thread(somebody_runs, server, ["stdout=theirs"])
    answer = await ours
    assert (answer.output, answer.exit_code, answer.history_id) == ("ours", 5, "1")


def histories(vendor: SandboxControl) -> int:
    """Counts the times that the history was answered."""
    return sum(str(one["path"]).endswith("/history/") for one in vendor.requests(1000))
