"""Every shape in which NinjaOne says no, and answers that are not its own."""

from typing import Any

import pytest

from sandbox.client import SandboxControl
from sandbox.ninjaone.wire import THROTTLED
from server.gen.patchbay.modules.ninjaone.v1.ninjaone_pb2 import (
    FindDevicesRequest,
    ListActiveAlertsRequest,
    RebootDeviceRequest,
    ScriptingOptionsRequest,
)
from server.modules.ninjaone.actions import find_devices, list_active_alerts, reboot_device, scripting_options
from server.sdk import Effect
from tests.modules.harness import Connected
from tests.modules.ninjaone.asking import asked, failing
from tests.modules.ninjaone.conftest import DOCUMENT
from tests.modules.ninjaone.world import SERVER

pytestmark = pytest.mark.anyio

REBOOT, ALERTS = RebootDeviceRequest(device_id=SERVER), ListActiveAlertsRequest(live=True)
PAGE = "<!doctype html><html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>"
CODED = {"code": "too_odd", "params": {"name": "x"}}

SHAPES = [
    (
        400,
        {"error": "invalid_header", "error_description": "Invalid", "error_code": 1},
        "VENDOR_REJECTED_INPUT",
        "Invalid",
    ),
    (400, {"resultCode": "FAILURE", "errorMessage": "Not like this"}, "VENDOR_REJECTED_INPUT", "Not like this"),
    (400, {"resultCode": "ODD", "errorMessage": CODED, "errorDetails": {}}, "VENDOR_REJECTED_INPUT", "too_odd"),
    (400, {"errorCode": "BAD", "message": "Pay first"}, "VENDOR_REJECTED_INPUT", "Pay first"),
    (400, '"Device is not applicable for os apply."', "VENDOR_REJECTED_INPUT", "not applicable"),
    (400, "just words", "VENDOR_REJECTED_INPUT", "just words"),
    (400, PAGE.format("Bad Request"), "VENDOR_REJECTED_INPUT", "Bad Request"),
    (401, {"error": "insufficient_privileges"}, "VENDOR_PERMISSION_DENIED", "insufficient_privileges"),
    (403, {"error": "user_context_required", "error_code": 5}, "VENDOR_PERMISSION_DENIED", "user_context_required"),
    (401, {"error": "user_context_required", "error_code": 5}, "VENDOR_PERMISSION_DENIED", "user_context_required"),
    (403, {"resultCode": "FORBIDDEN"}, "VENDOR_PERMISSION_DENIED", "FORBIDDEN"),
    (403, PAGE.format("Forbidden"), "VENDOR_PERMISSION_DENIED", "Forbidden"),
    (500, {"resultCode": "NO_PERMISSION"}, "VENDOR_PERMISSION_DENIED", "NO_PERMISSION"),
    (404, {"resultCode": "DEVICE_NOT_FOUND", "incidentId": "WEB-42"}, "NOT_FOUND", "DEVICE_NOT_FOUND"),
    (404, {"resultCode": "FAILURE", "errorMessage": "HTTP 404 Not Found"}, "VENDOR_ANSWER_INVALID", "HTTP 404"),
    (404, PAGE.format("Nothing here"), "VENDOR_ANSWER_INVALID", "Nothing here"),
    (405, {"resultCode": "FAILURE", "errorMessage": "HTTP 405"}, "VENDOR_REJECTED_INPUT", "HTTP 405"),
    (409, {"resultCode": "BUSY"}, "CONFLICT", "BUSY"),
]


@pytest.mark.parametrize(("status", "body", "reason", "said"), SHAPES)
@pytest.mark.parametrize("write", [False, True])
async def test_every_error_body_is_understood(
    connected: Connected, vendor: SandboxControl, status: int, body: Any, reason: str, said: str, write: bool
) -> None:
    """Four shapes, bare strings, words and pages: reason, status and the vendor's words, without effect."""
    vendor.add_fault("status", path_regex="NORMAL$|alerts$", times=0, status=status, body=body)
    handler, request = (reboot_device, REBOOT) if write else (list_active_alerts, ALERTS)
    failure = await failing(connected, handler, request)
    assert (failure.reason, failure.effect) == (reason, Effect.EFFECT_NONE)
    assert failure.vendor_status == status
    assert said in failure.vendor_message
    assert vendor.effects().total == 0


@pytest.mark.parametrize("status", [403, 401])
async def test_a_missing_user_context_names_the_remedy(
    connected: Connected, vendor: SandboxControl, status: int
) -> None:
    """Whatever status it comes with."""
    vendor.add_fault("status", path_regex="NORMAL$", times=0, status=status, body={"error": "user_context_required"})
    failure = await failing(connected, reboot_device, REBOOT)
    assert failure.remedy.text == "Connect NinjaOne again with a user sign-in."


@pytest.mark.parametrize(
    ("status", "reason"), [(500, "VENDOR_ERROR"), (502, "VENDOR_UNAVAILABLE"), (503, "VENDOR_UNAVAILABLE")]
)
async def test_server_errors_are_unknown_after_a_write_only(
    connected: Connected, vendor: SandboxControl, status: int, reason: str
) -> None:
    """A read had no effect; a write may have had one."""
    vendor.add_fault("status", path_regex="NORMAL$|alerts$", times=0, status=status, body=PAGE.format("Oops"))
    failure = await failing(connected, list_active_alerts, ALERTS)
    assert (failure.reason, failure.effect) == (reason, Effect.EFFECT_NONE)
    failure = await failing(connected, reboot_device, REBOOT)
    assert (failure.reason, failure.effect) == ("OUTCOME_UNKNOWN", Effect.EFFECT_UNKNOWN)


@pytest.mark.parametrize("kind", ["retry_after", "bare"])
async def test_throttled_reads_are_tried_again(connected: Connected, vendor: SandboxControl, kind: str) -> None:
    """429 with and without the seconds to wait: a read goes through later."""
    vendor.patch_state(settings={"throttle": kind, "throttle_times": 1, "retry_after": 0})
    assert (await connected.run(list_active_alerts, ALERTS)).count == 2


@pytest.mark.parametrize(("kind", "seconds"), [("retry_after", 3600), ("bare", 0)])
async def test_throttled_writes_had_no_effect(
    connected: Connected, vendor: SandboxControl, kind: str, seconds: int
) -> None:
    """RATE_LIMITED, retryable, with the vendor's advice when there is one; never repeated by itself."""
    vendor.patch_state(settings={"throttle": kind, "retry_after": 3600})
    failure = await failing(connected, reboot_device, REBOOT)
    assert (failure.reason, failure.effect, failure.retryable) == ("RATE_LIMITED", Effect.EFFECT_NONE, True)
    assert failure.retry_after.seconds == seconds
    assert len(asked(vendor)) == 1


async def test_a_page_with_status_200_is_throttling(connected: Connected, vendor: SandboxControl) -> None:
    """On a read: RATE_LIMITED and retryable, as third parties report it."""
    vendor.patch_state(settings={"throttle": "html"})
    for handler, request in ((list_active_alerts, ALERTS), (find_devices, FindDevicesRequest())):
        failure = await failing(connected, handler, request)
        assert (failure.reason, failure.effect, failure.retryable) == ("RATE_LIMITED", Effect.EFFECT_NONE, True)
    assert THROTTLED.startswith("<")


@pytest.mark.parametrize("body", ['"text"', "7", "[1]", "[[]]", "{}", "words"])
async def test_answers_that_are_not_lists_are_named(connected: Connected, vendor: SandboxControl, body: str) -> None:
    """What is not the API's own answer is VENDOR_ANSWER_INVALID, never a crash."""
    vendor.add_fault("status", path_regex="alerts$", status=200, body=body)
    assert (await failing(connected, list_active_alerts, ALERTS)).reason == "VENDOR_ANSWER_INVALID"


async def test_answers_that_are_no_objects_are_named(connected: Connected, vendor: SandboxControl) -> None:
    """The same for single objects, and for broken and huge ones."""
    request = ScriptingOptionsRequest(device_id=SERVER)
    vendor.add_fault("status", path_regex="options$", status=200, body="[]")
    assert (await failing(connected, scripting_options, request)).reason == "VENDOR_ANSWER_INVALID"
    vendor.add_fault("huge_body", path_regex="options$", bytes=33 * 1024 * 1024)
    assert (await failing(connected, scripting_options, request)).reason == "VENDOR_ANSWER_TOO_LARGE"


async def test_rows_that_say_nothing_useful_are_left_out(connected: Connected, vendor: SandboxControl) -> None:
    """Odd types are as good as absent; rows without id are no devices and no alerts."""
    odd = {"id": 7, "systemName": 5, "offline": "yes", "lastContact": "soon", "os": "none", "organizationId": []}
    vendor.add_fault("status", path_regex="devices-detailed$", times=0, status=200, body=[odd, {}, {"id": "x"}])
    (device,) = (await connected.run(find_devices, FindDevicesRequest())).devices
    assert (device.external_device_id, device.hostname, device.HasField("agent_online")) == ("7", "5", False)
    vendor.add_fault("status", path_regex="alerts$", status=200, body=[{"uid": "u-1", "createTime": 1e300}, {}])
    (alert,) = (await connected.run(list_active_alerts, ALERTS)).alerts
    assert (alert.external_alert_id, alert.HasField("created_at")) == ("u-1", False)


def test_the_vendors_document_is_here() -> None:
    """Every request of these tests is checked against it; without it that check is skipped, and said here."""
    DOCUMENT.required()
    assert DOCUMENT.path.is_file()
