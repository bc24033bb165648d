"""run_script: an honest account when the answer is a failure, a riddle or missing."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from server.modules.tacticalrmm.connection import Pace
from server.modules.tacticalrmm.runs import run_script
from server.sdk import Effect
from tests.modules.harness import Connect, Connected
from tests.modules.tacticalrmm.asking import ask, failing, posts, ran, somebody_runs, until
from tests.modules.tacticalrmm.world import ENDLESS, OBEDIENT, OFFLINE, ONLINE, OVERDUE, SLOW, by_key

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("word", ["timeout", "natsdown"])
async def test_a_script_that_prints_the_servers_failure_words_is_a_success(
    connected: Connected, vendor: SandboxControl, word: str
) -> None:
    """The history row decides, not the word."""
    answer = await connected.run(run_script, ask(ONLINE, OBEDIENT, f"stdout={word}"))
    assert (answer.output, answer.exit_code) == (word, 0)
    assert ran(vendor) == 1


@pytest.mark.parametrize("agent", [OFFLINE, OVERDUE])
async def test_an_agent_that_is_long_gone_is_offline_without_effect(
    connected: Connected, vendor: SandboxControl, agent: str
) -> None:
    """`timeout`, an empty row, no ping and minutes of silence before: AGENT_OFFLINE, safe to repeat."""
    failure = await failing(connected, ask(agent, OBEDIENT))
    assert (failure.reason, failure.effect, failure.retryable) == ("AGENT_OFFLINE", Effect.EFFECT_NONE, True)
    assert failure.vendor_message == "timeout"
    assert ran(vendor) == 0
    assert len(posts(vendor, "/runscript/")) == 1


async def test_an_agent_that_answers_late_is_told_by_its_row(connected: Connected, vendor: SandboxControl) -> None:
    """`timeout` with a row that is filled later is the script's own end, though no ping is answered."""
    answer = await connected.run(run_script, ask(SLOW, OBEDIENT, "exit=4", "stdout=late", timeout=1))
    assert (answer.exit_code, answer.output, answer.vendor_response.string_value) == (4, "late", "timeout")
    assert ran(vendor) == 1


@pytest.mark.parametrize("agent", [ONLINE, SLOW])
async def test_silence_of_an_agent_that_was_there_is_an_unknown_outcome(
    connected: Connected, vendor: SandboxControl, agent: str
) -> None:
    """`timeout` and a row that stays empty prove nothing: the script was started, so nobody may repeat it."""
    vendor.patch_state(agents={agent: {"kills_at_limit": False}})
    failure = await failing(connected, ask(agent, ENDLESS, timeout=1))
    assert (failure.reason, failure.effect, failure.retryable) == ("OUTCOME_UNKNOWN", Effect.EFFECT_UNKNOWN, False)
    assert ran(vendor) == 1


async def test_a_script_that_takes_its_machine_down_is_not_called_offline(
    connected: Connected, vendor: SandboxControl
) -> None:
    """An agent that was there at the order and is offline afterwards may have run the script."""
    vendor.patch_state(agents={ONLINE: {"kills_at_limit": False}})
    running = asyncio.create_task(failing(connected, ask(ONLINE, ENDLESS, timeout=1)))
    await until(lambda: ran(vendor) == 1)
    vendor.patch_state(agents={ONLINE: {"state": "offline"}})
    assert (await running).reason == "OUTCOME_UNKNOWN"


async def test_a_bus_that_is_down_means_that_nothing_was_sent(connected: Connected, vendor: SandboxControl) -> None:
    """`natsdown` in a 200 is VENDOR_UNAVAILABLE without effect, safe to repeat."""
    vendor.patch_state(settings={"nats": "down"})
    failure = await failing(connected, ask())
    told = (failure.reason, failure.effect, failure.retryable)
    assert told == ("VENDOR_UNAVAILABLE", Effect.EFFECT_NONE, True)
    assert ran(vendor) == 0


async def test_a_script_that_the_agent_stopped_has_timed_out_with_its_effect(
    connected: Connected, vendor: SandboxControl
) -> None:
    """Exit code 98 with the agent's words: SCRIPT_TIMED_OUT, effect APPLIED, the output so far in the message."""
    failure = await failing(connected, ask(ONLINE, ENDLESS, timeout=1))
    assert (failure.reason, failure.effect, failure.retryable) == ("SCRIPT_TIMED_OUT", Effect.EFFECT_APPLIED, False)
    assert "working" in failure.message
    assert "timed out after" in failure.vendor_message
    assert ran(vendor) == 1


async def test_exit_code_98_of_the_script_itself_is_a_success(connected: Connected) -> None:
    """Without the agent's words 98 is an exit code like any other."""
    answer = await connected.run(run_script, ask(ONLINE, OBEDIENT, "exit=98", "stdout=done"))
    assert (answer.exit_code, answer.output) == (98, "done")


async def test_long_output_of_a_stopped_script_is_cut_in_the_message(
    connected: Connected, vendor: SandboxControl
) -> None:
    """The end of what was printed is kept, a mark shows that its beginning is not."""
    printed = "x" * 5000 + "the end"
    vendor.patch_state(scripts={ENDLESS: {"behaviour": {"stdout": printed, "seconds": 900_000.0}}})
    failure = await failing(connected, ask(ONLINE, ENDLESS, timeout=1))
    assert failure.message.endswith("the end")
    assert "…" in failure.message
    assert len(failure.message) < 600


async def test_a_watched_run_whose_row_stays_empty_is_an_unknown_outcome(
    connect: Connect, server: SandboxServer, vendor: SandboxControl
) -> None:
    """Given to an agent that answered, and never reported: nobody knows."""
    connected = connect(by_key(server.url, max_wait=10))
    vendor.patch_state(agents={ONLINE: {"kills_at_limit": False}})
    connected.client.pace = Pace(settle=0.1, grace=-7.0, first=0.02, longest=0.1)
    failure = await failing(connected, ask(ONLINE, ENDLESS, timeout=8))
    assert (failure.reason, ran(vendor)) == ("OUTCOME_UNKNOWN", 1)


@pytest.mark.parametrize("more", [{"timeout": 3600}, {"wait_for_output": False}])
async def test_an_order_that_is_not_waited_for_is_not_given_to_a_silent_agent(
    connected: Connected, vendor: SandboxControl, more: dict[str, Any]
) -> None:
    """The server would take it without a word, so the agent is asked first: AGENT_OFFLINE, nothing sent."""
    failure = await failing(connected, ask(OFFLINE, OBEDIENT, **more))
    assert (failure.reason, failure.effect, failure.retryable) == ("AGENT_OFFLINE", Effect.EFFECT_NONE, True)
    assert posts(vendor, "/runscript/") == []
    assert connected.told.marks == []


@pytest.mark.parametrize("fault", ["reset_after", "garbage", "truncate"])
async def test_a_lost_answer_is_made_good_by_the_history(
    connected: Connected, vendor: SandboxControl, fault: str
) -> None:
    """The order arrived, its answer did not: the row has everything, and nothing is sent twice."""
    vendor.add_fault(fault, path_regex="/runscript/$")
    answer = await connected.run(run_script, ask())
    assert (answer.exit_code, answer.output) == (3, "freed 5 MB\r\nlocked file\r\n")
    assert not answer.HasField("vendor_response")
    assert (ran(vendor), len(posts(vendor, "/runscript/"))) == (1, 1)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_an_error_page_after_the_effect_is_made_good_by_the_history(
    connected: Connected, vendor: SandboxControl, status: int
) -> None:
    """A front end that gave up does not hide a script that ran."""
    vendor.add_fault("status", path_regex="/runscript/$", status=status, body="<h1>Oh</h1>", after=True)
    answer = await connected.run(run_script, ask())
    assert answer.exit_code == 3
    assert len(posts(vendor, "/runscript/")) == 1


async def test_a_500_without_a_row_failed_before_the_agent_was_called(
    connected: Connected, vendor: SandboxControl
) -> None:
    """The row is made before the agent is called: none means no effect; a repeat would fail the same way."""
    vendor.add_fault("status", path_regex="/runscript/$", status=500, body="<title>Server Error (500)</title>")
    failure = await failing(connected, ask())
    told = (failure.reason, failure.effect, failure.retryable, failure.vendor_status)
    assert told == ("VENDOR_ERROR", Effect.EFFECT_NONE, False, 500)
    assert failure.vendor_message == "Server Error (500)"


async def test_a_500_with_an_empty_row_is_an_unknown_outcome(connected: Connected, vendor: SandboxControl) -> None:
    """The server failed after it had begun: nobody knows whether the agent got the order."""
    vendor.patch_state(settings={"nats": "no_subscriber"})
    failure = await failing(connected, ask(OFFLINE, OBEDIENT, timeout=1))
    assert (failure.reason, failure.vendor_status) == ("OUTCOME_UNKNOWN", 500)


@pytest.mark.parametrize("status", [502, 504])
async def test_a_front_end_that_gave_up_without_a_row_is_an_unknown_outcome(
    connected: Connected, vendor: SandboxControl, status: int
) -> None:
    """The order may still be on its way, so an absent row proves nothing."""
    vendor.add_fault("status", path_regex="/runscript/$", status=status, body="<h1>Bad Gateway</h1>")
    failure = await failing(connected, ask(timeout=1))
    assert (failure.reason, failure.vendor_status) == ("OUTCOME_UNKNOWN", status)
    assert len(posts(vendor, "/runscript/")) == 1


async def test_a_lost_answer_to_an_order_that_is_not_waited_for_is_made_good_by_the_row(
    connected: Connected, vendor: SandboxControl
) -> None:
    """The row proves that the order was taken."""
    vendor.add_fault("reset_after", path_regex="/runscript/$")
    answer = await connected.run(run_script, ask(ONLINE, ENDLESS, wait_for_output=False))
    assert (answer.run_requested, answer.history_id, ran(vendor)) == (True, "1", 1)
    assert not answer.HasField("exit_code")


async def test_a_500_beside_rows_that_cannot_be_told_apart_is_an_unknown_outcome(
    connected: Connected, vendor: SandboxControl, server: SandboxServer
) -> None:
    """Only the absence of any row proves that the agent was not called."""
    vendor.add_fault("status", path_regex="/runscript/$", status=500, body="<h1>Oh</h1>", after=True)
    connected.client.pace = replace(connected.client.pace, grace=-29.0)
    ours = asyncio.create_task(failing(connected, ask(ONLINE, OBEDIENT, "sleep=20", timeout=30)))
    await until(lambda: ran(vendor) == 1)
    await asyncio.to_thread(somebody_runs, server, ["sleep=20"])
    assert (await ours).reason == "OUTCOME_UNKNOWN"
