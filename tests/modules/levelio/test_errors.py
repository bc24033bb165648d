"""Every shape in which Level says no, answers that are not its own, and secrets."""

import logging
from typing import Any

import pytest
import structlog

from sandbox.client import SandboxControl
from server.gen.patchbay.modules.levelio.v1.levelio_pb2 import (
    FindDevicesRequest,
    LevelIoConnection,
    ListAutomationsRequest,
    ListUpdatesRequest,
    ResolveAlertRequest,
    RunStatusRequest,
    TriggerAutomationRequest,
)
from server.modules.levelio import MODULE
from server.modules.levelio.actions import (
    find_devices,
    list_automations,
    list_updates,
    resolve_alert,
    run_status,
    trigger_automation,
)
from server.modules.levelio.client import LevelClient
from server.sdk import ActionFailure, Effect
from tests.modules.harness import Connect, Connected
from tests.modules.levelio.asking import asked, failing
from tests.modules.levelio.conftest import DOCUMENT
from tests.modules.levelio.world import API_KEY, APP, CLEANUP, DISK_ALERT, READ_ONLY_KEY, TOKENS

pytestmark = pytest.mark.anyio

SHAPES = [
    (400, "VENDOR_REJECTED_INPUT"),
    (401, "CREDENTIALS_REFUSED"),
    (403, "VENDOR_PERMISSION_DENIED"),
    (404, "NOT_FOUND"),
    (409, "CONFLICT"),
    (422, "VENDOR_REJECTED_INPUT"),
    (429, "RATE_LIMITED"),
]
READS = [
    (list_updates, ListUpdatesRequest()),
    (find_devices, FindDevicesRequest()),
    (list_automations, ListAutomationsRequest()),
    (run_status, RunStatusRequest(run_id="run")),
]


@pytest.mark.parametrize(("status", "reason"), SHAPES)
@pytest.mark.parametrize("body", [{"error": "Because."}, "", "<html><title>Because.</title></html>"])
@pytest.mark.parametrize("write", [False, True])
async def test_every_status_has_its_reason(
    connected: Connected, vendor: SandboxControl, status: int, reason: str, body: Any, write: bool
) -> None:
    """JSON, empty and HTML bodies: reason, status and the vendor's words, without effect."""
    vendor.add_fault("status", path_regex="/(updates|resolve)$", times=0, status=status, body=body)
    if write:
        failure = await failing(connected, resolve_alert, ResolveAlertRequest(alert_id=DISK_ALERT))
    else:
        failure = await failing(connected, list_updates, ListUpdatesRequest())
    assert (failure.reason, failure.effect, failure.vendor_status) == (reason, Effect.EFFECT_NONE, status)
    assert ("Because." in failure.vendor_message) == bool(body)
    assert vendor.effects().total == 0


@pytest.mark.parametrize(("status", "reason"), [(500, "VENDOR_ERROR"), (502, "VENDOR_UNAVAILABLE")])
async def test_server_errors_of_reads_have_no_effect(
    connected: Connected, vendor: SandboxControl, status: int, reason: str
) -> None:
    """A fault at Level, and a gateway's page."""
    vendor.add_fault("status", path_regex="/updates$", times=0, status=status, body="<html>Bad</html>")
    failure = await failing(connected, list_updates, ListUpdatesRequest())
    assert (failure.reason, failure.effect) == (reason, Effect.EFFECT_NONE)


async def test_a_server_error_after_a_trigger_is_an_unknown_outcome(
    connected: Connected, vendor: SandboxControl
) -> None:
    """Nobody knows whether it started; it is not sent again."""
    vendor.add_fault("status", method="POST", times=0, status=500, body={"error": "Oops"}, after=True)
    request = TriggerAutomationRequest(webhook_token=TOKENS["cleanup"], device_ids=[APP])
    failure = await failing(connected, trigger_automation, request)
    assert (failure.reason, failure.vendor_status) == ("OUTCOME_UNKNOWN", 500)
    assert vendor.effects().count("trigger") == 1


@pytest.mark.parametrize("body", ["<html>Sign in</html>", '"text"', "[1]", {"data": {"a": 1}}, {"data": [1]}, "17"])
@pytest.mark.parametrize(("handler", "request_"), READS)
async def test_answers_that_are_not_levels_are_named(
    connected: Connected, vendor: SandboxControl, handler: Any, request_: Any, body: Any
) -> None:
    """HTML with status 200 and JSON of another shape are VENDOR_ANSWER_INVALID, or read as far as they fit."""
    vendor.add_fault("status", times=0, status=200, body=body, headers={"content-type": "application/json"})
    if handler is run_status and isinstance(body, dict):
        answer = await connected.run(handler, request_)
        assert (answer.run.run_id, answer.run.status) == ("run", "")
        return
    failure = await failing(connected, handler, request_)
    assert failure.reason == "VENDOR_ANSWER_INVALID"


async def test_throttled_reads_wait_as_long_as_level_asks(connected: Connected, vendor: SandboxControl) -> None:
    """A read is repeated after Retry-After and succeeds."""
    vendor.add_fault("status", path_regex="/updates$", status=429, headers={"retry-after": "0"})
    assert (await connected.run(list_updates, ListUpdatesRequest())).count == 3
    assert len(asked(vendor)) == 2


@pytest.mark.parametrize("key", [API_KEY, READ_ONLY_KEY])
async def test_the_check_is_one_small_question(connect: Connect, vendor: SandboxControl, key: str) -> None:
    """The cheapest list proves either kind of key; the key goes bare."""
    await connect(key).check(MODULE)
    (request,) = vendor.requests()
    assert asked(vendor) == ["GET /v2/groups?limit=1"]
    assert request["headers"]["authorization"].startswith("sha256:")


async def test_a_key_that_is_not_accepted_says_so(connect: Connect) -> None:
    """`Bearer` in front makes a good key a wrong one, as the vendor has it; the key is never shown."""
    for key in ("lk-nobody", f"Bearer{API_KEY}"):
        with pytest.raises(ActionFailure) as caught:
            await connect(key).check(MODULE)
        failure = caught.value.failure
        assert (failure.reason, failure.vendor_status) == ("CREDENTIALS_REFUSED", 401)
        assert "Access denied" in failure.vendor_message
        assert key not in str(failure)


@pytest.mark.parametrize(
    ("given", "expected"),
    [("", "https://api.level.io"), ("proxy.example.com/level/", "https://proxy.example.com/level")],
)
def test_the_address_is_levels_unless_another_is_given(given: str, expected: str) -> None:
    """One fixed host for all customers; proxies and simulators name their own."""
    assert LevelClient.instance_url(LevelIoConnection(instance_url=given)) == expected


async def test_making_a_client_sends_nothing(connect: Connect, vendor: SandboxControl) -> None:
    """`connect` only reads the settings."""
    connect()
    assert vendor.requests() == []


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("fails", [False, True])
async def test_tokens_and_keys_are_told_nowhere(
    connected: Connected, vendor: SandboxControl, caplog: pytest.LogCaptureFixture, raw: bool, fails: bool
) -> None:
    """Not in outputs, failures, logs or what the client shows of itself, even when Level repeats them."""
    caplog.set_level(logging.DEBUG)
    token = TOKENS["cleanup"]
    if fails:
        said = {"error": f"no {token} for {API_KEY} at /v2/automations/webhooks/{token}"}
        vendor.add_fault("status", method="POST", times=0, status=422, body=said)
    target: dict[str, Any] = {"webhook_token": token} if raw else {"automation_id": CLEANUP}
    with structlog.testing.capture_logs() as logs:
        try:
            told = repr(await connected.run(trigger_automation, TriggerAutomationRequest(device_ids=[APP], **target)))
        except ActionFailure as failure:
            told = f"{failure!r} {failure.failure} {failure.__cause__!r} {failure.__context__!r}"
    shown = f"{told} {logs} {caplog.text} {connected.client!r} {vars(connected.client)!r} {connected.told.warnings}"
    assert ("***" in told) == fails
    for secret in (API_KEY, token):
        assert secret not in shown
    assert connected.told.masker(token) == "***"


async def test_listed_tokens_are_masked_in_that_execution(connected: Connected) -> None:
    """Whatever repeats one of them in the same execution is masked."""
    await connected.run(list_automations, ListAutomationsRequest())
    assert {connected.told.masker(token) for token in TOKENS.values()} == {"***"}


async def test_requests_are_checked_against_the_vendors_document(connected: Connected, vendor: SandboxControl) -> None:
    """Every request of these tests fits it; one with another name in its query would not."""
    DOCUMENT.required()
    await connected.run(list_updates, ListUpdatesRequest(device_id=APP))
    (request,) = vendor.requests()
    assert DOCUMENT.violations([request]) == []
    assert len(DOCUMENT.violations([{**request, "query": "device=1"}])) == 1
