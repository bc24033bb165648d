"""A lost answer to an order: unknown first, then settled by the device's activities."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sandbox.client import SandboxControl
from server.gen.patchbay.modules.ninjaone.v1.ninjaone_pb2 import RunScriptRequest, RunScriptResponse
from server.modules.ninjaone.runs import probe_run_script, run_script
from server.sdk import ActionFailure
from tests.modules.harness import Connected
from tests.modules.ninjaone.asking import failing, run
from tests.modules.ninjaone.world import DESK, ENDLESS, FAILING, OFFLINE, SERVER

pytestmark = pytest.mark.anyio


async def lost(connected: Connected, vendor: SandboxControl, request: RunScriptRequest, fault: str) -> dict[str, str]:
    """Orders a run whose answer is lost and returns what was remembered before it was sent."""
    vendor.add_fault(fault, path_regex="script/run$")
    failure = await failing(connected, run_script, request)
    assert failure.reason == "OUTCOME_UNKNOWN"
    return connected.told.evidence


async def probed(connected: Connected, request: RunScriptRequest, evidence: dict[str, str]) -> RunScriptResponse | None:
    """Probes."""
    return await connected.probe(probe_run_script, request, evidence)


def line(**more: Any) -> dict[str, Any]:
    """A line of the server's activities that tells of the script."""
    known = {"device": 31, "series": "s", "type": "SCRIPTING", "status_code": "STARTED", "source_name": "Clear temp"}
    return {**known, **more}


@pytest.mark.parametrize("wait", [False, True])
async def test_a_run_that_happened_is_found(connected: Connected, vendor: SandboxControl, wait: bool) -> None:
    """By script and time; with the verdict when it was to be waited for."""
    request = run(wait_for_result=wait)
    evidence = await lost(connected, vendor, request, "reset_after")
    found = await probed(connected, request, evidence)
    assert found is not None
    assert (found.run_requested, found.result, found.run_as) == (True, "SUCCESS" if wait else "", "system")
    assert found.series_uid == vendor.effects().items[0]["detail"]["series"]
    assert vendor.effects().count("run_script") == 1


async def test_a_run_that_never_happened_proves_nothing(connected: Connected, vendor: SandboxControl) -> None:
    """No line, no proof: activities may be late."""
    evidence = await lost(connected, vendor, run(), "reset_before")
    assert await probed(connected, run(), evidence) is None


async def test_a_run_without_an_end_stays_unknown_when_the_end_was_wanted(
    connected: Connected, vendor: SandboxControl
) -> None:
    """Until its end is told."""
    request = run(SERVER, ENDLESS, wait_for_result=True)
    evidence = await lost(connected, vendor, request, "reset_after")
    assert await probed(connected, request, evidence) is None
    series = vendor.effects().items[0]["detail"]["series"]
    vendor.patch_state(add_activities=[line(series=series, source_name="Endless", result="FAILURE")])
    found = await probed(connected, request, evidence)
    assert found is not None
    assert found.result == "FAILURE"


async def test_an_end_that_comes_after_the_limit_settles_the_run(connected: Connected, vendor: SandboxControl) -> None:
    """What was not seen while waiting is found later."""
    request = run(OFFLINE, wait_for_result=True, timeout=1)
    await failing(connected, run_script, request)
    evidence = connected.told.evidence
    series = vendor.state()["activities"][0]["series"]
    vendor.patch_state(add_activities=[line(device=41, series=series, result="AGENT_OFFLINE")])
    with pytest.raises(ActionFailure) as caught:
        await probed(connected, request, evidence)
    assert (caught.value.failure.reason, caught.value.failure.vendor_status) == ("SCRIPT_NOT_RUN", 0)


async def test_runs_of_other_scripts_devices_and_times_prove_nothing(
    connected: Connected, vendor: SandboxControl
) -> None:
    """Only a series that names the script, on that device, that began when the order was given."""
    evidence = await lost(connected, vendor, run(), "reset_before")
    await connected.run(run_script, run(SERVER, FAILING))
    await connected.run(run_script, run(DESK))
    assert await probed(connected, run(), evidence) is None
    later = (datetime.now(UTC) + timedelta(minutes=5)).timestamp()
    vendor.patch_state(add_activities=[line(time=later)])
    assert await probed(connected, run(), evidence) is None
    vendor.patch_state(add_activities=[line(series="now")])
    assert await probed(connected, run(), evidence) is not None


async def test_two_runs_at_that_time_prove_nothing(connected: Connected, vendor: SandboxControl) -> None:
    """One may be a person's."""
    evidence = await lost(connected, vendor, run(), "reset_after")
    vendor.patch_state(add_activities=[line(series="a person's")])
    assert await probed(connected, run(), evidence) is None


async def test_what_cannot_be_read_proves_nothing(connected: Connected, vendor: SandboxControl) -> None:
    """Neither activities behind an error nor evidence that is not there."""
    evidence = await lost(connected, vendor, run(), "reset_after")
    assert await probed(connected, run(), {}) is None
    vendor.add_fault("status", path_regex="activities$", status=500, body="oops", times=0)
    assert await probed(connected, run(), evidence) is None
