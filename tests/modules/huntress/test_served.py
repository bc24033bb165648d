"""Huntress through a real server over gRPC: tile, connecting, bad input, a lost answer that settles itself."""

from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import pytest
from google.protobuf.json_format import MessageToDict

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from server.app import running_server
from server.gen.patchbay.v1 import catalog_pb2, connections_pb2, executor_pb2, identity_pb2, options_pb2
from tests.modules.huntress.conftest import asked
from tests.modules.huntress.world import CLOSED, KEYS, OPEN, READY
from tests.support.grpc_errors import refused
from tests.support.postgres import Fresh
from tests.support.served import LOOPBACK, TENANT, Caller, everything, set_up, settings_for, struct

pytestmark = pytest.mark.anyio

FIND, RESOLVE = "huntress.incidents.find", "huntress.incidents.resolve"
SUCCEEDED = executor_pb2.EXECUTION_STATE_SUCCEEDED
UNKNOWN = executor_pb2.EXECUTION_STATE_UNKNOWN

NO_IDS = ("0", "-1", "007", "12a", "1 ", "\uff11\uff12", "1" * 19, "../702")
TILE = {
    "huntress.incidents.find": "Find incident reports",
    "huntress.account.get": "Get account",
    "huntress.agents.get": "Get agent",
    "huntress.incidents.get": "Get incident report",
    "huntress.organizations.list": "List organizations",
    "huntress.incidents.resolve": "Resolve incident report",
}


@pytest.fixture
async def caller(vendor: SandboxControl, server: SandboxServer, fresh: Fresh, tmp_path: Path) -> AsyncIterator[Caller]:
    """A server whose tenant is connected with the key of the user."""
    async with AsyncExitStack() as stack:
        handle = await stack.enter_async_context(running_server(settings_for(fresh, tmp_path), everything))
        calling = Caller(handle.target)
        stack.push_async_callback(calling.close)
        await set_up(calling, "huntress", {"instance_url": server.url, **KEYS["user"]})
        yield calling


def output(execution: executor_pb2.Execution) -> dict[str, Any]:
    """The output of a success."""
    assert execution.state == SUCCEEDED, execution.failure
    return MessageToDict(execution.output.json)


async def group(caller: Caller, tenant: str = TENANT) -> Any:
    """The module's tile."""
    answer = await caller("Catalog/GetCatalog", catalog_pb2.GetCatalogRequest(tenant=tenant))
    return next(one for one in answer.groups if one.group_key == "app:huntress")


async def test_the_tile_is_the_one_that_designers_know(caller: Caller) -> None:
    """Group, label, icon, default action, six actions by label; a tenant without a connection is told so."""
    tile = await group(caller)
    assert (tile.label, tile.icon_token, tile.default_action_id) == ("Huntress", "huntress", FIND)
    assert [(one.id, one.label) for one in tile.actions] == list(TILE.items())
    assert tile.availability.reason == ""
    await caller("Identity/CreateTenant", identity_pb2.CreateTenantRequest(slug="beside"))
    beside = (await group(caller, "beside")).availability
    assert (beside.reason, beside.message) == ("NOT_CONNECTED", "Huntress is not connected for this tenant.")


async def test_resolving_declares_what_it_does_and_how_it_fails(caller: Caller) -> None:
    """It is NON_IDEMPOTENT, with two failures of its own, each with a remedy."""
    request = catalog_pb2.GetActionRequest(tenant=TENANT, action=RESOLVE)
    resolving = (await caller("Catalog/GetAction", request)).action
    assert resolving.summary.effect == options_pb2.EFFECT_CLASS_NON_IDEMPOTENT
    assert [one.reason for one in resolving.failures] == ["USER_KEY_REQUIRED", "INCIDENT_NOT_READY"]
    assert all(one.remedy for one in resolving.failures)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"api_secret": "hs_x"}, "settings.api_key"),
        ({"api_key": "hk_x"}, "settings.api_secret"),
        ({"api_key": "hk x", "api_secret": "hs_x"}, "settings.api_key"),
        ({"api_key": "hk:x", "api_secret": "hs_x"}, "settings.api_key"),
        ({"api_key": "hk_x", "api_secret": " "}, "settings.api_secret"),
        ({"api_key": "hk_x", "api_secret": "hs_x", "instance_url": "a" * 501}, "settings.instance_url"),
        ({"api_key": "hk_x", "api_secret": "hs_x", "region": "eu"}, "settings.region"),
    ],
)
async def test_settings_that_cannot_be_right_name_the_field(
    caller: Caller, settings: dict[str, str], field: str
) -> None:
    """Missing or unreadable credentials and unknown settings are refused before anything is sent."""
    request = connections_pb2.ConnectRequest(
        tenant=TENANT, provider="huntress", settings=struct(settings), grant=LOOPBACK
    )
    with refused("INPUT_INVALID", grpc.StatusCode.INVALID_ARGUMENT, field):
        await caller("Connections/Connect", request)


async def test_credentials_that_huntress_refuses_store_nothing(caller: Caller, server: SandboxServer) -> None:
    """The connection before stays as it was."""
    settings = {"instance_url": server.url, **KEYS["user"], "api_secret": "hs_wrong"}
    request = connections_pb2.ConnectRequest(
        tenant=TENANT, provider="huntress", settings=struct(settings), grant=LOOPBACK
    )
    answer = await caller("Connections/Connect", request)
    assert answer.failure.reason == "CREDENTIALS_REFUSED"
    assert output(await caller.execute(FIND, {}))["count"] == 4


@pytest.mark.parametrize(
    ("action", "field"),
    [
        ("huntress.incidents.get", "incident_id"),
        (RESOLVE, "incident_id"),
        ("huntress.agents.get", "agent_id"),
        (FIND, "agent_id"),
        (FIND, "organization_id"),
    ],
)
async def test_ids_are_digits(caller: Caller, vendor: SandboxControl, action: str, field: str) -> None:
    """What is no positive number in digits is refused by its field's name, nothing is sent; filters may be empty."""
    before = asked(vendor)
    for id in (*NO_IDS, *([] if action == FIND else [""])):
        with refused("INPUT_INVALID", grpc.StatusCode.INVALID_ARGUMENT, f"input.{field}"):
            await caller.execute(action, {field: id}, "k")
    assert asked(vendor) == before
    if action == FIND:
        assert output(await caller.execute(FIND, {field: ""}))["count"] == 4


@pytest.mark.parametrize(
    ("action", "field", "value"),
    [
        (FIND, "severity", "medium"),
        (FIND, "status", "open"),
        (FIND, "platform", "beos"),
        (FIND, "limit", 0),
        (FIND, "limit", 501),
        (FIND, "limit", "many"),
        (FIND, "limit", 1.5),
        (FIND, "incident", "1"),
        ("huntress.organizations.list", "limit", 501),
        ("huntress.organizations.list", "query", "q" * 201),
        ("huntress.account.get", "account_id", "1"),
    ],
)
async def test_input_outside_of_the_contract_names_its_field(
    caller: Caller, vendor: SandboxControl, action: str, field: str, value: Any
) -> None:
    """Words that do not exist, numbers out of range, unknown fields: refused, and nothing is sent."""
    before = len(asked(vendor))
    with refused("INPUT_INVALID", grpc.StatusCode.INVALID_ARGUMENT, f"input.{field}"):
        await caller.execute(action, {field: value})
    assert len(asked(vendor)) == before


async def test_a_report_is_resolved_once_under_its_key(caller: Caller, vendor: SandboxControl) -> None:
    """The second call is answered from the record; another key finds it closed already."""
    first = await caller.execute(RESOLVE, {"incident_id": READY}, "one")
    again = await caller.execute(RESOLVE, {"incident_id": READY}, "one")
    assert output(first) == {
        "resolved": True,
        "incident_id": READY,
        "status": "closed",
        "already_resolved": False,
    }
    assert (again.replayed, output(again)) == (True, output(first))
    other = await caller.execute(RESOLVE, {"incident_id": READY}, "two")
    assert output(other)["already_resolved"] is True
    assert vendor.effects().count("resolve") == 1


async def test_a_declared_failure_carries_its_remedy(caller: Caller, vendor: SandboxControl) -> None:
    """What a person can do comes from the contract, and nothing happened."""
    failure = (await caller.execute(RESOLVE, {"incident_id": OPEN}, "k")).failure
    assert (failure.reason, failure.retryable) == ("INCIDENT_NOT_READY", False)
    assert failure.remedy.text.startswith("Approve or reject")
    assert vendor.effects().total == 0


async def test_a_lost_answer_settles_itself(caller: Caller, vendor: SandboxControl, fresh: Fresh) -> None:
    """UNKNOWN first; then the probe reads the report, spending the budget, and proves the success."""
    before = len(asked(vendor))
    vendor.add_fault("reset_after", method="POST")
    lost = await caller.execute(RESOLVE, {"incident_id": READY}, "k")
    assert lost.state == UNKNOWN
    settled = lost
    while settled.state == UNKNOWN:
        settled = await caller.execution("k", wait=5)
    assert output(settled) == {"resolved": True, "incident_id": READY, "status": "closed"}
    assert vendor.effects().count("resolve") == 1
    made = len(asked(vendor)) - before
    owner = await asyncpg.connect(fresh.dsn)
    assert made == await owner.fetchval("SELECT given FROM vendor_budgets") == 2
    await owner.close()


async def test_reports_to_resolve_are_offered(caller: Caller) -> None:
    """The picker offers open reports only, by subject."""
    request = catalog_pb2.ListFieldOptionsRequest(tenant=TENANT, action=RESOLVE, field="incident_id")
    answer = await caller("Catalog/ListFieldOptions", request)
    offered = {one.value.string_value: one.label for one in answer.options}
    assert set(offered) == {READY, OPEN}
    assert offered[READY] == "HIGH - Incident on till-01 (Quayside Bakery)"
    assert CLOSED not in offered


async def test_no_log_line_holds_the_credentials(
    caller: Caller, vendor: SandboxControl, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not key, secret or the Basic header, while calls succeed, fail, and the vendor repeats what it was sent."""
    pair = KEYS["user"]
    header = b64encode(f"{pair['api_key']}:{pair['api_secret']}".encode()).decode()
    vendor.add_fault("status", status=500, body={"error": f"Basic {header} of {pair['api_key']} failed"})
    failed = await caller.execute(FIND, {})
    assert failed.failure.vendor_message.startswith("Basic ***")
    vendor.add_fault("reset_after", method="POST")
    lost = await caller.execute(RESOLVE, {"incident_id": READY}, "k")
    while lost.state == UNKNOWN:
        lost = await caller.execution("k", wait=5)
    logged = capsys.readouterr()
    assert "probe settled" in logged.out
    assert not any(secret in logged.out + logged.err for secret in (*pair.values(), header))
