"""Reading runs of automations, and waiting for their end."""

import pytest

from sandbox.client import SandboxControl
from server.gen.patchbay.modules.levelio.v1.levelio_pb2 import RunStatusRequest, TriggerAutomationRequest
from server.modules.levelio.actions import run_status, trigger_automation
from tests.modules.harness import Connected
from tests.modules.levelio.asking import asked, failing
from tests.modules.levelio.world import APP, CLEANUP, ONBOARD, SPOOLER, TOKENS

pytestmark = pytest.mark.anyio


async def started(connected: Connected, automation: str = CLEANUP) -> str:
    """Starts an automation on one device and returns the run's id."""
    token = {CLEANUP: "cleanup", ONBOARD: "onboard", SPOOLER: "spooler-servers"}[automation]
    request = TriggerAutomationRequest(webhook_token=TOKENS[token], device_ids=[APP])
    run_id: str = (await connected.run(trigger_automation, request)).runs[0].run_id
    return run_id


async def test_a_run_is_told_as_it_is_now(connected: Connected, vendor: SandboxControl) -> None:
    """Without waiting one request is made; steps are absent unless asked for."""
    run_id = await started(connected)
    answer = await connected.run(run_status, RunStatusRequest(run_id=run_id))
    run = answer.run
    assert (run.run_id, run.automation_id, run.automation_name) == (run_id, CLEANUP, "free up disk space")
    assert (run.device_id, run.device_hostname, run.status, run.finished) == (APP, "app-01", "queued", False)
    assert (run.HasField("started_at"), run.HasField("ended_at"), list(answer.steps)) == (True, False, [])
    assert asked(vendor)[1:] == [f"GET /v2/automation-runs/{run_id}"]


@pytest.mark.parametrize(("automation", "end"), [(CLEANUP, "success"), (SPOOLER, "warning"), (ONBOARD, "error")])
async def test_waiting_ends_with_the_run(
    connected: Connected, vendor: SandboxControl, automation: str, end: str
) -> None:
    """It is looked at until it has ended, however it did; a run that failed is a success of the action."""
    run_id = await started(connected, automation)
    answer = await connected.run(run_status, RunStatusRequest(run_id=run_id, wait_seconds=20))
    assert (answer.run.status, answer.run.finished, answer.run.HasField("ended_at")) == (end, True, True)
    assert len(asked(vendor)) == 4


async def test_steps_are_told_on_request(connected: Connected, vendor: SandboxControl) -> None:
    """Name, status and output, each absent where Level tells none."""
    run_id = await started(connected)
    answer = await connected.run(run_status, RunStatusRequest(run_id=run_id, include_steps=True))
    assert [(step.name, step.status, step.output) for step in answer.steps] == [
        ("Clear", "success", "Removed 3.1 GB"),
        ("Report", "", ""),
    ]
    assert asked(vendor)[-1].endswith("?include_steps=true")


@pytest.mark.parametrize("seconds", [6.0, 5.0])
async def test_waiting_ends_with_its_limit(connected: Connected, vendor: SandboxControl, seconds: float) -> None:
    """A run that goes on is told as it was last seen, before the deadline of the action however long the wait is."""
    vendor.patch_state(settings={"runs_move": "by_test"})
    run_id = await started(connected)
    request = RunStatusRequest(run_id=run_id, wait_seconds=3600)
    answer = await connected.run(run_status, request, seconds=seconds)
    assert (answer.run.status, answer.run.finished) == ("queued", False)


async def test_a_short_wait_is_kept(connected: Connected, vendor: SandboxControl) -> None:
    """A wait of a second ends although the deadline is far."""
    vendor.patch_state(settings={"runs_move": "by_test"})
    run_id = await started(connected)
    answer = await connected.run(run_status, RunStatusRequest(run_id=run_id, wait_seconds=1))
    assert not answer.run.finished
    assert len(asked(vendor)) > 2


@pytest.mark.parametrize(
    ("status", "ended", "finished"),
    [
        ("canceled", None, True),
        ("failed", "2026-11-20T09:06:40Z", True),
        ("failed", None, False),
        ("running", None, False),
        ("pending", None, False),
    ],
)
async def test_other_words_count_once_the_end_is_told(
    connected: Connected, vendor: SandboxControl, status: str, ended: str | None, finished: bool
) -> None:
    """Only the four known words end a run by themselves."""
    run_id = await started(connected)
    vendor.patch_state(settings={"runs_move": "by_test"}, runs={run_id: {"status": status, "ended_at": ended}})
    answer = await connected.run(run_status, RunStatusRequest(run_id=run_id))
    assert (answer.run.status, answer.run.finished) == (status, finished)


async def test_the_pauses_are_those_of_a_patient_client(connected: Connected) -> None:
    """2, 4 and 8 seconds, then every 15."""
    pauses = type(connected.client).pauses(connected.client)
    assert [next(pauses) for _ in range(5)] == [2, 4, 8, 15, 15]


async def test_an_unknown_run_is_not_found(connected: Connected) -> None:
    """Level has no list of runs; an id that is not known is 404."""
    failure = await failing(connected, run_status, RunStatusRequest(run_id="no/run+=", wait_seconds=5))
    assert (failure.reason, failure.vendor_status, failure.field) == ("NOT_FOUND", 404, "run_id")
