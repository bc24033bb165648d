"""What may run where, ordering runs, following them through activities."""

import asyncio
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from server.gen.patchbay.modules.ninjaone.v1.ninjaone_pb2 import RunScriptRequest, ScriptingOptionsRequest
from server.modules.ninjaone.actions import scripting_options
from server.modules.ninjaone.runs import run_script
from server.sdk import Effect
from tests.modules.harness import Connect, Connected
from tests.modules.ninjaone.asking import asked, bodies, failing, run, token_requests
from tests.modules.ninjaone.world import (
    CLEANUP,
    DESK,
    ENDLESS,
    FAILING,
    FLUSH,
    LINUX,
    LOGS,
    MAC,
    OFFLINE,
    SERVER,
    by_app,
)

pytestmark = pytest.mark.anyio


async def test_options_tell_the_type_of_each_item(connected: Connected) -> None:
    """Scripts have an id, actions a uid, by the type that the item itself tells; by name."""
    answer = await connected.run(scripting_options, ScriptingOptionsRequest(device_id=SERVER))
    shown = [(one.type, one.id, one.uid, one.name) for one in answer.scripts]
    assert shown == [
        ("SCRIPT", CLEANUP, "", "Clear temp"),
        ("SCRIPT", ENDLESS, "", "Endless"),
        ("SCRIPT", FAILING, "", "Failing check"),
        ("ACTION", "", FLUSH, "Flush DNS"),
    ]
    assert answer.count == 4


async def test_options_offer_what_to_run_as(connected: Connected) -> None:
    """Roles first, then stored credentials by id."""
    answer = await connected.run(scripting_options, ScriptingOptionsRequest(device_id=SERVER, query="DNS"))
    assert [one.name for one in answer.scripts] == ["Flush DNS"]
    assert [(one.value, one.type) for one in answer.run_as] == [
        ("system", "ROLE"),
        ("loggedonuser", "ROLE"),
        ("SR_LOCAL_ADMINISTRATOR", "ROLE"),
        ("SR_DOMAIN_ADMINISTRATOR", "ROLE"),
        ("26", "BASIC"),
    ]


@pytest.mark.parametrize("body", [{}, {"scripts": None, "credentials": []}, {"credentials": {"roles": None}}])
async def test_options_may_be_empty(connected: Connected, vendor: SandboxControl, body: dict[str, Any]) -> None:
    """Every part of the answer is optional."""
    vendor.add_fault("status", path_regex="options$", status=200, body=body)
    answer = await connected.run(scripting_options, ScriptingOptionsRequest(device_id=SERVER))
    assert (list(answer.scripts), list(answer.run_as)) == ([], [])


async def test_a_type_that_the_item_does_not_have_is_refused(connected: Connected, vendor: SandboxControl) -> None:
    """Whoever names a type gets that type or a failure that names the field; nothing is ordered."""
    failure = await failing(connected, run_script, run(type="ACTION"))
    assert (failure.reason, failure.field) == ("SCRIPT_NOT_AVAILABLE", "type")
    assert bodies(vendor, "/script/run") == []


async def test_client_credentials_fail_before_anything_is_sent(
    connect: Connect, vendor: SandboxControl, server: SandboxServer
) -> None:
    """A typed failure with its remedy; not even a token is asked for."""
    connected = connect(by_app(server.url))
    failure = await failing(connected, run_script, run())
    assert (failure.reason, failure.effect) == ("USER_SIGN_IN_REQUIRED", Effect.EFFECT_NONE)
    assert asked(vendor) == []
    assert token_requests(vendor) == 0


async def test_a_script_is_ordered_once(connected: Connected, vendor: SandboxControl) -> None:
    """The body has NinjaOne's names and always says what to run as; nothing is waited for."""
    answer = await connected.run(run_script, run(parameters="-Days 7"))
    assert (answer.run_requested, answer.external_device_id, answer.run_as) == (True, SERVER, "system")
    assert not answer.HasField("result")
    assert not answer.HasField("vendor_response")
    order = {"type": "SCRIPT", "id": 146, "parameters": "-Days 7", "runAs": "system"}
    assert bodies(vendor, "/script/run") == [order]
    assert vendor.effects().count("run_script") == 1


async def test_an_action_is_ordered_by_its_uid(connected: Connected, vendor: SandboxControl) -> None:
    """In any case of the letters, with a stored credential, and followed under its own type."""
    request = RunScriptRequest(device_id=SERVER, action_uid=FLUSH.upper(), run_as="26", wait_for_result=True)
    answer = await connected.run(run_script, request)
    assert (answer.result, answer.status, answer.run_as) == ("SUCCESS", "COMPLETED", "26")
    assert bodies(vendor, "/script/run") == [{"type": "ACTION", "uid": FLUSH, "runAs": "26"}]


async def test_the_role_fits_the_device(connected: Connected, vendor: SandboxControl) -> None:
    """Without a `system` among its roles the first one is taken."""
    roles = {
        "scripts": [{"type": "SCRIPT", "id": 147, "name": "collect logs"}],
        "credentials": {"roles": ["SR_LINUX_SCRIPT"]},
    }
    vendor.add_fault("status", path_regex="options$", status=200, body=roles)
    assert (await connected.run(run_script, run(LINUX, LOGS))).run_as == "SR_LINUX_SCRIPT"
    assert bodies(vendor, "/script/run")[0]["runAs"] == "SR_LINUX_SCRIPT"


@pytest.mark.parametrize(
    ("request_", "reason", "field"),
    [
        (run(LINUX, CLEANUP), "SCRIPT_NOT_AVAILABLE", "script_id"),
        (run(SERVER, "999"), "SCRIPT_NOT_AVAILABLE", "script_id"),
        (RunScriptRequest(device_id=MAC, action_uid=FLUSH), "SCRIPT_NOT_AVAILABLE", "action_uid"),
        (run(run_as="SYSTEM"), "RUN_AS_NOT_AVAILABLE", "run_as"),
        (run(run_as="27"), "RUN_AS_NOT_AVAILABLE", "run_as"),
        (run("999"), "NOT_FOUND", "device_id"),
    ],
)
async def test_what_cannot_run_is_not_ordered(
    connected: Connected, vendor: SandboxControl, request_: RunScriptRequest, reason: str, field: str
) -> None:
    """Scripts of other systems, unknown ones, roles in another case: refused by name before the order."""
    failure = await failing(connected, run_script, request_)
    assert (failure.reason, failure.field, failure.effect) == (reason, field, Effect.EFFECT_NONE)
    assert not [one for one in asked(vendor) if one.startswith("POST")]


async def test_the_end_is_waited_for(connected: Connected, vendor: SandboxControl) -> None:
    """Verdict, last word, data and series come from the activities; they are asked for by id, not by time."""
    answer = await connected.run(run_script, run(wait_for_result=True))
    assert (answer.result, answer.status) == ("SUCCESS", "COMPLETED")
    assert MessageToDict(answer.result_data) == {"exitCode": 0}
    assert answer.series_uid == vendor.effects().items[0]["detail"]["series"]
    looks = [one for one in asked(vendor) if "activities" in one]
    assert looks[0].endswith("activities?pageSize=10")
    assert all(one.endswith("activities?newerThan=0") for one in looks[1:])


async def test_a_script_that_fails_ran(connected: Connected) -> None:
    """FAILURE is a success of the action, with the verdict and what came with it."""
    answer = await connected.run(run_script, run(SERVER, FAILING, wait_for_result=True))
    assert (answer.result, MessageToDict(answer.result_data)) == ("FAILURE", {"exitCode": 3})


async def test_late_activities_are_waited_for(connected: Connected, vendor: SandboxControl) -> None:
    """The order's own lines may come later than the answer."""
    vendor.patch_state(settings={"activity_lag": 10.0})
    assert (await connected.run(run_script, run(wait_for_result=True))).result == "SUCCESS"


async def test_runs_of_before_are_not_taken_for_this_one(connected: Connected, vendor: SandboxControl) -> None:
    """Only lines newer than the mark count, and only those that name the script."""
    first = await connected.run(run_script, run(SERVER, FAILING, wait_for_result=True))
    line = {"device": 31, "series": "other", "type": "SCRIPTING", "status_code": "COMPLETED", "result": "FAILURE"}
    vendor.patch_state(add_activities=[{**line, "source_name": "Clear temp"}])
    vendor.patch_state(settings={"activity_lag": 5.0})
    waiting = asyncio.create_task(connected.run(run_script, run(wait_for_result=True)))
    while vendor.effects().count("run_script") < 2:
        await asyncio.sleep(0.01)
    vendor.patch_state(add_activities=[{**line, "source_name": "Something else"}])
    answer = await waiting
    assert answer.result == "SUCCESS"
    assert answer.series_uid not in {first.series_uid, "other"}


@pytest.mark.parametrize("shape", ["empty", "id", "activity_id", "job_uid", "uuid", "integer"])
@pytest.mark.parametrize("matches", [True, False])
async def test_every_shape_of_answer_is_accepted(
    connected: Connected, vendor: SandboxControl, shape: str, matches: bool
) -> None:
    """Any 2xx means accepted; a uid in it is a hint that need not be true."""
    vendor.patch_state(settings={"run_answer": shape, "uid_is_series": matches})
    answer = await connected.run(run_script, run(wait_for_result=True))
    assert answer.result == "SUCCESS"
    kind = answer.vendor_response.WhichOneof("kind") if answer.HasField("vendor_response") else None
    wanted = {"empty": None, "uuid": "string_value", "integer": "number_value"}
    assert kind == wanted.get(shape, "struct_value")


async def test_a_uid_that_fits_beats_the_order_of_lines(connected: Connected, vendor: SandboxControl) -> None:
    """Of two runs of the script that began together the one whose series the answer named is this one."""
    vendor.patch_state(settings={"run_answer": "job_uid", "activity_lag": 5.0})
    waiting = asyncio.create_task(connected.run(run_script, run(wait_for_result=True)))
    while not vendor.effects().count("run_script"):
        await asyncio.sleep(0.01)
    line = {"device": 31, "series": "stranger", "type": "SCRIPTING", "status_code": "STARTED"}
    vendor.patch_state(add_activities=[{**line, "source_name": "Clear temp"}])
    answer = await waiting
    assert (answer.result, answer.series_uid) == ("SUCCESS", vendor.effects().items[0]["detail"]["series"])


async def test_no_end_within_the_limit_is_unknown(connected: Connected, vendor: SandboxControl) -> None:
    """Not failed: an offline device, and one whose activities are never told; the evidence is there for the probe."""
    failure = await failing(connected, run_script, run(OFFLINE, wait_for_result=True, timeout=1))
    assert (failure.reason, failure.effect) == ("OUTCOME_UNKNOWN", Effect.EFFECT_UNKNOWN)
    assert connected.told.evidence["script"] == "Clear temp"
    vendor.patch_state(settings={"activities": False})
    failure = await failing(connected, run_script, run(DESK, wait_for_result=True, timeout=1))
    assert failure.reason == "OUTCOME_UNKNOWN"


async def test_waiting_is_bounded_by_the_execution(connected: Connected) -> None:
    """When less time is left than was asked for, the outcome is told before it is over."""
    failure = await failing(connected, run_script, run(SERVER, ENDLESS, wait_for_result=True), seconds=5.5)
    assert failure.reason == "OUTCOME_UNKNOWN"
    assert "no end" in failure.message


@pytest.mark.parametrize(
    ("end", "reason", "effect", "retryable"),
    [
        ({"result": "UNSUPPORTED"}, "SCRIPT_NOT_RUN", Effect.EFFECT_NONE, False),
        ({"result": "AGENT_OFFLINE"}, "SCRIPT_NOT_RUN", Effect.EFFECT_NONE, True),
        ({"result": "UNCOMPLETED"}, "SCRIPT_NOT_COMPLETED", Effect.EFFECT_APPLIED, False),
        ({"status_code": "CANCELLED"}, "SCRIPT_NOT_COMPLETED", Effect.EFFECT_APPLIED, False),
        ({"status_code": "BLOCKED"}, "SCRIPT_NOT_COMPLETED", Effect.EFFECT_APPLIED, False),
    ],
)
async def test_other_verdicts_are_failures(
    connected: Connected, vendor: SandboxControl, end: dict[str, str], reason: str, effect: int, retryable: bool
) -> None:
    """What did not run had no effect; what did not complete may have had a part of it."""
    vendor.patch_state(settings={"activities": False})
    waiting = asyncio.create_task(failing(connected, run_script, run(wait_for_result=True)))
    while not vendor.effects().count("run_script"):
        await asyncio.sleep(0.01)
    line = {"device": 31, "series": "s", "type": "SCRIPTING", "status_code": "COMPLETED", "source_name": "Clear temp"}
    vendor.patch_state(add_activities=[{**line, **end}])
    failure = await waiting
    assert (failure.reason, failure.effect, failure.retryable) == (reason, effect, retryable)


async def test_an_end_without_a_verdict_is_a_success(connected: Connected, vendor: SandboxControl) -> None:
    """COMPLETED alone: the script ran, and no verdict was told."""
    vendor.patch_state(settings={"activities": False})
    waiting = asyncio.create_task(connected.run(run_script, run(wait_for_result=True)))
    while not vendor.effects().count("run_script"):
        await asyncio.sleep(0.01)
    line = {"device": 31, "series": "s", "type": "SCRIPTING", "source_name": "Clear temp"}
    vendor.patch_state(add_activities=[{**line, "status_code": code} for code in ("STARTED", "COMPLETED")])
    answer = await waiting
    assert (answer.status, answer.HasField("result")) == ("COMPLETED", False)


async def test_a_failure_to_look_is_no_news(connected: Connected, vendor: SandboxControl) -> None:
    """Activities that cannot be read for a while only make the waiting longer."""
    vendor.add_fault("status", path_regex="activities$", skip=1, times=2, status=500, body="oops")
    vendor.add_fault("garbage", path_regex="activities$", skip=1)
    assert (await connected.run(run_script, run(wait_for_result=True))).result == "SUCCESS"


async def test_runs_of_one_script_on_one_device_follow_each_other(connected: Connected, vendor: SandboxControl) -> None:
    """Both end under series of their own; each is ordered once."""
    vendor.patch_state(scripts={"Clear temp": {"seconds": 5.0}})
    requests = [connected.run(run_script, run(wait_for_result=True)) for _ in range(2)]
    answers = await asyncio.gather(*requests)
    assert len({answer.series_uid for answer in answers}) == 2
    assert vendor.effects().count("run_script") == 2


async def test_a_strict_instance_gets_no_other_property(connected: Connected, vendor: SandboxControl) -> None:
    """Its words about an order that it does not accept are passed on; nothing ran."""
    body = {"resultCode": "FAILURE", "errorMessage": 'Unrecognized field "scriptId"'}
    vendor.add_fault("status", path_regex="script/run$", status=400, body=body)
    failure = await failing(connected, run_script, run())
    assert (failure.reason, failure.effect) == ("VENDOR_REJECTED_INPUT", Effect.EFFECT_NONE)
    assert "scriptId" in failure.vendor_message
