"""The module through a real server: signing in, keys, pickers, bad input, lost answers, secrets in no row."""

import asyncio
from typing import Any
from urllib.parse import parse_qs, urlsplit

import grpc
import pytest

from sandbox.client import SandboxControl
from sandbox.ninjaone.tokens import challenge_of
from sandbox.serving import SandboxServer
from server.conformance.canaries import Search
from server.gen.patchbay.v1 import catalog_pb2, connections_pb2, executor_pb2
from server.gen.patchbay.v1.executor_pb2 import EXECUTION_STATE_SUCCEEDED as SUCCEEDED
from server.gen.patchbay.v1.executor_pb2 import EXECUTION_STATE_UNKNOWN as UNKNOWN
from server.gen.patchbay.v1.options_pb2 import EffectClass
from tests.modules.ninjaone.asking import token_requests
from tests.modules.ninjaone.world import (
    CLEANUP,
    DESK,
    DISK_ALERT,
    FLUSH,
    REFRESH_TOKEN,
    SERVER,
    SERVICE_SECRET,
    SPOOLER_ALERT,
    WEB_SECRET,
)
from tests.sandbox.ninja_caller import REDIRECT, VERIFIER, NinjaCaller
from tests.security import places
from tests.support.grpc_errors import fields
from tests.support.served import LOOPBACK, TENANT, Served, struct

pytestmark = pytest.mark.anyio

APP = {"client_id": "web", "client_secret": WEB_SECRET}
BY_USER = {**APP, "refresh_token": REFRESH_TOKEN}
BY_APP = {"client_id": "services", "client_secret": SERVICE_SECRET, "client_credentials": True}
CODE = {"code": "x", "code_verifier": "v" * 43, "redirect_uri": REDIRECT}
RUN = {"device_id": SERVER, "script_id": CLEANUP}


async def connect(served: Served, settings: dict[str, Any]) -> connections_pb2.ConnectResponse:
    """Connects the tenant."""
    request = connections_pb2.ConnectRequest(
        tenant=TENANT, provider="ninjaone", settings=struct(settings), grant=LOOPBACK
    )
    answer: connections_pb2.ConnectResponse = await served.caller("Connections/Connect", request)
    return answer


@pytest.fixture
async def ninja(served: Served, server: SandboxServer, vendor: SandboxControl) -> Served:
    """A server whose tenant is connected for a user."""
    answer = await connect(served, {"instance_url": server.url, **BY_USER})
    assert not answer.HasField("failure"), answer.failure
    return served


async def run(ninja: Served, action: str, input: dict[str, Any], key: str = "") -> executor_pb2.Execution:
    """Executes an action of the module."""
    return await ninja.caller.execute(f"ninjaone.{action}", input, key)


async def output(ninja: Served, action: str, input: dict[str, Any], key: str = "") -> dict[str, Any]:
    """Executes an action that must succeed and returns its output."""
    done = await run(ninja, action, input, key)
    assert done.state == SUCCEEDED, done.failure
    given: dict[str, Any] = dict(done.output.json)
    return given


async def test_an_alert_is_fixed_and_reset(ninja: Served, vendor: SandboxControl) -> None:
    """Alert, device, options, script to its end, reboot, reset: all eight actions with one token."""
    alert = (await output(ninja, "alerts.list_active", {}))["alerts"][1]
    device_id = alert["device_id"]
    assert (await output(ninja, "alerts.get", {"alert_uid": alert["external_alert_id"]}))["alert"]["source"] == "local"
    synced = await output(ninja, "devices.sync", {"device_id": device_id}, "sync")
    (device,) = (await output(ninja, "devices.find", {"asset_id": synced["asset_id"]}))["devices"]
    options = await output(ninja, "devices.scripting_options", {"device_id": device["external_device_id"]})
    order = {
        "device_id": device_id,
        "type": options["scripts"][0]["type"],
        "script_id": options["scripts"][0]["id"],
        "run_as": options["run_as"][0]["value"],
        "wait_for_result": True,
    }
    assert (await output(ninja, "devices.run_script", order, "run"))["result"] == "SUCCESS"
    assert (await output(ninja, "devices.reboot", {"device_id": device_id}, "reboot"))["reboot_requested"]
    assert (await output(ninja, "alerts.reset", {"alert_uid": alert["external_alert_id"]}, "reset"))["acknowledged"]
    assert [one["external_alert_id"] for one in (await output(ninja, "alerts.list_active", {}))["alerts"]] == [
        SPOOLER_ALERT
    ]
    assert vendor.effects().by_kind == {"run_script": 1, "reboot": 1, "reset_alert": 1}
    assert token_requests(vendor) == 1


async def test_one_key_is_one_effect(ninja: Served, vendor: SandboxControl) -> None:
    """A repeat with the same key is answered from the record; another key is another run."""
    first, again, _ = [await output(ninja, "devices.run_script", RUN, key) for key in ("a", "a", "b")]
    assert first == again
    assert vendor.effects().count("run_script") == 2


async def test_r13_a_repeated_sync_does_not_ask_again(ninja: Served, vendor: SandboxControl) -> None:
    """A repeat with the same key is answered from the record: NinjaOne is asked for the device once."""
    first, again = [await output(ninja, "devices.sync", {"device_id": SERVER}, "a") for _ in range(2)]
    assert first == again
    assert [one["path"] for one in vendor.requests() if "/device" in one["path"]] == [
        "/v2/devices",
        f"/v2/device/{SERVER}",
    ]


async def test_effects_are_declared(ninja: Served) -> None:
    """Reads, two IDEMPOTENT writes, two NON_IDEMPOTENT; the catalog says so."""
    groups = (await ninja.caller("Catalog/GetCatalog", catalog_pb2.GetCatalogRequest(tenant=TENANT))).groups
    (tile,) = [group for group in groups if group.group_key == "app:ninjaone"]
    effects = {action.id.removeprefix("ninjaone."): EffectClass.Name(action.effect) for action in tile.actions}
    assert {name: effect for name, effect in effects.items() if effect != "EFFECT_CLASS_READ"} == {
        "devices.sync": "EFFECT_CLASS_IDEMPOTENT",
        "devices.reboot": "EFFECT_CLASS_NON_IDEMPOTENT",
        "devices.run_script": "EFFECT_CLASS_NON_IDEMPOTENT",
        "alerts.reset": "EFFECT_CLASS_IDEMPOTENT",
    }


async def test_a_lost_order_is_settled_by_the_activities(ninja: Served, vendor: SandboxControl) -> None:
    """UNKNOWN first; then the probe finds the run. It was ordered once."""
    vendor.add_fault("reset_after", path_regex="script/run$")
    lost = await run(ninja, "devices.run_script", {**RUN, "wait_for_result": True}, "lost")
    assert lost.state == UNKNOWN
    async with asyncio.timeout(60):
        while (settled := await ninja.caller.execution("lost")).state == UNKNOWN:
            await asyncio.sleep(0.05)
    assert settled.state == SUCCEEDED
    assert dict(settled.output.json)["result"] == "SUCCESS"
    assert vendor.effects().count("run_script") == 1


async def test_a_lost_reset_is_sent_again(ninja: Served, vendor: SandboxControl) -> None:
    """The second one finds nothing, which is what the first one did."""
    vendor.add_fault("reset_after", path_regex="reset$")
    assert (await output(ninja, "alerts.reset", {"alert_uid": DISK_ALERT}, "reset"))["acknowledged"]
    assert vendor.effects().count("reset_alert") == 1


async def test_an_app_is_told_to_sign_a_user_in(served: Served, server: SandboxServer, vendor: SandboxControl) -> None:
    """Reading works; running a script is a declared failure with its remedy, and nothing is sent."""
    assert not (await connect(served, {"instance_url": server.url, **BY_APP})).HasField("failure")
    assert (await output(served, "devices.find", {}))["count"] == 5
    before = len(vendor.requests(1000))
    failure = (await run(served, "devices.run_script", RUN, "run")).failure
    assert (failure.reason, failure.remedy.text) == (
        "USER_SIGN_IN_REQUIRED",
        "Connect NinjaOne again with a user sign-in.",
    )
    assert len(vendor.requests(1000)) == before


async def test_a_person_signs_in_in_the_browser(served: Served, server: SandboxServer, vendor: SandboxControl) -> None:
    """Address from us, code from NinjaOne, connected; scripts run."""
    settings = {"instance_url": server.url, **APP}
    begin = connections_pb2.BeginSignInRequest(
        tenant=TENANT,
        provider="ninjaone",
        settings=struct(settings),
        grant=LOOPBACK,
        redirect_uri=REDIRECT,
        state="s" * 16,
        code_challenge=challenge_of(VERIFIER),
    )
    begun = await served.caller("Connections/BeginSignIn", begin)
    assert begun.authorize_url.startswith(server.url + "/ws/oauth/authorize?"), begun.failure
    answer = NinjaCaller(server).send("GET", begun.authorize_url.removeprefix(server.url))
    returned = parse_qs(urlsplit(answer.headers["location"]).query)
    assert returned["state"] == ["s" * 16]
    code = {"code": returned["code"][0], "code_verifier": VERIFIER, "redirect_uri": REDIRECT}
    connected = await connect(served, {**settings, "sign_in": code})
    assert not connected.HasField("failure"), connected.failure
    assert (await output(served, "devices.run_script", RUN, "run"))["run_requested"]


@pytest.mark.parametrize(
    ("action", "field", "query", "inputs", "labels"),
    [
        ("devices.reboot", "device_id", "FS", {}, ["File server"]),
        ("devices.run_script", "script_id", "", {"device_id": SERVER}, ["Clear temp", "Endless", "Failing check"]),
        ("devices.run_script", "action_uid", "", {"device_id": SERVER}, ["Flush DNS"]),
        ("devices.run_script", "run_as", "svc", {"device_id": SERVER}, ["svc-admin"]),
        ("alerts.reset", "alert_uid", "spooler", {}, ["Spooler has stopped"]),
    ],
)
async def test_pickers_offer_what_there_is(
    ninja: Served, action: str, field: str, query: str, inputs: dict[str, Any], labels: list[str]
) -> None:
    """Devices, scripts, actions, roles and alerts are chosen by name."""
    request = catalog_pb2.ListFieldOptionsRequest(
        tenant=TENANT, action=f"ninjaone.{action}", field=field, query=query, inputs=struct(inputs)
    )
    answer = await ninja.caller("Catalog/ListFieldOptions", request)
    assert [option.label for option in answer.options] == labels, answer


@pytest.mark.parametrize(
    ("action", "input", "field"),
    [
        ("devices.find", {"limit": 0}, "input.limit"),
        ("devices.find", {"limit": 201}, "input.limit"),
        ("devices.find", {"device_id": "x1"}, "input.device_id"),
        ("devices.find", {"device_id": "0"}, "input.device_id"),
        ("devices.find", {"device_id": 31.5}, "input.device_id"),
        ("devices.find", {"asset_id": "31"}, "input.asset_id"),
        ("devices.find", {"query": "x" * 201}, "input.query"),
        ("devices.sync", {"device_id": ""}, "input.device_id"),
        ("devices.sync", {"device_id": "-1"}, "input.device_id"),
        ("devices.reboot", {"device_id": "12345678901"}, "input.device_id"),
        ("devices.reboot", {"device_id": SERVER, "mode": "SOON"}, "input.mode"),
        ("devices.reboot", {"device_id": SERVER, "mode": "normal"}, "input.mode"),
        ("devices.reboot", {"device_id": SERVER, "reason": "x" * 501}, "input.reason"),
        ("devices.reboot", {"device_id": "31/../../alerts"}, "input.device_id"),
        ("devices.scripting_options", {"device_id": "a"}, "input.device_id"),
        ("devices.run_script", {"device_id": SERVER}, "input.runnable"),
        ("devices.run_script", {**RUN, "action_uid": FLUSH}, "input"),
        ("devices.run_script", {**RUN, "type": "OTHER"}, "input.type"),
        ("devices.run_script", {"device_id": SERVER, "script_id": "a"}, "input.script_id"),
        ("devices.run_script", {"device_id": SERVER, "action_uid": "1"}, "input.action_uid"),
        ("devices.run_script", {**RUN, "parameters": "a\nb"}, "input.parameters"),
        ("devices.run_script", {**RUN, "parameters": "x" * 8001}, "input.parameters"),
        ("devices.run_script", {**RUN, "run_as": "x" * 101}, "input.run_as"),
        ("devices.run_script", {**RUN, "timeout": 0}, "input.timeout"),
        ("devices.run_script", {**RUN, "timeout": 3601}, "input.timeout"),
        ("devices.run_script", {**RUN, "wait_for_result": "yes"}, "input.wait_for_result"),
        ("alerts.list_active", {"limit": 500}, "input.limit"),
        ("alerts.list_active", {"device_id": "PC"}, "input.device_id"),
        ("alerts.get", {}, "input.alert"),
        ("alerts.get", {"alert_uid": "7"}, "input.alert_uid"),
        ("alerts.reset", {"external_alert_id": "x"}, "input.external_alert_id"),
        ("alerts.reset", {"alert_uid": DISK_ALERT, "external_alert_id": DISK_ALERT}, "input"),
    ],
)
async def test_bad_input_names_its_field(ninja: Served, action: str, input: dict[str, Any], field: str) -> None:
    """Nothing is sent for it."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await run(ninja, action, input, "key")
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert any(name.startswith(field) for name in fields(caught.value)), fields(caught.value)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({**BY_USER, "region": "mars"}, "settings.region"),
        ({**BY_USER, "region": "EU"}, "settings.region"),
        (BY_USER, "settings.instance"),
        ({**BY_USER, "region": "eu", "instance_url": "https://rmm.example.com"}, "settings"),
        ({**BY_USER, "instance_url": "rmm.example.com"}, "settings.instance_url"),
        ({**BY_USER, "instance_url": "https://user@rmm.example.com"}, "settings.instance_url"),
        ({"region": "eu", **APP}, "settings.auth"),
        ({"region": "eu", **BY_USER, "client_id": ""}, "settings.client_id"),
        ({"region": "eu", **BY_USER, "client_secret": "a b"}, "settings.client_secret"),
        ({"region": "eu", **APP, "refresh_token": "a b"}, "settings.refresh_token"),
        ({"region": "eu", **APP, "client_credentials": False}, "settings.client_credentials"),
        ({"region": "eu", **APP, "sign_in": {**CODE, "code_verifier": "short"}}, "settings.sign_in.code_verifier"),
        ({"region": "eu", **BY_USER, "oauth_path": "/elsewhere"}, "settings.oauth_path"),
    ],
)
async def test_bad_settings_name_their_field(served: Served, settings: dict[str, Any], field: str) -> None:
    """Regions that do not exist, addresses that are none, credentials that are missing or malformed."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await connect(served, settings)
    assert any(name.startswith(field) for name in fields(caught.value)), fields(caught.value)


async def test_plain_http_needs_a_grant(served: Served, server: SandboxServer) -> None:
    """An http address is refused without one."""
    request = connections_pb2.ConnectRequest(
        tenant=TENANT, provider="ninjaone", settings=struct({"instance_url": server.url, **BY_USER})
    )
    answer = await served.caller("Connections/Connect", request)
    assert answer.failure.reason == "EGRESS_REFUSED"


@pytest.mark.parametrize(
    ("change", "reason", "said"),
    [
        ({"client_id": "elsewhere"}, "INTEGRATION_MISCONFIGURED", "region"),
        ({"client_secret": "wrong-secret-1"}, "CREDENTIALS_REFUSED", ""),
        ({"refresh_token": "rt-revoked"}, "CREDENTIALS_EXPIRED", ""),
    ],
)
async def test_what_is_refused_is_not_stored(
    served: Served, server: SandboxServer, vendor: SandboxControl, change: dict[str, str], reason: str, said: str
) -> None:
    """An unknown app, a wrong secret, a revoked refresh token: the failure says what to do, the tenant stays bare."""
    failure = (await connect(served, {"instance_url": server.url, **BY_USER, **change})).failure
    assert failure.reason == reason
    assert said in failure.message
    assert failure.remedy.text
    assert (await run(served, "devices.find", {})).failure.reason == "NOT_CONNECTED"


async def test_secrets_lie_nowhere(ninja: Served, vendor: SandboxControl) -> None:
    """Secret and tokens, after successes and failures that repeat them: in no row and no answer, in any spelling."""
    told = [await run(ninja, "devices.find", {}), await run(ninja, "devices.run_script", RUN, "good")]
    said = {"resultCode": "ODD", "errorMessage": f"not with {REFRESH_TOKEN} and {WEB_SECRET}"}
    vendor.add_fault("status", method="POST", path_regex="reboot", status=422, body=said)
    told.append(await run(ninja, "devices.reboot", {"device_id": DESK}, "said"))
    vendor.add_fault("status", method="POST", path_regex="script/run$", status=200, body=said)
    told.append(await run(ninja, "devices.run_script", {"device_id": DESK, "script_id": CLEANUP}, "answered"))
    told += [await ninja.caller.execution(key) for key in ("good", "said", "answered")]
    where = {**await places.rows(ninja.fresh), "answers": b"\n".join(one.SerializeToString() for one in told)}
    assert Search({"secret": WEB_SECRET, "refresh_token": REFRESH_TOKEN})(where) == []
    assert told[2].failure.reason == "VENDOR_REJECTED_INPUT"
    assert told[3].state == SUCCEEDED
