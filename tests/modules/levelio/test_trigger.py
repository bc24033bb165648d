"""Listing automations and starting them: which trigger, which key, which devices, what is told."""

import pytest

from sandbox.client import SandboxControl
from server.gen.patchbay.modules.levelio.v1.levelio_pb2 import ListAutomationsRequest, TriggerAutomationRequest
from server.modules.levelio.actions import list_automations, trigger_automation
from server.sdk import Effect
from tests.modules.harness import Connect, Connected
from tests.modules.levelio.asking import asked, body, failing
from tests.modules.levelio.world import (
    APP,
    CLEANUP,
    DESK,
    LAPTOP,
    ONBOARD,
    READ_ONLY_KEY,
    SCHEDULED,
    SPOOLER,
    TOKENS,
    WEB,
)

pytestmark = pytest.mark.anyio


def order(automation: str = CLEANUP, *devices: str, **more: object) -> TriggerAutomationRequest:
    """Returns a request to start an automation."""
    return TriggerAutomationRequest(automation_id=automation, device_ids=devices, **more)


async def test_automations_are_joined_with_all_their_triggers(connected: Connected) -> None:
    """By name in any case; several triggers of one automation are a list; nothing tells a token."""
    answer = await connected.run(list_automations, ListAutomationsRequest())
    shown = {one.automation_id: [webhook.name for webhook in one.webhooks] for one in answer.automations}
    assert list(shown.items()) == [
        (CLEANUP, ["Called by the PSA"]),
        (ONBOARD, [""]),
        (SPOOLER, ["Desks", "Servers"]),
        (SCHEDULED, []),
    ]
    (webhook,) = answer.automations[0].webhooks
    assert (list(webhook.parameters), webhook.requires_authorization_header) == (["device_ids", "threshold_gb"], True)
    assert (answer.automations[0].description, answer.automations[0].group_name) == (
        "Clears temp folders.",
        "Northwind",
    )
    assert not any(token in str(answer) for token in TOKENS.values())


@pytest.mark.parametrize(("query", "limit", "found"), [("DISK", 50, 1), ("e", 2, 2), ("nothing", 50, 0)])
async def test_automations_are_filtered_then_cut(connected: Connected, query: str, limit: int, found: int) -> None:
    """The text is looked for in names, in any case."""
    answer = await connected.run(list_automations, ListAutomationsRequest(query=query, limit=limit))
    assert len(answer.automations) == answer.count == found


@pytest.mark.parametrize("shape", ["page", "list"])
async def test_an_automation_is_started_by_its_id(connected: Connected, vendor: SandboxControl, shape: str) -> None:
    """The trigger is looked up in either shape of the list; its runs come typed, one a device."""
    vendor.patch_state(settings={"webhooks_answer": shape})
    answer = await connected.run(trigger_automation, order(CLEANUP, APP, LAPTOP, parameters={"threshold_gb": "20"}))
    assert (answer.triggered, answer.runs_told) == (True, True)
    started = vendor.state()["runs"]
    assert [(run.run_id, run.device_id) for run in answer.runs] == [(run["id"], run["device_id"]) for run in started]
    assert {run.device_id for run in answer.runs} == {APP, LAPTOP}
    assert body(vendor) == {"threshold_gb": "20", "device_ids": [APP, LAPTOP]}
    (effect,) = vendor.effects(kind="trigger").items
    assert effect["detail"]["parameters"] == {"threshold_gb": "20"}
    assert len(connected.told.marks) == 1


@pytest.mark.parametrize("said", [None, "null", {}, {"runs": None}])
async def test_an_answer_without_runs_is_a_success(connected: Connected, vendor: SandboxControl, said: object) -> None:
    """Level may answer nothing; then the runs are not known, which is told."""
    if said is None:
        vendor.patch_state(settings={"trigger_answer": "empty"})
    else:
        vendor.add_fault("status", method="POST", status=200, body=said, after=True)
    answer = await connected.run(trigger_automation, order(CLEANUP, APP))
    assert (answer.triggered, answer.runs_told, list(answer.runs)) == (True, False, [])
    assert vendor.effects().count("trigger") == 1


async def test_no_fitting_device_is_no_run(connected: Connected) -> None:
    """A trigger's conditions hold for named devices too; an empty list of runs is told as one."""
    answer = await connected.run(trigger_automation, order(SPOOLER, DESK, webhook_name="Servers"))
    assert (answer.triggered, answer.runs_told, list(answer.runs)) == (True, True, [])


async def test_without_devices_the_trigger_chooses(connected: Connected, vendor: SandboxControl) -> None:
    """No list is sent, so the conditions choose."""
    answer = await connected.run(trigger_automation, order(SPOOLER, webhook_name="Servers"))
    assert {run.device_id for run in answer.runs} == {APP, WEB}
    assert body(vendor) == {}


async def test_several_triggers_need_a_name(connected: Connected, vendor: SandboxControl) -> None:
    """Without a name, or with one that fits none, the failure lists the names and nothing is started."""
    for name in ("", "servers"):
        failure = await failing(connected, trigger_automation, order(SPOOLER, APP, webhook_name=name))
        assert (failure.reason, failure.effect) == ("WEBHOOK_TRIGGER_AMBIGUOUS", Effect.EFFECT_NONE)
        assert ("`Servers`" in failure.message, "`Desks`" in failure.message) == (True, True)
        assert failure.field == "webhook_name"
    assert vendor.effects().total == 0


async def test_names_that_are_equal_stay_ambiguous(connected: Connected, vendor: SandboxControl) -> None:
    """Two triggers of one name cannot be told apart by it."""
    vendor.patch_state(triggers={"spooler-desks": {"name": "Servers"}})
    failure = await failing(connected, trigger_automation, order(SPOOLER, webhook_name="Servers"))
    assert failure.reason == "WEBHOOK_TRIGGER_AMBIGUOUS"


@pytest.mark.parametrize("automation", [SCHEDULED, "nobody"])
async def test_an_automation_without_trigger_says_what_to_configure(
    connected: Connected, vendor: SandboxControl, automation: str
) -> None:
    """A webhook trigger must be configured in Level; nothing is sent to it."""
    failure = await failing(connected, trigger_automation, order(automation))
    assert (failure.reason, failure.effect) == ("WEBHOOK_TRIGGER_MISSING", Effect.EFFECT_NONE)
    assert "must be configured in Level" in failure.message
    assert asked(vendor) == ["GET /v2/automations/webhooks?limit=100"]


async def test_a_token_is_taken_as_it_is(connected: Connected, vendor: SandboxControl) -> None:
    """Nothing is looked up; whether the trigger wants a key is not known, so the key goes along."""
    request = TriggerAutomationRequest(webhook_token=TOKENS["cleanup"], device_ids=[APP])
    answer = await connected.run(trigger_automation, request)
    assert [run.device_id for run in answer.runs] == [APP]
    assert len(asked(vendor)) == 1


async def test_a_token_that_is_gone_says_what_to_configure(connected: Connected, vendor: SandboxControl) -> None:
    """The 404 of a deleted trigger has the same reason as a missing one, and no effect."""
    vendor.patch_state(remove_triggers=["onboard"])
    failure = await failing(connected, trigger_automation, TriggerAutomationRequest(webhook_token=TOKENS["onboard"]))
    assert (failure.reason, failure.vendor_status) == ("WEBHOOK_TRIGGER_MISSING", 404)
    assert (failure.effect, "must be configured in Level" in failure.message) == (Effect.EFFECT_NONE, True)


async def test_a_protected_trigger_refuses_a_read_only_key(connect: Connect, vendor: SandboxControl) -> None:
    """403 with the remedy; an open trigger starts with the same connection."""
    reader = connect(READ_ONLY_KEY)
    failure = await failing(reader, trigger_automation, order(CLEANUP, APP))
    assert (failure.reason, failure.vendor_status) == ("VENDOR_PERMISSION_DENIED", 403)
    assert (failure.effect, "read and write" in failure.remedy.text) == (Effect.EFFECT_NONE, True)
    answer = await reader.run(trigger_automation, order(ONBOARD, APP))
    assert (answer.triggered, vendor.effects().count("trigger")) == (True, 1)


async def test_a_protected_trigger_refuses_an_unknown_key(connect: Connect, vendor: SandboxControl) -> None:
    """401 is about the credentials."""
    request = TriggerAutomationRequest(webhook_token=TOKENS["cleanup"])
    failure = await failing(connect("lk-nobody"), trigger_automation, request)
    assert (failure.reason, failure.vendor_status) == ("CREDENTIALS_REFUSED", 401)
    assert vendor.effects().total == 0


async def test_parameters_that_the_trigger_does_not_map_are_warned_of(connected: Connected) -> None:
    """Level ignores them without a word; the automation starts all the same."""
    answer = await connected.run(trigger_automation, order(CLEANUP, APP, parameters={"tresholt": "20"}))
    assert answer.triggered
    ((reason, message),) = connected.told.warnings
    assert (reason, "tresholt" in message, "device_ids" in message) == ("PARAMETERS_NOT_MAPPED", True, False)


async def test_more_triggers_than_level_lists_are_told_of(connected: Connected, vendor: SandboxControl) -> None:
    """Triggers have no id to walk on by: the list warns, a missing trigger says that not all were told."""
    more = [{"id": f"t{n}", "name": f"t{n}", "automation_id": SPOOLER} for n in range(120)]
    vendor.patch_state(add_triggers=more)
    await connected.run(list_automations, ListAutomationsRequest())
    assert [reason for reason, _ in connected.told.warnings] == ["WEBHOOK_TRIGGERS_INCOMPLETE"]
    failure = await failing(connected, trigger_automation, order(CLEANUP))
    assert (failure.reason, "not all" in failure.message) == ("WEBHOOK_TRIGGER_MISSING", True)


@pytest.mark.parametrize("fault", ["reset_after", "garbage", "truncate", "html"])
async def test_a_lost_answer_is_an_unknown_outcome_and_never_repeated(
    connected: Connected, vendor: SandboxControl, fault: str
) -> None:
    """The order went out once; whoever asks again with a new key starts it again."""
    if fault == "html":
        vendor.add_fault("status", method="POST", status=200, body="<html>proxy</html>", after=True)
    else:
        vendor.add_fault(fault, method="POST")
    failure = await failing(connected, trigger_automation, order(CLEANUP, APP))
    assert (failure.reason, failure.effect) == ("OUTCOME_UNKNOWN", Effect.EFFECT_UNKNOWN)
    assert vendor.effects().count("trigger") == 1


async def test_starting_twice_starts_twice(connected: Connected, vendor: SandboxControl) -> None:
    """Level has no key of ours, so the action is declared NON_IDEMPOTENT."""
    for _ in range(2):
        await connected.run(trigger_automation, order(CLEANUP, APP))
    assert vendor.effects().by_kind == {"trigger": 2, "run": 2}


async def test_throttled_orders_are_left_to_the_engine(connected: Connected, vendor: SandboxControl) -> None:
    """429 means not processed: no effect, retryable, with the vendor's own wait, and one request."""
    vendor.add_fault("status", method="POST", status=429, headers={"retry-after": "7"}, times=0)
    failure = await failing(connected, trigger_automation, order(CLEANUP, APP))
    assert (failure.reason, failure.effect, failure.retryable) == ("RATE_LIMITED", Effect.EFFECT_NONE, True)
    assert failure.retry_after.ToSeconds() == 7
    assert [request.split()[0] for request in asked(vendor)] == ["GET", "POST"]
