"""The module through a real server: connecting, keys, lost answers, bad input, pickers, no secret in any row."""

from typing import Any

import grpc
import pytest

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from sandbox.teams import demo_connection
from server.gen.patchbay.v1 import catalog_pb2, connections_pb2, executor_pb2
from server.gen.patchbay.v1.executor_pb2 import EXECUTION_STATE_SUCCEEDED as SUCCEEDED
from server.gen.patchbay.v1.executor_pb2 import EXECUTION_STATE_UNKNOWN as UNKNOWN
from server.gen.patchbay.v1.options_pb2 import EffectClass
from tests.modules.teams.asking import asked, messages
from tests.modules.teams.world import ALERTS, DANA, DESK
from tests.support.grpc_errors import fields
from tests.support.served import LOOPBACK, TENANT, Served, struct

pytestmark = pytest.mark.anyio

POST = {"channel_id": ALERTS, "message": "P1: FS-01 disk full"}
DM = {"microsoft_user_id": DANA, "message": "Ticket 4217 escalated"}
NOTICE = {"microsoft_user_id": DANA, "title": "Disk full"}


async def connect(served: Served, settings: dict[str, Any], *, granted: bool = True) -> connections_pb2.ConnectResponse:
    """Connects the tenant."""
    request = connections_pb2.ConnectRequest(
        tenant=TENANT, provider="teams", settings=struct(settings), grant=LOOPBACK if granted else None
    )
    answer: connections_pb2.ConnectResponse = await served.caller("Connections/Connect", request)
    return answer


@pytest.fixture
def settings(server: SandboxServer, vendor: SandboxControl) -> dict[str, Any]:
    """Settings that connect."""
    return demo_connection(server.url, vendor.credentials())


@pytest.fixture
async def teams(served: Served, settings: dict[str, Any]) -> Served:
    """A server whose tenant is connected."""
    answer = await connect(served, settings)
    assert not answer.HasField("failure"), answer.failure
    return served


async def run(teams: Served, action: str, input: dict[str, Any], key: str = "") -> executor_pb2.Execution:
    """Executes an action of the module."""
    return await teams.caller.execute(f"teams.{action}", input, key)


async def test_a_user_is_linked_notified_and_written_to(teams: Served, vendor: SandboxControl) -> None:
    """Every write succeeds, a post is answered in its thread; two tokens are enough for all."""
    steps: list[tuple[str, dict[str, Any]]] = [
        ("users.link", {"user_id": "u-17", "microsoft_user": "dana@harbor.example.com"}),
        ("notify_user", {"user_id": "u-17", "title": "Disk full"}),
        ("send_dm", {"user_id": "u-17", "message": "Ticket 4217 escalated"}),
        ("post_to_channel", POST),
    ]
    for number, (action, given) in enumerate(steps):
        done = await run(teams, action, given, f"step {number}")
        assert done.state == SUCCEEDED, done.failure
    thread = done.output.json["thread_id"]
    again = await run(teams, "post_to_channel", {**POST, "thread_id": thread}, "answer")
    assert again.output.json["thread_id"] == thread
    assert vendor.effects().by_kind == {"notify": 1, "send_message": 3}
    assert len(asked(vendor, "login")) == 2


async def test_one_key_is_one_message(teams: Served, vendor: SandboxControl) -> None:
    """A repeat with the same key is answered from the record; another key is another message."""
    first, again, _ = [await run(teams, "send_dm", DM, key) for key in ("a", "a", "b")]
    assert (first.output, again.replayed) == (again.output, True)
    assert len(messages(vendor)) == 2


async def test_a_lost_answer_is_unknown(teams: Served, vendor: SandboxControl) -> None:
    """The message is there and nobody was told: UNKNOWN, and not sent again."""
    vendor.add_fault("reset_after", method="POST", path_regex="activities$")
    done = await run(teams, "send_dm", DM, "lost")
    assert (done.state, done.failure.reason) == (UNKNOWN, "OUTCOME_UNKNOWN")
    assert (await run(teams, "send_dm", DM, "lost")).state == UNKNOWN
    assert len(messages(vendor)) == 1


async def test_a_notice_is_repeated_without_a_second_one(teams: Served, vendor: SandboxControl) -> None:
    """The chain of the key takes a repeat in: one notice, sent twice."""
    vendor.add_fault("reset_after", method="POST", path_regex="sendActivityNotification$", times=1)
    done = await run(teams, "notify_user", NOTICE, "again")
    assert done.state == SUCCEEDED, done.failure
    (notice,) = vendor.state()["notifications"]
    assert notice["times"] == 2


async def test_effects_are_declared(teams: Served) -> None:
    """Notices are keyed by the vendor, messages are never repeated, links may be."""
    groups = (await teams.caller("Catalog/GetCatalog", catalog_pb2.GetCatalogRequest(tenant=TENANT))).groups
    (tile,) = [group for group in groups if group.group_key == "app:teams"]
    effects = {action.id.removeprefix("teams."): EffectClass.Name(action.effect) for action in tile.actions}
    assert {name: effect for name, effect in effects.items() if effect != "EFFECT_CLASS_READ"} == {
        "notify_user": "EFFECT_CLASS_VENDOR_KEYED",
        "send_dm": "EFFECT_CLASS_NON_IDEMPOTENT",
        "post_to_channel": "EFFECT_CLASS_NON_IDEMPOTENT",
        "users.link": "EFFECT_CLASS_IDEMPOTENT",
    }


@pytest.mark.parametrize(
    ("action", "given", "field"),
    [
        ("send_dm", {"message": "x"}, "recipient"),
        ("send_dm", {"microsoft_user_id": "dana", "message": "x"}, "microsoft_user_id"),
        ("send_dm", {"email": "dana", "message": "x"}, "email"),
        ("send_dm", {**DM, "message": ""}, "message"),
        ("send_dm", {**DM, "message": "x" * 20_001}, "message"),
        ("send_dm", {**DM, "importance": "urgent"}, "importance"),
        ("post_to_channel", {**POST, "channel_id": "general"}, "channel_id"),
        ("post_to_channel", {**POST, "channel_id": f"{ALERTS};messageid=1"}, "channel_id"),
        ("post_to_channel", {**POST, "thread_id": "0"}, "thread_id"),
        ("post_to_channel", {**POST, "mentions": ["Dana"]}, "mentions[0]"),
        ("notify_user", {**NOTICE, "link": "javascript:alert(1)"}, "link"),
        ("notify_user", {**NOTICE, "category": "gossip"}, "category"),
        ("users.link", {"user_id": "u 17", "microsoft_user": DANA}, "user_id"),
        ("users.link", {"user_id": "u-17", "microsoft_user": "Dana"}, "microsoft_user"),
        ("users.list", {"limit": 201}, "limit"),
    ],
)
async def test_bad_input_is_named(
    teams: Served, vendor: SandboxControl, action: str, given: dict[str, Any], field: str
) -> None:
    """The call is refused with the field at fault; nothing is asked of Microsoft."""
    before = len(vendor.requests(1000))
    with pytest.raises(grpc.RpcError) as caught:
        await run(teams, action, given, "bad")
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert any(field in one for one in fields(caught.value))
    assert len(vendor.requests(1000)) == before


@pytest.mark.parametrize(
    ("action", "field", "inputs", "labels"),
    [
        ("send_dm", "microsoft_user_id", {}, ["Dana Tech", "Lee Night", "Sam Quiet"]),
        ("post_to_channel", "team_id", {}, ["Service Desk"]),
        ("post_to_channel", "channel_id", {"team_id": DESK}, ["Alerts", "General"]),
        ("post_to_channel", "mentions", {"team_id": DESK}, ["Dana Tech", "Lee Night", "Sam Quiet"]),
    ],
)
async def test_pickers_offer_people_teams_and_channels(
    teams: Served, action: str, field: str, inputs: dict[str, Any], labels: list[str]
) -> None:
    """By name, from the team of the connection or the one that was chosen."""
    request = catalog_pb2.ListFieldOptionsRequest(
        tenant=TENANT, action=f"teams.{action}", version=1, field=field, inputs=struct(inputs)
    )
    answer = await teams.caller("Catalog/ListFieldOptions", request)
    assert [one.label for one in answer.options] == labels


async def test_a_simulator_needs_a_grant(served: Served, settings: dict[str, Any], vendor: SandboxControl) -> None:
    """Without one the addresses are refused, and no credentials leave."""
    answer = await connect(served, settings, granted=False)
    assert answer.failure.reason == "EGRESS_REFUSED"
    assert vendor.requests(1000) == []


async def test_a_refused_secret_connects_nothing(served: Served, settings: dict[str, Any]) -> None:
    """CREDENTIALS_REFUSED; the tile stays unavailable."""
    answer = await connect(served, {**settings, "bot_secret": "not-the-secret-1"})
    assert answer.failure.reason == "CREDENTIALS_REFUSED"
    assert (await run(served, "send_dm", DM, "x")).failure.reason == "NOT_CONNECTED"
