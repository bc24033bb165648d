"""Every shape in which the server says no, and answers that are not its own."""

from typing import Any

import pytest

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from server.gen.patchbay.modules.tacticalrmm.v1.tacticalrmm_pb2 import (
    GetAgentRequest,
    ListScriptsRequest,
    RebootAgentRequest,
    RunScriptRequest,
)
from server.modules.tacticalrmm.actions import get_agent, list_scripts, reboot_agent
from server.modules.tacticalrmm.runs import run_script
from server.sdk import Effect
from tests.modules.harness import Connect, Connected
from tests.modules.tacticalrmm.asking import failing
from tests.modules.tacticalrmm.world import CLEANUP, FARM_KEY, NOBODY, ONLINE, by_key

pytestmark = pytest.mark.anyio

PAGE = "<!doctype html><html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>"

SHAPES = [
    (400, '"Unable to do that"', "VENDOR_REJECTED_INPUT", "Unable to do that"),
    (400, {"plat": ["Not valid.", "Choose."]}, "VENDOR_REJECTED_INPUT", "plat: Not valid. Choose."),
    (400, {"non_field_errors": ["Wrong."]}, "VENDOR_REJECTED_INPUT", "Wrong."),
    (400, {"detail": "JSON parse error - x"}, "VENDOR_REJECTED_INPUT", "JSON parse error - x"),
    (400, [["deep"]], "VENDOR_REJECTED_INPUT", "deep"),
    (400, PAGE.format("Bad Request (400)"), "INTEGRATION_MISCONFIGURED", ""),
    (400, '"natsdown"', "VENDOR_UNAVAILABLE", "natsdown"),
    (401, {"detail": "Invalid token."}, "CREDENTIALS_REFUSED", ""),
    (401, {"detail": "The token has expired."}, "CREDENTIALS_EXPIRED", ""),
    (401, {"detail": "User inactive or deleted."}, "CREDENTIALS_REFUSED", ""),
    (403, {"detail": "You do not have permission."}, "VENDOR_PERMISSION_DENIED", "You do not have permission."),
    (404, {"detail": "No Agent matches the given query."}, "NOT_FOUND", "No Agent matches the given query."),
    (404, {"detail": "Not found."}, "NOT_FOUND", "Not found."),
    (404, PAGE.format("Not Found"), "VENDOR_ANSWER_INVALID", ""),
    (405, {"detail": 'Method "PUT" not allowed.'}, "VENDOR_REJECTED_INPUT", 'Method "PUT" not allowed.'),
    (415, {"detail": "Unsupported media type."}, "VENDOR_REJECTED_INPUT", "Unsupported media type."),
    (429, {"detail": "Request was throttled."}, "RATE_LIMITED", "Request was throttled."),
]


@pytest.mark.parametrize(("status", "body", "reason", "said"), SHAPES)
@pytest.mark.parametrize("write", [False, True])
async def test_every_error_body_is_understood(
    connected: Connected, vendor: SandboxControl, status: int, body: Any, reason: str, said: str, write: bool
) -> None:
    """Strings, details, fields and pages: reason, status and the server's words, without effect."""
    vendor.add_fault("status", path_regex="/(reboot|scripts)/$", times=0, status=status, body=body)
    if write:
        failure = await failing(connected, RebootAgentRequest(agent_id=ONLINE), reboot_agent)
    else:
        failure = await failing(connected, ListScriptsRequest(), list_scripts)
    assert (failure.reason, failure.effect) == (reason, Effect.EFFECT_NONE)
    assert failure.vendor_status in {status, 0} if reason == "VENDOR_UNAVAILABLE" else failure.vendor_status == status
    assert said in failure.vendor_message
    assert vendor.effects().total == 0


@pytest.mark.parametrize(
    ("status", "reason"), [(500, "VENDOR_ERROR"), (502, "VENDOR_UNAVAILABLE"), (504, "VENDOR_UNAVAILABLE")]
)
async def test_server_errors_of_reads_have_no_effect(
    connected: Connected, vendor: SandboxControl, status: int, reason: str
) -> None:
    """A page with 5xx after a read is a failure that changed nothing."""
    vendor.add_fault("status", path_regex="/scripts/$", times=0, status=status, body=PAGE.format("Server Error"))
    failure = await failing(connected, ListScriptsRequest(), list_scripts)
    assert (failure.reason, failure.effect, failure.vendor_message) == (reason, Effect.EFFECT_NONE, "Server Error")


@pytest.mark.parametrize("body", [{"a": 1}, '"text"', "[1]", "<html>the web page</html>", "[[]]"])
async def test_answers_that_are_not_lists_of_objects_are_named(
    connected: Connected, vendor: SandboxControl, body: Any
) -> None:
    """What is not the API's own answer is VENDOR_ANSWER_INVALID, never a crash."""
    vendor.add_fault("status", path_regex="/scripts/$", status=200, body=body)
    assert (await failing(connected, ListScriptsRequest(), list_scripts)).reason == "VENDOR_ANSWER_INVALID"


async def test_an_answer_that_is_no_object_is_named(connected: Connected, vendor: SandboxControl) -> None:
    """The same for single objects."""
    vendor.add_fault("status", path_regex=f"/{ONLINE}/$", status=200, body="[]")
    assert (await failing(connected, GetAgentRequest(agent_id=ONLINE), get_agent)).reason == "VENDOR_ANSWER_INVALID"


async def test_an_agent_outside_of_the_role_is_a_missing_right(connect: Connect, server: SandboxServer) -> None:
    """403 with the remedy about client and site; nothing is said about the agent's existence."""
    connected = connect(by_key(server.url, FARM_KEY))
    failure = await failing(connected, GetAgentRequest(agent_id=ONLINE), get_agent)
    assert failure.reason == "VENDOR_PERMISSION_DENIED"
    assert "client and site" in failure.remedy.text


async def test_an_unknown_agent_is_not_found(connected: Connected) -> None:
    """With the field at fault."""
    failure = await failing(connected, GetAgentRequest(agent_id=NOBODY), get_agent)
    assert (failure.reason, failure.field, failure.vendor_status) == ("NOT_FOUND", "agent_id", 404)


async def test_every_path_ends_in_a_slash_and_none_is_beta(connected: Connected, vendor: SandboxControl) -> None:
    """Other paths are redirected, and a redirected write loses its body."""
    await connected.run(run_script, RunScriptRequest(agent_id=ONLINE, script_id=CLEANUP, timeout=5))
    await connected.run(list_scripts, ListScriptsRequest())
    await connected.run(reboot_agent, RebootAgentRequest(agent_id=ONLINE))
    paths = [str(one["path"]) for one in vendor.requests()]
    assert len(paths) >= 6
    assert all(path.endswith("/") and "beta" not in path for path in paths)
    assert {one["status"] for one in vendor.requests()} == {200}
