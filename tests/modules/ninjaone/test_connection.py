"""Connecting: regions and hosts, for whom we act, tokens that end, are refused, rotate or are dead."""

import asyncio
from urllib.parse import parse_qs, urlsplit

import pytest

from sandbox.client import SandboxControl
from sandbox.ninjaone.tokens import challenge_of
from sandbox.serving import SandboxServer
from server.gen.patchbay.modules.ninjaone.v1.ninjaone_pb2 import (
    FindDevicesRequest,
    NinjaOneConnection,
    RebootDeviceRequest,
)
from server.modules.ninjaone import MODULE
from server.modules.ninjaone.actions import find_devices, reboot_device
from server.modules.ninjaone.connection import app_of, instance_url, sign_in
from server.modules.ninjaone.runs import run_script
from server.sdk import ActionFailure, Effect, SignIn
from tests.modules.harness import Connect, Connected
from tests.modules.ninjaone.asking import asked, failing, run, token_requests
from tests.modules.ninjaone.world import READER_SECRET, REFRESH_TOKEN, SERVER, WEB_SECRET, by_app, by_user
from tests.sandbox.ninja_caller import REDIRECT, VERIFIER, NinjaCaller

pytestmark = pytest.mark.anyio

FIND = FindDevicesRequest(device_id=SERVER)
REBOOT = RebootDeviceRequest(device_id=SERVER)


@pytest.mark.parametrize("region", ["app", "us", "us2", "eu", "ca", "oc", "fed"])
def test_a_region_is_a_host(region: str) -> None:
    """`us` is what NinjaOne calls app."""
    name = "app" if region == "us" else region
    assert instance_url(NinjaOneConnection(region=region)) == f"https://{name}.ninjarmm.com"


def test_a_host_of_its_own_is_taken_as_it_is() -> None:
    """Without slashes at the end."""
    assert instance_url(NinjaOneConnection(instance_url="https://rmm.example.com/")) == "https://rmm.example.com"


@pytest.mark.parametrize(("path", "wanted"), [("", "/ws/oauth"), ("/oauth", "/oauth")])
def test_the_sign_in_begins_at_the_instance(path: str, wanted: str) -> None:
    """With the user's scopes and a challenge, without the secret."""
    settings = NinjaOneConnection(region="eu", client_id="web", client_secret="hidden", oauth_path=path)
    settings.sign_in.SetInParent()
    url = sign_in(settings, SignIn(redirect_uri="http://127.0.0.1:1/", state="s", code_challenge="c"))
    parts, query = urlsplit(url), parse_qs(urlsplit(url).query)
    assert (parts.netloc, parts.path) == ("eu.ninjarmm.com", f"{wanted}/authorize")
    assert query["scope"] == ["monitoring management offline_access"]
    assert (query["code_challenge_method"], query["client_id"]) == (["S256"], ["web"])
    assert "hidden" not in url
    assert app_of(settings).token_path == f"{wanted}/token"


async def test_the_check_asks_for_one_device(connect: Connect, vendor: SandboxControl, server: SandboxServer) -> None:
    """The cheapest read that every action needs; for a user and for an app."""
    for settings in (by_user(server.url), by_app(server.url)):
        await connect(settings).check(MODULE)
    assert asked(vendor) == ["GET /v2/devices?pageSize=1"] * 2
    assert token_requests(vendor) == 2


async def test_a_person_signs_in(connect: Connect, vendor: SandboxControl, server: SandboxServer) -> None:
    """The code is redeemed with verifier and redirect address; scripts run afterwards."""
    caller = NinjaCaller(server)
    for client_id, secret in (("web", WEB_SECRET), ("native", "")):
        settings = NinjaOneConnection(instance_url=server.url, client_id=client_id, client_secret=secret)
        begun = SignIn(redirect_uri=REDIRECT, state="s" * 16, code_challenge=challenge_of(VERIFIER))
        settings.sign_in.redirect_uri, settings.sign_in.code_verifier = REDIRECT, VERIFIER
        location = caller.send("GET", sign_in(settings, begun).removeprefix(server.url)).headers["location"]
        settings.sign_in.code = parse_qs(urlsplit(location).query)["code"][0]
        assert (await connect(settings).run(run_script, run())).run_requested
    assert vendor.effects().count("run_script") == 2


async def test_a_token_is_asked_for_once(connected: Connected, vendor: SandboxControl) -> None:
    """Calls that begin together share it."""
    await asyncio.gather(*(connected.run(find_devices, FIND) for _ in range(5)))
    assert token_requests(vendor) == 1


async def test_a_refused_token_is_renewed_once(connected: Connected, vendor: SandboxControl) -> None:
    """A read and a write go through after one renewal, though the token seemed good; the write happens once."""
    await connected.run(find_devices, FIND)
    vendor.patch_state(expire_access_tokens=True)
    assert (await connected.run(reboot_device, REBOOT)).reboot_requested
    vendor.patch_state(expire_access_tokens=True)
    assert (await connected.run(find_devices, FindDevicesRequest(live=True))).count == 5
    assert (token_requests(vendor), vendor.effects().count("reboot")) == (3, 1)


async def test_a_token_that_is_refused_again_is_a_failure(connected: Connected, vendor: SandboxControl) -> None:
    """One renewal, then the word of the vendor."""
    body = {"error": "not_authenticated", "error_description": "Invalid credentials", "error_code": 10}
    vendor.add_fault("status", path_regex="^/v2/", times=0, status=401, body=body)
    failure = await failing(connected, reboot_device, REBOOT)
    assert (failure.reason, failure.vendor_status) == ("CREDENTIALS_REFUSED", 401)
    assert failure.effect == Effect.EFFECT_NONE
    assert token_requests(vendor) == 2


@pytest.mark.parametrize("rotation", ["off", "overlap", "strict"])
async def test_every_kind_of_rotation_is_followed(connected: Connected, vendor: SandboxControl, rotation: str) -> None:
    """Three renewals in a row, each with the newest refresh token there is."""
    vendor.patch_state(settings={"rotation": rotation})
    for _ in range(3):
        assert (await connected.run(find_devices, FindDevicesRequest(live=True))).count == 5
        vendor.patch_state(expire_access_tokens=True)
    assert token_requests(vendor) == 3


@pytest.mark.parametrize("error", ["invalid_grant", "invalid_token", "expired_token"])
async def test_a_dead_grant_asks_to_connect_again(connected: Connected, vendor: SandboxControl, error: str) -> None:
    """Whichever word NinjaOne has for it."""
    vendor.patch_state(settings={"dead_grant": error}, revoke_refresh_tokens=True)
    failure = await failing(connected, find_devices, FIND)
    assert failure.reason == "CREDENTIALS_EXPIRED"
    assert "Connect" in failure.remedy.text
    assert asked(vendor) == []


async def test_an_unknown_client_id_is_explained(
    connect: Connect, vendor: SandboxControl, server: SandboxServer
) -> None:
    """NinjaOne's 404 usually means the wrong region; the field is named, and what it said is passed on."""
    connected = connect(by_app(server.url, "elsewhere"))
    with pytest.raises(ActionFailure) as caught:
        await connected.check(MODULE)
    failure = caught.value.failure
    assert (failure.reason, failure.vendor_status, failure.field) == (
        "INTEGRATION_MISCONFIGURED",
        404,
        "settings.client_id",
    )
    assert "region" in failure.message
    assert "region" in failure.remedy.text
    assert "Client app not exist" in failure.vendor_message


async def test_a_wrong_secret_is_refused_without_being_told(
    connect: Connect, vendor: SandboxControl, server: SandboxServer
) -> None:
    """Neither the secret nor the token stands in the failure."""
    vendor.add_fault(
        "status", path_regex="token$", status=401, body={"error": "wrong-Secret/1", "x": "wrong-Secret%2F1"}
    )
    failure = await failing(connect(by_app(server.url, secret="wrong-Secret/1")), find_devices, FIND)
    assert failure.reason == "CREDENTIALS_REFUSED"
    assert "wrong-Secret" not in str(failure)


async def test_secrets_are_masked_in_the_vendors_words(connected: Connected, vendor: SandboxControl) -> None:
    """Tokens and secrets that an error repeats."""
    said = {"resultCode": "X", "errorMessage": f"{REFRESH_TOKEN} {WEB_SECRET}"}
    vendor.add_fault("status", path_regex="^/v2/", status=400, body=said)
    failure = await failing(connected, reboot_device, REBOOT)
    assert failure.vendor_message
    assert not [secret for secret in (REFRESH_TOKEN, WEB_SECRET) if secret in str(failure)]


async def test_a_reader_may_not_write(connect: Connect, vendor: SandboxControl, server: SandboxServer) -> None:
    """An app with the scope for reading only: connected, and each write says what is missing."""
    connected = connect(by_app(server.url, "reader", READER_SECRET))
    await connected.check(MODULE)
    failure = await failing(connected, reboot_device, REBOOT)
    assert (failure.reason, failure.vendor_status) == ("VENDOR_PERMISSION_DENIED", 401)
    assert "scope" in failure.message
    assert token_requests(vendor) == 1
