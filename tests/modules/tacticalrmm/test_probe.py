"""The probe of run_script: what the agent's history proves about a run whose outcome was lost."""

from contextlib import suppress
from datetime import datetime, timedelta

import pytest

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from server.gen.patchbay.modules.tacticalrmm.v1.tacticalrmm_pb2 import RunScriptRequest
from server.modules.tacticalrmm.runs import probe_run_script, run_script
from server.sdk import ActionFailure, Effect
from tests.modules.harness import Connect, Connected
from tests.modules.tacticalrmm.asking import ask, posts, somebody_runs
from tests.modules.tacticalrmm.world import (
    ENDLESS,
    LINUX,
    OBEDIENT,
    OFFLINE,
    ONLINE,
    REPORT,
    by_password,
)

pytestmark = pytest.mark.anyio


async def lost(connected: Connected, request: RunScriptRequest) -> dict[str, str]:
    """Runs a script, forgets what came of it, and returns the evidence of its send mark."""
    with suppress(ActionFailure):
        await connected.run(run_script, request)
    return connected.told.evidence


def older(evidence: dict[str, str], seconds: float) -> dict[str, str]:
    """Returns the evidence as it would be if the order had been given earlier."""
    asked_at = datetime.fromisoformat(evidence["asked_at"]) - timedelta(seconds=seconds)
    return {**evidence, "asked_at": asked_at.isoformat()}


async def test_a_filled_row_is_the_output(connected: Connected) -> None:
    """The probe returns what the lost run would have returned."""
    evidence = await lost(connected, ask())
    answer = await connected.probe(probe_run_script, ask(), evidence)
    assert answer is not None
    assert (answer.exit_code, answer.stdout, answer.stderr) == (3, "freed 5 MB\r\n", "locked file\r\n")
    assert (answer.run_requested, answer.history_id) == (True, "1")


async def test_a_probe_sends_no_order(connected: Connected, vendor: SandboxControl) -> None:
    """It only reads."""
    evidence = await lost(connected, ask())
    await connected.probe(probe_run_script, ask(), evidence)
    assert len(posts(vendor, "")) == 1


async def test_a_row_that_shows_a_stopped_script_is_a_failure_with_effect(connected: Connected) -> None:
    """Exit code 98 with the agent's words is proof of SCRIPT_TIMED_OUT."""
    evidence = await lost(connected, ask(ONLINE, ENDLESS, timeout=1))
    with pytest.raises(ActionFailure) as caught:
        await connected.probe(probe_run_script, ask(ONLINE, ENDLESS, timeout=1), evidence)
    failure = caught.value.failure
    assert (failure.reason, failure.effect) == ("SCRIPT_TIMED_OUT", Effect.EFFECT_APPLIED)


async def test_an_agent_that_was_gone_and_is_gone_never_got_it(connected: Connected) -> None:
    """Empty row, time over, silent now and long before: AGENT_OFFLINE without effect."""
    evidence = await lost(connected, ask(OFFLINE, OBEDIENT, timeout=1))
    assert evidence["gone"] == "True"
    with pytest.raises(ActionFailure) as caught:
        await connected.probe(probe_run_script, ask(OFFLINE, OBEDIENT, timeout=1), older(evidence, 10))
    failure = caught.value.failure
    assert (failure.reason, failure.effect, failure.retryable) == ("AGENT_OFFLINE", Effect.EFFECT_NONE, True)


async def test_before_its_time_is_over_an_empty_row_proves_nothing(connected: Connected) -> None:
    """The row may still be filled."""
    evidence = await lost(connected, ask(OFFLINE, OBEDIENT, timeout=1))
    assert (
        await connected.probe(probe_run_script, ask(OFFLINE, OBEDIENT, timeout=1), {**evidence, "timeout": "3600"})
        is None
    )


async def test_an_agent_that_came_back_proves_nothing(connected: Connected, vendor: SandboxControl) -> None:
    """It answers now, so it may have answered then."""
    evidence = await lost(connected, ask(OFFLINE, OBEDIENT, timeout=1))
    vendor.patch_state(agents={OFFLINE: {"state": "online"}})
    assert await connected.probe(probe_run_script, ask(OFFLINE, OBEDIENT, timeout=1), older(evidence, 10)) is None


async def test_an_agent_that_was_there_at_the_order_proves_nothing_by_being_gone(
    connected: Connected, vendor: SandboxControl
) -> None:
    """The script may have taken it down."""
    vendor.patch_state(agents={ONLINE: {"kills_at_limit": False}})
    evidence = await lost(connected, ask(ONLINE, ENDLESS, timeout=1))
    vendor.patch_state(agents={ONLINE: {"state": "offline"}})
    assert await connected.probe(probe_run_script, ask(ONLINE, ENDLESS, timeout=1), older(evidence, 10)) is None


async def test_no_row_proves_nothing(connected: Connected, vendor: SandboxControl) -> None:
    """The order may never have arrived, or still be on its way."""
    vendor.add_fault("reset_before", path_regex="/runscript/$")
    evidence = await lost(connected, ask(timeout=1))
    assert await connected.probe(probe_run_script, ask(), older(evidence, 10)) is None


async def test_two_rows_prove_nothing(connected: Connected, server: SandboxServer) -> None:
    """One of them is somebody else's."""
    evidence = await lost(connected, ask(ONLINE, OBEDIENT))
    somebody_runs(server, ["stdout=theirs"])
    assert await connected.probe(probe_run_script, ask(ONLINE, OBEDIENT), evidence) is None


async def test_a_known_user_name_leaves_out_other_peoples_rows(connect: Connect, server: SandboxServer) -> None:
    """Signed in by password, only the account's own rows count."""
    connected = connect(by_password(server.url))
    evidence = await lost(connected, ask(ONLINE, OBEDIENT, "stdout=ours"))
    somebody_runs(server, ["stdout=theirs"])
    answer = await connected.probe(probe_run_script, ask(ONLINE, OBEDIENT), evidence)
    assert answer is not None
    assert answer.output == "ours"


async def test_rows_from_before_and_of_other_scripts_prove_nothing(
    connected: Connected, vendor: SandboxControl
) -> None:
    """Only a newer row of the same script can be the run."""
    await connected.run(run_script, ask())
    vendor.add_fault("reset_before", path_regex="/runscript/$")
    evidence = await lost(connected, ask(timeout=1))
    await connected.run(run_script, ask(ONLINE, OBEDIENT))
    assert await connected.probe(probe_run_script, ask(), evidence) is None


async def test_a_row_from_much_later_is_another_run(connected: Connected) -> None:
    """A row that was not made when the order was given belongs to somebody else."""
    evidence = await lost(connected, ask())
    assert await connected.probe(probe_run_script, ask(), older(evidence, 120)) is None


async def test_a_history_that_cannot_be_read_proves_nothing(connected: Connected, vendor: SandboxControl) -> None:
    """A failing read is not taken for proof that nothing happened."""
    evidence = await lost(connected, ask())
    vendor.add_fault("status", path_regex="/history/$", times=0, status=500, body="<h1>Oh</h1>")
    assert await connected.probe(probe_run_script, ask(), evidence) is None


async def test_without_evidence_nothing_is_asked(connected: Connected, vendor: SandboxControl) -> None:
    """A record that never reached its send mark has nothing to compare with."""
    assert await connected.probe(probe_run_script, ask(), {}) is None
    assert vendor.requests() == []


async def test_a_row_is_enough_for_a_run_that_is_not_waited_for(connected: Connected) -> None:
    """It proves that the order was taken, which is all that was asked."""
    request = ask(ONLINE, ENDLESS, wait_for_output=False)
    answer = await connected.probe(probe_run_script, request, await lost(connected, request))
    assert answer is not None
    assert (answer.run_requested, answer.history_id) == (True, "1")
    assert not answer.HasField("output")


async def test_output_of_a_run_with_variables_is_left_out(connected: Connected, vendor: SandboxControl) -> None:
    """Their values are masked in the record, so they could not be found in what the script printed."""
    evidence = await lost(connected, ask(LINUX, REPORT, env_vars=["TOKEN=hunter2hunter2"]))
    answer = await connected.probe(probe_run_script, ask(LINUX, REPORT, env_vars=["***"]), evidence)
    assert answer is not None
    assert answer.exit_code == 0
    assert {field.name for field, _ in answer.ListFields()}.isdisjoint({"output", "stdout", "stderr"})
    assert "hunter2" not in str(answer)
