"""Addresses and sign-in: API keys, sessions with and without codes, what is learned and what is never told."""

import asyncio
import logging
from typing import Any

import pytest
import structlog

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from server.gen.patchbay.modules.tacticalrmm.v1.tacticalrmm_pb2 import (
    ListScriptsRequest,
    RebootAgentRequest,
    RunScriptRequest,
    TacticalRmmConnection,
)
from server.modules.tacticalrmm import MODULE
from server.modules.tacticalrmm.actions import list_scripts, reboot_agent
from server.modules.tacticalrmm.connection import instance_url
from server.modules.tacticalrmm.runs import run_script
from server.sdk import ActionFailure, Deadline, Effect
from server.sdk.scope import CallScope, entered
from tests.modules.harness import Connect, Connected
from tests.modules.tacticalrmm.asking import posts
from tests.modules.tacticalrmm.world import (
    CLEANUP,
    EXPIRED_KEY,
    ONLINE,
    PASSWORD,
    POWERLESS_KEY,
    TOTP_SECRET,
    by_key,
    by_password,
)

pytestmark = pytest.mark.anyio

SCRIPTS = ListScriptsRequest()


async def refused(connected: Connected) -> Any:
    """Tests a connection that must be refused and returns how."""
    with pytest.raises(ActionFailure) as caught:
        await connected.check(MODULE)
    return caught.value.failure


def sign_ins(vendor: SandboxControl) -> list[str]:
    """Returns the sign-in paths that the server saw."""
    return [str(one["path"]) for one in posts(vendor, "") if str(one["path"]).startswith("/v2/")]


def signed_with(vendor: SandboxControl) -> list[tuple[bool, bool]]:
    """For each request: whether it had an API key, whether it had an Authorization header."""
    seen = [{str(name).lower() for name in one["headers"]} for one in vendor.requests()]
    return [("x-api-key" in names, "authorization" in names) for names in seen]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://api.example.com", "https://api.example.com"),
        ("api.example.com", "https://api.example.com"),
        ("  API.Example.com/ ", "https://api.example.com"),
        ("http://api.example.com", "http://api.example.com"),
        ("https://api.example.com/api", "https://api.example.com"),
        ("https://api.example.com/api///", "https://api.example.com"),
        ("api.example.com:8443/api/", "https://api.example.com:8443"),
        ("https://example.com/rmm/api/", "https://example.com/rmm/api"),
        ("https://[2001:db8::1]:8443/", "https://[2001:db8::1]:8443"),
    ],
)
def test_addresses_are_normalized(given: str, expected: str) -> None:
    """https is assumed, http is kept, a lone `/api` and slashes at the end are dropped."""
    assert instance_url(TacticalRmmConnection(instance_url=given)) == expected


@pytest.mark.parametrize(
    "given",
    [
        "https://user@api.example.com",
        "https://user:secret@api.example.com",
        "https://@api.example.com",
        "https://api.example.com?x=1",
        "https://api.example.com/?",
        "https://api.example.com/#top",
        "ftp://api.example.com",
        "https://",
        "https:///path",
        "https://api.example.com:99999",
        "https://api.example.com:0",
        "https://api.example.com:port",
        "https://api example.com",
        "https://[::1",
        " ",
    ],
)
def test_addresses_that_say_more_or_less_are_refused(given: str) -> None:
    """User info, query, fragment, other schemes and half addresses name the field, and repeat no password."""
    with pytest.raises(ActionFailure) as caught:
        instance_url(TacticalRmmConnection(instance_url=given))
    failure = caught.value.failure
    assert (failure.reason, failure.field) == ("INTEGRATION_MISCONFIGURED", "settings.instance_url")
    assert failure.effect == Effect.EFFECT_NONE
    assert "secret" not in failure.message


async def test_the_check_is_one_small_question(connected: Connected, vendor: SandboxControl) -> None:
    """It needs the right that every action needs, and its answer does not grow with the fleet."""
    await connected.check(MODULE)
    (asked,) = vendor.requests()
    assert (asked["method"], asked["path"], asked["status"]) == ("GET", "/agents/", 200)
    assert "client=0" in str(asked["query"])


async def test_an_api_key_is_sent_alone(connected: Connected, vendor: SandboxControl) -> None:
    """A key goes into its own header; an Authorization header beside it would be looked at first."""
    await connected.check(MODULE)
    assert signed_with(vendor) == [(True, False)]


@pytest.mark.parametrize(
    ("key", "reason", "status"),
    [
        ("NOSUCHKEY", "CREDENTIALS_REFUSED", 401),
        (EXPIRED_KEY, "CREDENTIALS_EXPIRED", 401),
        (POWERLESS_KEY, "VENDOR_PERMISSION_DENIED", 403),
    ],
)
async def test_keys_that_do_not_work_say_why(
    connect: Connect, server: SandboxServer, vendor: SandboxControl, key: str, reason: str, status: int
) -> None:
    """Unknown, expired and powerless keys are three different failures, none of which shows the key."""
    failure = await refused(connect(by_key(server.url, key)))
    assert (failure.reason, failure.vendor_status) == (reason, status)
    assert key not in str(failure)
    assert len(vendor.requests()) == 1


async def test_a_missing_right_is_named(connect: Connect, server: SandboxServer) -> None:
    """The remedy names the flag of the role."""
    connected = connect(by_key(server.url, POWERLESS_KEY))
    with pytest.raises(ActionFailure) as caught:
        await connected.run(reboot_agent, RebootAgentRequest(agent_id=ONLINE))
    failure = caught.value.failure
    assert (failure.reason, failure.effect) == ("VENDOR_PERMISSION_DENIED", Effect.EFFECT_NONE)
    assert "`can_reboot_agents`" in failure.remedy.text


async def test_an_account_without_codes_uses_the_first_token(
    connect: Connect, server: SandboxServer, vendor: SandboxControl
) -> None:
    """`/v2/checkcreds/` gives the token; `/v2/login/` would crash for such an account and is never called."""
    connected = connect(by_password(server.url))
    await connected.check(MODULE)
    assert sign_ins(vendor) == ["/v2/checkcreds/"]
    assert signed_with(vendor) == [(False, False), (False, True)]


@pytest.mark.parametrize(
    "secret", [TOTP_SECRET, TOTP_SECRET.lower(), " ".join([TOTP_SECRET[:8], TOTP_SECRET[8:], "="])]
)
async def test_an_account_with_codes_computes_one(
    connect: Connect, server: SandboxServer, vendor: SandboxControl, secret: str
) -> None:
    """The stored secret, however it was typed, makes the code for `/v2/login/`."""
    await connect(by_password(server.url, "careful", totp_secret=secret)).check(MODULE)
    assert sign_ins(vendor) == ["/v2/checkcreds/", "/v2/login/"]


@pytest.mark.parametrize("secret", ["", "ABCDEFG1"])
async def test_an_account_with_codes_needs_a_usable_secret(
    connect: Connect, server: SandboxServer, vendor: SandboxControl, secret: str
) -> None:
    """Without one the connection is misconfigured, at the field of the secret."""
    failure = await refused(connect(by_password(server.url, "careful", totp_secret=secret)))
    assert (failure.reason, failure.field) == ("INTEGRATION_MISCONFIGURED", "settings.login.totp_secret")
    assert sign_ins(vendor) == ["/v2/checkcreds/"]


@pytest.mark.parametrize(
    "settings",
    [
        {"password": "wrong"},
        {"username": "who"},
        {"username": "careful", "totp_secret": "MFRGGZDFMZTWQ2LKMFRGGZDFMZTWQ2LK"},
    ],
)
async def test_wrong_passwords_and_codes_are_refused_credentials(
    connect: Connect, server: SandboxServer, settings: dict[str, str]
) -> None:
    """The 400 of the sign-in views is about credentials, not about input."""
    failure = await refused(connect(by_password(server.url, **settings)))
    assert (failure.reason, failure.vendor_status) == ("CREDENTIALS_REFUSED", 400)
    assert "wrong" not in str(failure)


async def test_the_token_is_kept_between_calls(connect: Connect, server: SandboxServer, vendor: SandboxControl) -> None:
    """One sign-in serves all calls of a connection."""
    connected = connect(by_password(server.url))
    for _ in range(3):
        await connected.run(list_scripts, SCRIPTS)
    assert sign_ins(vendor) == ["/v2/checkcreds/"]


async def test_calls_that_start_together_sign_in_once(
    connect: Connect, server: SandboxServer, vendor: SandboxControl
) -> None:
    """Ten calls without a token make one sign-in."""
    connected = connect(by_password(server.url))
    await asyncio.gather(*(connected.run(list_scripts, SCRIPTS) for _ in range(10)))
    assert sign_ins(vendor) == ["/v2/checkcreds/"]


async def test_a_refused_token_is_replaced_once_for_all(
    connect: Connect, server: SandboxServer, vendor: SandboxControl
) -> None:
    """After the server forgot its sessions, ten calls sign in once and all succeed."""
    connected = connect(by_password(server.url))
    await connected.run(list_scripts, SCRIPTS)
    vendor.reset()
    await asyncio.gather(*(connected.run(list_scripts, SCRIPTS) for _ in range(10)))
    assert sign_ins(vendor) == ["/v2/checkcreds/"]


async def test_a_write_that_was_refused_with_401_is_made_after_signing_in(
    connect: Connect, server: SandboxServer, vendor: SandboxControl
) -> None:
    """401 means not processed: the reboot is repeated once, under one send mark, and happens once."""
    connected = connect(by_password(server.url))
    await connected.run(list_scripts, SCRIPTS)
    vendor.reset()
    await connected.run(reboot_agent, RebootAgentRequest(agent_id=ONLINE))
    assert [one["status"] for one in posts(vendor, "/reboot/")] == [401, 200]
    assert vendor.effects().count("reboot") == 1
    assert len(connected.told.marks) == 1


async def test_a_second_401_is_final(connect: Connect, server: SandboxServer, vendor: SandboxControl) -> None:
    """A fresh token that is refused too is a failure without effect, not a loop."""
    connected = connect(by_password(server.url))
    vendor.add_fault("status", path_regex="/reboot/$", times=0, status=401, body={"detail": "Invalid token."})
    with pytest.raises(ActionFailure) as caught:
        await connected.run(reboot_agent, RebootAgentRequest(agent_id=ONLINE))
    failure = caught.value.failure
    assert (failure.reason, failure.effect) == ("CREDENTIALS_REFUSED", Effect.EFFECT_NONE)
    assert len(posts(vendor, "/reboot/")) == len(sign_ins(vendor)) == 2
    assert vendor.effects().total == 0


async def test_a_lost_answer_to_a_write_is_not_repeated_by_signing_in(
    connect: Connect, server: SandboxServer, vendor: SandboxControl
) -> None:
    """Only 401 leads to another try."""
    connected = connect(by_password(server.url))
    vendor.add_fault("reset_after", path_regex="/reboot/$")
    with pytest.raises(ActionFailure):
        await connected.run(reboot_agent, RebootAgentRequest(agent_id=ONLINE))
    assert vendor.effects().count("reboot") == len(posts(vendor, "/reboot/")) == 1


async def test_refused_sign_ins_are_not_repeated_at_once(
    connect: Connect, server: SandboxServer, vendor: SandboxControl
) -> None:
    """The server allows ten a minute; calls that start together share one refusal."""
    connected = connect(by_password(server.url, password="wrong"))
    calls = [connected.run(list_scripts, SCRIPTS) for _ in range(10)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert {getattr(one, "failure").reason for one in answers} == {"CREDENTIALS_REFUSED"}  # noqa: B009 - of exceptions
    assert len(sign_ins(vendor)) == 1


async def test_a_throttled_sign_in_tells_when_to_come_back(
    connect: Connect, server: SandboxServer, vendor: SandboxControl
) -> None:
    """429 keeps the server's Retry-After."""
    vendor.patch_state(settings={"login_per_minute": 1})
    await connect(by_password(server.url)).check(MODULE)
    failure = await refused(connect(by_password(server.url)))
    assert (failure.reason, failure.retryable, failure.vendor_status) == ("RATE_LIMITED", True, 429)
    assert 0 < failure.retry_after.ToSeconds() <= 60


async def test_no_cookie_is_ever_sent_back(connect: Connect, server: SandboxServer, vendor: SandboxControl) -> None:
    """Sign-ins set cookies, which would change how the server authenticates."""
    await connect(by_password(server.url)).check(MODULE)
    assert all("cookie" not in {str(name).lower() for name in one["headers"]} for one in vendor.requests())


async def test_the_learned_token_is_masked_in_every_call_that_uses_it(
    connect: Connect, server: SandboxServer, vendor: SandboxControl
) -> None:
    """A server that repeats the token in its error does not get it into the failure, in the first call or later."""
    connected = connect(by_password(server.url))
    for _ in range(2):
        await connected.run(list_scripts, SCRIPTS)
        token = connected.client._sender._token
        assert connected.told.masker(f"Token {token}") == "Token ***"
        vendor.add_fault("status", path_regex="/scripts/$", status=400, body={"detail": f"bad header Token {token}"})
        with pytest.raises(ActionFailure) as caught:
            await connected.run(list_scripts, SCRIPTS)
        assert token not in str(caught.value.failure)
        assert "***" in caught.value.failure.vendor_message


@pytest.mark.parametrize("fails", [False, True])
async def test_nothing_secret_is_logged(
    connect: Connect,
    server: SandboxServer,
    vendor: SandboxControl,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    fails: bool,
) -> None:
    """Password, secret, token and values of variables appear in no log line and no exception text."""
    caplog.set_level(logging.DEBUG)
    connected = connect(by_password(server.url, "careful", totp_secret=TOTP_SECRET))
    if fails:
        vendor.add_fault("reset_before", path_regex="/runscript/$", times=0)
    request = RunScriptRequest(agent_id=ONLINE, script_id=CLEANUP, timeout=1, env_vars=["A=hunter2hunter2"])
    told = ""
    with structlog.testing.capture_logs() as logs:
        try:
            await connected.run(run_script, request)
        except ActionFailure as failure:
            told = f"{failure!r} {failure.failure} {failure.__cause__!r} {failure.__context__!r}"
    everything = f"{caplog.text}{logs}{told}{capsys.readouterr()}"
    for secret in (PASSWORD, TOTP_SECRET, connected.client._sender._token, "hunter2"):
        assert secret not in everything


async def test_making_a_client_sends_nothing(connect: Connect, vendor: SandboxControl) -> None:
    """`connect` only reads the settings."""
    connect()
    assert vendor.requests() == []


async def test_a_token_that_was_replaced_meanwhile_is_kept(connect: Connect, server: SandboxServer) -> None:
    """A late 401 to a request with the old token does not throw away the new one."""
    session = connect(by_password(server.url)).client._sender
    async with entered(CallScope(Deadline.after(10))):
        old = await session.token()
        session.forget(old)
        new = await session.token()
        session.forget(old)
        assert await session.token() == new != old
