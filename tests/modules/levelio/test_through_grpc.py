"""The module through a real server: defaults, keys, pickers, bad input, budget, and tokens in no row."""

from typing import Any

import asyncpg
import grpc
import pytest

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from server.conformance.canaries import Search
from server.gen.patchbay.v1 import catalog_pb2, connections_pb2, executor_pb2
from server.gen.patchbay.v1.executor_pb2 import EXECUTION_STATE_SUCCEEDED as SUCCEEDED
from server.gen.patchbay.v1.options_pb2 import EffectClass
from tests.modules.levelio.world import API_KEY, APP, CLEANUP, DISK_ALERT, SCHEDULED, SPOOLER, TOKENS
from tests.security import places
from tests.support.grpc_errors import fields
from tests.support.served import LOOPBACK, TENANT, Served, struct

pytestmark = pytest.mark.anyio

ALL = {"all_devices": True}


async def connect(served: Served, settings: dict[str, Any]) -> connections_pb2.ConnectResponse:
    """Connects the tenant."""
    request = connections_pb2.ConnectRequest(
        tenant=TENANT, provider="levelio", settings=struct(settings), grant=LOOPBACK
    )
    answer: connections_pb2.ConnectResponse = await served.caller("Connections/Connect", request)
    return answer


@pytest.fixture
async def level(served: Served, server: SandboxServer, vendor: SandboxControl) -> Served:
    """A server whose tenant is connected to the simulated account."""
    assert not (await connect(served, {"instance_url": server.url, "api_key": API_KEY})).HasField("failure")
    return served


async def run(level: Served, action: str, input: dict[str, Any], key: str = "") -> executor_pb2.Execution:
    """Executes an action of the module."""
    return await level.caller.execute(f"levelio.{action}", input, key)


async def output(level: Served, action: str, input: dict[str, Any], key: str = "") -> dict[str, Any]:
    """Executes an action that must succeed and returns its output."""
    done = await run(level, action, input, key)
    assert done.state == SUCCEEDED, done.failure
    given: dict[str, Any] = dict(done.output.json)
    return given


async def test_an_alert_is_fixed_and_resolved(level: Served, vendor: SandboxControl) -> None:
    """Alert, device, updates, automation, run to its end, resolve: all eight actions, and each request is budgeted."""
    alert = (await output(level, "alerts.list_active", {"limit": 1}))["alerts"][0]
    found = await output(level, "devices.find", {"device_id": alert["device_id"]})
    assert (await output(level, "devices.get", {"device_id": APP}))["device"]["asset_id"] == found["devices"][0][
        "asset_id"
    ]
    assert (await output(level, "updates.list", {"device_id": APP}))["count"] == 2
    (automation,) = (await output(level, "automations.list", {"query": "disk"}))["automations"]
    order = {"automation_id": automation["automation_id"], "device_ids": [APP]}
    (run_id,) = [one["run_id"] for one in (await output(level, "automations.trigger", order, "fix"))["runs"]]
    watch = {"run_id": run_id, "include_steps": True, "wait_seconds": 0}
    assert (await output(level, "automations.run_status", watch))["run"]["status"] == "queued"
    resolved = await output(level, "alerts.resolve", {"alert_id": alert["alert_id"]}, "resolve")
    assert (resolved["resolved"], resolved["alert_id"]) == (True, DISK_ALERT)
    owner = await asyncpg.connect(level.fresh.dsn)
    given = await owner.fetchval("SELECT given FROM vendor_budgets WHERE budget LIKE '%levelio%'")
    await owner.close()
    assert given == len(vendor.requests(1000)) - 1  # the test of the connection is nobody's execution


async def test_one_key_starts_an_automation_once(level: Served, vendor: SandboxControl) -> None:
    """A repeat with the same key is answered from the record; another key is another start."""
    order = {"automation_id": CLEANUP, "device_ids": [APP], "parameters": {"threshold_gb": "20"}}
    first, again, other = [await output(level, "automations.trigger", order, key) for key in ("a", "a", "b")]
    assert first["runs"] == again["runs"] != other["runs"]
    assert vendor.effects().count("trigger") == 2


async def test_effects_and_budget_are_declared(level: Served) -> None:
    """Reads, one IDEMPOTENT write, one NON_IDEMPOTENT; the catalog says so."""
    groups = (await level.caller("Catalog/GetCatalog", catalog_pb2.GetCatalogRequest(tenant=TENANT))).groups
    (tile,) = [group for group in groups if group.group_key == "app:levelio"]
    effects = {action.id.removeprefix("levelio."): EffectClass.Name(action.effect) for action in tile.actions}
    writes = {name: effect for name, effect in effects.items() if effect != "EFFECT_CLASS_READ"}
    assert len(effects) == 8
    assert writes == {
        "alerts.resolve": "EFFECT_CLASS_IDEMPOTENT",
        "automations.trigger": "EFFECT_CLASS_NON_IDEMPOTENT",
    }


@pytest.mark.parametrize(
    ("action", "field", "query", "label"),
    [
        ("devices.get", "device_id", "app", "app-01"),
        ("alerts.list_active", "device_id", "app", "app-01"),
        ("alerts.resolve", "alert_id", "disk", "Low disk space"),
        ("automations.trigger", "automation_id", "DISK", "free up disk space"),
        ("automations.trigger", "device_ids", "app", "app-01"),
    ],
)
async def test_pickers_offer_what_there_is(level: Served, action: str, field: str, query: str, label: str) -> None:
    """Devices, alerts and automations are chosen by name."""
    request = catalog_pb2.ListFieldOptionsRequest(tenant=TENANT, action=f"levelio.{action}", field=field, query=query)
    answer = await level.caller("Catalog/ListFieldOptions", request)
    assert [option.label for option in answer.options] == [label], answer.failure


@pytest.mark.parametrize(
    ("action", "input", "field"),
    [
        ("devices.find", {"limit": 0}, "input.limit"),
        ("devices.find", {"limit": 201}, "input.limit"),
        ("devices.find", {"asset_id": "7"}, "input.asset_id"),
        ("devices.find", {"group_id": "a b"}, "input.group_id"),
        ("devices.find", {"query": "x" * 201}, "input.query"),
        ("devices.get", {"device_id": ""}, "input.device_id"),
        ("devices.get", {"device_id": "ümlaut"}, "input.device_id"),
        ("devices.get", {"device": APP}, "input.device"),
        ("alerts.list_active", {"limit": 500}, "input.limit"),
        ("alerts.list_active", {"live": "yes"}, "input.live"),
        ("alerts.resolve", {"alert_id": "x" * 256}, "input.alert_id"),
        ("updates.list", {"status": "pending"}, "input.status"),
        ("updates.list", {"limit": 501}, "input.limit"),
        ("automations.list", {"limit": -1}, "input.limit"),
        ("automations.trigger", {}, "input.target"),
        ("automations.trigger", {"automation_id": CLEANUP, "webhook_token": "abcdefgh"}, "input"),
        ("automations.trigger", {"webhook_token": "https://api.level.io/v2/x"}, "input.webhook_token"),
        ("automations.trigger", {"automation_id": CLEANUP, "device_ids": [APP, APP]}, "input.device_ids"),
        ("automations.trigger", {"automation_id": CLEANUP, "device_ids": ["a b"]}, "input.device_ids[0]"),
        ("automations.trigger", {"automation_id": CLEANUP, "parameters": {"device_ids": "x"}}, "input.parameters"),
        ("automations.trigger", {"automation_id": CLEANUP, "parameters": {"a": 1}}, "input.parameters"),
        ("automations.run_status", {"run_id": ""}, "input.run_id"),
        ("automations.run_status", {"run_id": "r", "wait_seconds": 3601}, "input.wait_seconds"),
    ],
)
async def test_bad_input_names_its_field(level: Served, action: str, input: dict[str, Any], field: str) -> None:
    """Nothing is sent for it."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await run(level, action, input, "key")
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert any(name.startswith(field) for name in fields(caught.value)), fields(caught.value)


@pytest.mark.parametrize("more", [{}, {"device_ids": []}, {"device_ids": [APP], **ALL}])
async def test_an_order_says_which_devices(level: Served, vendor: SandboxControl, more: dict[str, Any]) -> None:
    """An empty list is no word for every device: it is refused with both fields named, and nothing is sent."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await run(level, "automations.trigger", {"automation_id": CLEANUP, **more}, "key")
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    told = caught.value.details()
    assert ("device_ids" in told, "all_devices" in told) == (True, True)
    assert vendor.effects().total == 0


async def test_every_device_is_ordered_by_saying_so(level: Served, vendor: SandboxControl) -> None:
    """Then no list is sent and the trigger's conditions choose."""
    order = {"automation_id": SPOOLER, "webhook_name": "Servers", **ALL}
    assert len((await output(level, "automations.trigger", order, "key"))["runs"]) == 2
    assert vendor.effects().count("trigger") == 1


@pytest.mark.parametrize("key", ["", "a b", "lk-ü"])
async def test_a_key_that_headers_cannot_carry_names_its_field(served: Served, key: str) -> None:
    """Nothing is asked with it."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await connect(served, {"api_key": key})
    assert set(fields(caught.value)) == {"settings.api_key"}


@pytest.mark.parametrize("url", ["ftp://level.io", "https://a?b", "https://user:word@a", "https://a b"])
async def test_an_address_that_is_none_names_its_field(served: Served, url: str) -> None:
    """The connection is not stored."""
    failure = (await connect(served, {"api_key": API_KEY, "instance_url": url})).failure
    assert (failure.reason, failure.field) == ("INTEGRATION_MISCONFIGURED", "settings.instance_url")


async def test_a_wrong_key_is_not_stored(served: Served, server: SandboxServer, vendor: SandboxControl) -> None:
    """The connection is tested first; the failure says what Level said."""
    answer = await connect(served, {"instance_url": server.url, "api_key": "lk-nobody"})
    assert (answer.failure.reason, answer.failure.vendor_status) == ("CREDENTIALS_REFUSED", 401)
    done = await run(served, "devices.find", {})
    assert done.failure.reason == "NOT_CONNECTED"


async def test_what_is_missing_is_said_with_its_remedy(level: Served) -> None:
    """A trigger to configure, a name to give: declared failures with remedies."""
    missing = (await run(level, "automations.trigger", {"automation_id": SCHEDULED, **ALL}, "a")).failure
    ambiguous = (await run(level, "automations.trigger", {"automation_id": SPOOLER, **ALL}, "b")).failure
    assert (missing.reason, ambiguous.reason) == ("WEBHOOK_TRIGGER_MISSING", "WEBHOOK_TRIGGER_AMBIGUOUS")
    assert "webhook trigger" in missing.remedy.text
    assert "webhook_name" in ambiguous.remedy.text


async def test_tokens_lie_nowhere(level: Served, vendor: SandboxControl) -> None:
    """Raw or looked up, after successes and failures that repeat them: in no row and no answer, in any spelling."""
    token = TOKENS["cleanup"]
    told = [
        await run(level, "automations.list", {}),
        await run(level, "automations.trigger", {"webhook_token": token, "device_ids": [APP]}, "raw"),
        await run(level, "automations.trigger", {"automation_id": CLEANUP, "device_ids": [APP]}, "looked-up"),
    ]
    for number, target in enumerate(({"webhook_token": token, **ALL}, {"automation_id": CLEANUP, **ALL})):
        said = {"error": f"cannot start {token}"}
        vendor.add_fault("status", method="POST", status=422, body=said)
        told.append(await run(level, "automations.trigger", target, f"said-{number}"))
        vendor.add_fault("reset_after", method="POST")
        told.append(await run(level, "automations.trigger", target, f"lost-{number}"))
    told += [await level.caller.execution(key) for key in ("raw", "looked-up", "said-0", "said-1", "lost-0", "lost-1")]
    where = {**await places.rows(level.fresh), "answers": b"\n".join(one.SerializeToString() for one in told)}
    assert Search({"key": API_KEY, **TOKENS})(where) == []
    assert b"webhook_token" in where["table public.workflow_action_invocations"]
    assert [one.failure.reason for one in told[3:7]] == ["VENDOR_REJECTED_INPUT", "OUTCOME_UNKNOWN"] * 2
