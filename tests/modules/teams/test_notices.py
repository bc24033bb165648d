"""Notices of the activity feed: what Graph is asked for, what a repeat does, every refusal."""

from typing import Any

import pytest

from sandbox.client import SandboxControl
from server.gen.patchbay.modules.teams.v1.teams_pb2 import NotifyUserRequest
from server.modules.teams.actions import notify_user
from server.modules.teams.messages import chain_of
from server.sdk import Effect
from tests.modules.harness import Connect, Connected
from tests.modules.teams.asking import asked, bodies, failing
from tests.modules.teams.world import APP, BOT, DANA, KIM

pytestmark = pytest.mark.anyio

NOTICE = NotifyUserRequest(microsoft_user_id=DANA, title="Disk full on FS-01", message="C: at 98 %")
TYPES = {
    "assignment": "assignmentCreated",
    "customer_reply": "customerReplyReceived",
    "approval_request": "approvalRequested",
    "escalation": "workEscalated",
    "sla_risk": "slaRiskDetected",
}
CHAT = f"https://teams.microsoft.com/l/entity/{APP}/conversations"


def feed(vendor: SandboxControl) -> list[dict[str, Any]]:
    """Returns the notices that people have, oldest first."""
    found: list[dict[str, Any]] = vendor.state()["notifications"]
    return found


async def test_a_notice_arrives_without_a_recipient(connected: Connected, vendor: SandboxControl) -> None:
    """Free text, in a chain, with a link into Teams; Graph's id of the request is told."""
    told = await connected.run(notify_user, NOTICE)
    (notice,) = feed(vendor)
    assert notice["body"] == {
        "topic": {"source": "text", "value": NOTICE.title, "webUrl": CHAT},
        "activityType": "systemDefault",
        "previewText": {"content": NOTICE.message},
        "templateParameters": [{"name": "systemDefaultText", "value": NOTICE.title}],
        "chainId": int(told.chain_id),
        "teamsAppId": APP,
    }
    assert (told.delivered, told.activity_type, notice["user"]) == (True, "systemDefault", DANA)
    assert told.request_id


@pytest.mark.parametrize("category", TYPES)
async def test_a_category_is_an_activity_type(connected: Connected, vendor: SandboxControl, category: str) -> None:
    """Each has the type that our package declares, with its one parameter."""
    told = await connected.run(notify_user, NotifyUserRequest(microsoft_user_id=DANA, title="T", category=category))
    (notice,) = feed(vendor)
    assert told.activity_type == notice["body"]["activityType"] == TYPES[category]
    assert notice["body"]["previewText"] == {"content": "T"}


@pytest.mark.parametrize(
    ("link", "leads"),
    [
        ("https://teams.microsoft.com/l/channel/1", "https://teams.microsoft.com/l/channel/1"),
        ("https://psa.example.com/t/4217?a=b&c", f"{CHAT}?webUrl=https%3A%2F%2Fpsa.example.com%2Ft%2F4217%3Fa%3Db%26c"),
    ],
)
async def test_a_link_leads_into_teams(connected: Connected, vendor: SandboxControl, link: str, leads: str) -> None:
    """Graph takes no other: a foreign one goes along within ours."""
    await connected.run(notify_user, NotifyUserRequest(microsoft_user_id=DANA, title="T", link=link))
    assert bodies(vendor)[0]["topic"]["webUrl"] == leads


async def test_a_link_that_windows_cannot_open_is_refused(connected: Connected, vendor: SandboxControl) -> None:
    """1,900 characters at most, when it is written into ours; nothing is sent."""
    link = "https://psa.example.com/" + "%" * 900
    failure = await failing(connected, notify_user, NotifyUserRequest(microsoft_user_id=DANA, title="T", link=link))
    assert (failure.reason, failure.field) == ("VENDOR_REJECTED_INPUT", "link")
    assert asked(vendor) == []


def test_a_chain_belongs_to_tenant_person_and_key() -> None:
    """The same three make the same chain, below 2^63 and above 0; another one makes another."""
    chains = {chain_of(*parts) for parts in (("a", "b", "c"), ("x", "b", "c"), ("a", "x", "c"), ("a", "b", "x"))}
    assert len(chains) == 4
    assert chain_of("a", "b", "c") in chains
    assert all(0 < chain < 2**63 for chain in chains)


async def test_the_person_lacks_the_app(connected: Connected, vendor: SandboxControl) -> None:
    """Graph's 403 with that sentence."""
    failure = await failing(connected, notify_user, NotifyUserRequest(microsoft_user_id=KIM, title="T"))
    assert (failure.reason, failure.vendor_status) == ("APP_NOT_INSTALLED_FOR_USER", 403)
    assert feed(vendor) == []


async def test_the_app_lacks_the_right(connected: Connected, vendor: SandboxControl) -> None:
    """Graph's 403 that lists roles; the remedy names the one that is wanted."""
    vendor.patch_state(bots={BOT: {"roles": []}})
    failure = await failing(connected, notify_user, NOTICE)
    assert failure.reason == "VENDOR_PERMISSION_DENIED"
    assert "TeamsActivity.Send" in failure.remedy.text


async def test_two_apps_share_the_registration(connect: Connect, vendor: SandboxControl) -> None:
    """Without `teams_app_id` that is ambiguous; with it, not."""
    other = "c0ffee00-3333-4222-8333-444455556666"
    vendor.patch_state(
        add_apps=[{"id": other, "external_id": other, "name": "Other", "bot": BOT}],
        add_installations=[{"id": "b3RoZXI", "app": other, "user": DANA}],
    )
    blind = connect()
    blind.client.graph._app = ""
    assert (await failing(blind, notify_user, NOTICE)).reason == "AMBIGUOUS_TEAMS_APP"
    assert (await connect().run(notify_user, NOTICE)).delivered


@pytest.mark.parametrize(
    ("recipient", "field"),
    [
        ({"microsoft_user_id": "7d9f3b54-3333-4444-8555-000000000000"}, "microsoft_user_id"),
        ({"email": "nobody@harbor.example.com"}, "email"),
    ],
)
async def test_an_unknown_person_is_named(
    connected: Connected, vendor: SandboxControl, recipient: dict[str, str], field: str
) -> None:
    """NOT_FOUND with the input at fault."""
    failure = await failing(connected, notify_user, NotifyUserRequest(title="T", **recipient))
    assert (failure.reason, failure.field, failure.effect) == ("NOT_FOUND", field, Effect.EFFECT_NONE)
    assert feed(vendor) == []


async def test_what_is_switched_off_is_not_done(connect: Connect, vendor: SandboxControl) -> None:
    """CAPABILITY_DISABLED before anything is asked."""
    failure = await failing(connect(disabled_capabilities=["activity_notifications"]), notify_user, NOTICE)
    assert failure.reason == "CAPABILITY_DISABLED"
    assert vendor.requests(1000) == []
