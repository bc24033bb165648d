"""The two tokens: whence they come, how often, and how Microsoft refuses."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from sandbox.client import SandboxControl
from server.gen.patchbay.modules.teams.v1.teams_pb2 import NotifyUserRequest, PostToChannelRequest
from server.modules.teams import MODULE
from server.modules.teams.actions import notify_user, post_to_channel
from server.sdk import ActionFailure
from tests.modules.harness import Connect, Connected
from tests.modules.teams.asking import asked, failing, messages
from tests.modules.teams.world import ALERTS, BOT, DANA, DIRECTORY

pytestmark = pytest.mark.anyio

POST = PostToChannelRequest(channel_id=ALERTS, message="x")
OLD_BOT, OLD_HOME = "1c8d3d3f-1111-4c55-8f52-2f1f6c0a9d11", "5f0c1c9e-3333-4aaa-9bbb-1234567890ab"


async def refused(connected: Connected) -> ActionFailure:
    """Tests a connection that must be refused."""
    with pytest.raises(ActionFailure) as caught:
        await connected.check(MODULE)
    return caught.value


async def test_each_audience_has_one_token(connected: Connected, vendor: SandboxControl) -> None:
    """Ten calls at once of both services cost two tokens."""
    notices = [NotifyUserRequest(microsoft_user_id=DANA, title="T") for _ in range(5)]
    await asyncio.gather(
        *(connected.run(notify_user, one) for one in notices), *(connected.run(post_to_channel, POST) for _ in range(5))
    )
    assert asked(vendor, "login") == [f"POST /login/{DIRECTORY}/oauth2/v2.0/token"] * 2


async def test_a_token_that_ended_is_replaced_once(connected: Connected, vendor: SandboxControl) -> None:
    """After a 401 another one is obtained and the post is made: once."""
    await connected.run(post_to_channel, POST)
    vendor.patch_state(expire_tokens=True)
    await connected.run(post_to_channel, POST)
    assert len(messages(vendor)) == 2
    assert Counter(one["status"] for one in vendor.requests(1000)) == {200: 2, 201: 2, 401: 1}


async def test_a_legacy_bot_signs_in_where_all_bots_do(connect: Connect, vendor: SandboxControl) -> None:
    """Its tokens come from `botframework.com`, Graph's from the tenant."""
    secret = next(one["client_secret"] for one in vendor.credentials()["bots"] if one["app_id"] == OLD_BOT)
    connected = connect(bot_app_id=OLD_BOT, bot_secret=secret, legacy_bot=True)
    await connected.check(MODULE)
    await connected.run(post_to_channel, POST)
    assert [one.split("/")[2] for one in asked(vendor, "login")] == ["botframework.com", DIRECTORY]


async def test_a_bot_of_one_directory_signs_in_at_home(connect: Connect, vendor: SandboxControl) -> None:
    """`bot_tenant_id` is where its tokens come from."""
    vendor.patch_state(bots={BOT: {"directory": OLD_HOME, "directories": [DIRECTORY]}})
    connected = connect(bot_tenant_id=OLD_HOME)
    await connected.check(MODULE)
    assert [one.split("/")[2] for one in asked(vendor, "login")] == [OLD_HOME, DIRECTORY]


@pytest.mark.parametrize(
    ("changes", "reason", "said"),
    [
        ({"bot_secret": "wrong-secret-value"}, "CREDENTIALS_REFUSED", "AADSTS7000215"),
        ({"bot_app_id": "0b7c2c2e-9999-4c55-8f52-2f1f6c0a9d10"}, "INTEGRATION_MISCONFIGURED", "AADSTS700016"),
        ({"entra_tenant_id": "6a1f0c8e-9999-4b1d-9f00-0123456789ab"}, "INTEGRATION_MISCONFIGURED", "AADSTS90002"),
        ({"graph_secret": "wrong-secret-value"}, "CREDENTIALS_REFUSED", "AADSTS7000215"),
        ({"cloud": "dod"}, "INTEGRATION_MISCONFIGURED", "AADSTS70011"),
    ],
)
async def test_refusals_are_told_apart(
    connect: Connect, vendor: SandboxControl, changes: dict[str, Any], reason: str, said: str
) -> None:
    """Secret, application, directory, scope: each with Microsoft's own first line and no more of it."""
    told = (await refused(connect(**changes))).failure
    assert (told.reason, said in told.vendor_message) == (reason, True)
    assert "wrong-secret-value" not in str(told)
    assert vendor.effects().total == 0


async def test_a_secret_that_expired_is_told(connect: Connect, vendor: SandboxControl) -> None:
    """CREDENTIALS_EXPIRED, and not that it is wrong."""
    vendor.patch_state(bots={BOT: {"secret_expired": True}})
    told = (await refused(connect())).failure
    assert told.reason == "CREDENTIALS_EXPIRED"
    assert "Trace ID" not in told.vendor_message


async def test_a_bot_that_is_not_registered(connected: Connected, vendor: SandboxControl) -> None:
    """The token is good and the connector refuses it: CREDENTIALS_REFUSED after one more token."""
    vendor.patch_state(bots={BOT: {"registered": False}})
    assert (await failing(connected, post_to_channel, POST)).reason == "CREDENTIALS_REFUSED"
    assert len(asked(vendor, "login")) == 2
