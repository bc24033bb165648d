"""Connecting with OAuth: what a refusal leaves, what success keeps, and that tenants stay apart."""

from typing import Any

import asyncpg
import grpc
import pytest

from server.core.master_keys import MasterKeys, new_key
from server.core.vault import rotate_secrets
from server.gen.patchbay.v1 import connections_pb2, identity_pb2
from server.store.credentials import TokenSecrets
from server.store.database import Database
from tests.oauth.conftest import Houses, OAuth, connect, connected, read, succeeded, tokens
from tests.support.oauth_vendor import FIRST_REFRESH_TOKEN
from tests.support.served import TENANT

pytestmark = pytest.mark.anyio

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "app's secret": ({"client_secret": "canary-wrong-secret-1b2c"}, "CREDENTIALS_REFUSED"),
    "app": ({"client_id": "nobody"}, "INTEGRATION_MISCONFIGURED"),
    "refresh token": ({"refresh_token": "canary-wrong-token-77aa"}, "CREDENTIALS_EXPIRED"),
    "code": (
        {
            "refresh_token": None,
            "sign_in": {"code": "canary-bad-code", "code_verifier": "v" * 43, "redirect_uri": "http://127.0.0.1:1/"},
        },
        "CREDENTIALS_EXPIRED",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_refused_grant_stores_nothing(houses: Houses, oauth: OAuth, database: Database, case: str) -> None:
    """The failure says what to do and quotes nothing."""
    changes, reason = REFUSED[case]
    caller = await houses.start()
    answer = await connect(caller, oauth.settings(**changes))
    assert answer.failure.reason == reason
    assert answer.failure.remedy.text
    assert "canary" not in str(answer)
    assert await tokens(database) == []


async def test_a_check_that_fails_after_the_sign_in_stores_nothing(
    houses: Houses, oauth: OAuth, database: Database
) -> None:
    """The vendor gave tokens and then refused the check; a connection that worked before keeps its tokens."""
    caller = await houses.start()
    oauth.control.add_fault("status", path_regex="^/check", status=403)
    assert (await connect(caller, oauth.settings())).failure.reason == "VENDOR_PERMISSION_DENIED"
    assert await tokens(database) == []
    await connected(caller, oauth.settings())
    before = await tokens(database)
    oauth.control.add_fault("status", path_regex="^/check", status=403)
    assert (await connect(caller, oauth.settings(refresh_token=None))).HasField("failure")
    assert await tokens(database) == before


async def test_what_connecting_rotated_is_what_counts(houses: Houses, oauth: OAuth) -> None:
    """Strict rotation: the refresh token of the settings is dead since Connect; another server renews all the same."""
    oauth.control.patch_state(rotation="strict")
    await connected(await houses.start(), oauth.settings())
    assert FIRST_REFRESH_TOKEN not in oauth.control.state()["refresh"]
    oauth.control.patch_state(expire=True)
    assert succeeded(await read(await houses.start()))


async def test_connecting_again_replaces_the_tokens(houses: Houses, oauth: OAuth, database: Database) -> None:
    """From a user's grant to the app's own and back: the row is of the newest revision each time."""
    caller = await houses.start()
    for number, changes in enumerate(({}, {"refresh_token": None}, {}), 1):
        await connected(caller, oauth.settings(**changes))
        assert [(row["revision"], row["generation"]) for row in await tokens(database)] == [(number, 1)]
        assert succeeded(await read(caller))


async def test_a_connection_made_without_tokens_obtains_them_when_used(
    houses: Houses, oauth: OAuth, database: Database
) -> None:
    """Rows of a release that stored none: the settings' refresh token is used, and what it gave is stored."""
    caller = await houses.start()
    await connected(caller, oauth.settings())
    async with database.system() as connection:
        await connection.execute("DELETE FROM connection_tokens")
    assert succeeded(await read(await houses.start()))
    assert [(row["generation"], row["refreshing_since"]) for row in await tokens(database)] == [(1, None)]


async def test_tenants_have_tokens_of_their_own(houses: Houses, oauth: OAuth, database: Database) -> None:
    """Neither sees the other's row; a row that is moved to another tenant does not open."""
    caller = await houses.start()
    ids = [(await connected(caller, oauth.settings(), tenant)).tenant for tenant in ("acme", "globex")]
    for tenant in ids:
        async with database.tenant(tenant) as connection:
            rows = await connection.fetch("SELECT tenant FROM connection_tokens")
            assert [str(row["tenant"]) for row in rows] == [tenant]
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute("UPDATE connection_tokens SET tenant = gen_random_uuid()")
    columns = ("key_id", "key_nonce", "wrapped_key", "nonce", "ciphertext")
    async with database.system() as connection:
        await connection.execute(
            f"UPDATE connection_tokens c SET {', '.join(f'{name} = o.{name}' for name in columns)} "
            "FROM connection_tokens o WHERE o.tenant <> c.tenant AND c.tenant = $1",
            ids[0],
        )
    other = await houses.start()
    assert (await read(other)).failure.reason == "INTEGRATION_MISCONFIGURED"
    assert succeeded(await read(other, tenant="globex"))


async def test_rotation_of_the_master_key_covers_tokens(houses: Houses, oauth: OAuth, database: Database) -> None:
    """They are wrapped by the new key and open as before."""
    caller = await houses.start()
    await connected(caller, oauth.settings())
    file = houses.folder / "master.key"
    old = file.read_text()
    file.write_text(f"{new_key('second')}\n{old}")
    keys = MasterKeys.from_file(file)
    assert (await rotate_secrets(keys, [TokenSecrets(database)])).rewrapped == 1
    assert [row["key_id"] for row in await tokens(database)] == ["second"]
    assert (await rotate_secrets(keys, [TokenSecrets(database)])).rewrapped == 0
    oauth.control.patch_state(expire=True)
    assert succeeded(await read(await houses.start()))


SIGN_IN = {
    "redirect_uri": "http://127.0.0.1:4711/",
    "state": "s" * 20,
    "code_challenge": "c" * 43,
}


async def begin(houses: Houses, settings: Any, **changes: Any) -> connections_pb2.BeginSignInResponse:
    """Asks where to sign in."""
    caller = await houses.start()
    await caller("Identity/CreateTenant", identity_pb2.CreateTenantRequest(slug=TENANT))
    grant = connections_pb2.EgressGrant(private_networks=["127.0.0.0/8"], plain_http=True)
    facts = {"tenant": TENANT, "provider": "oauthlab", "settings": settings, "grant": grant, **SIGN_IN, **changes}
    answer: connections_pb2.BeginSignInResponse = await caller(
        "Connections/BeginSignIn", connections_pb2.BeginSignInRequest(**facts)
    )
    return answer


async def test_the_catalog_of_providers_says_who_has_a_sign_in(houses: Houses) -> None:
    """And which setting takes the code."""
    caller = await houses.start()
    found = await caller("Connections/ListProviders", connections_pb2.ListProvidersRequest())
    fields = {one.provider: one.sign_in_field for one in found.providers}
    assert (fields["oauthlab"], fields["tacticalrmm"]) == ("sign_in", "")


async def test_the_address_of_a_sign_in_holds_no_secret(houses: Houses, oauth: OAuth) -> None:
    """The vendor's page, with challenge, state and redirect; nothing was sent to the vendor."""
    answer = await begin(houses, oauth.settings(refresh_token=None))
    assert answer.authorize_url == (
        f"{oauth.url}/oauth/authorize?response_type=code&client_id=lab-app&"
        "redirect_uri=http%3A%2F%2F127.0.0.1%3A4711%2F&scope=things%20offline_access&"
        f"state={'s' * 20}&code_challenge={'c' * 43}&code_challenge_method=S256"
    )
    assert oauth.control.requests() == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"client_id": "elsewhere"}, "EGRESS_REFUSED"), ({"instance_url": "ftp://x.test"}, "EGRESS_REFUSED")],
)
async def test_a_sign_in_elsewhere_is_refused(
    houses: Houses, oauth: OAuth, changes: dict[str, str], reason: str
) -> None:
    """At another origin than the connection's, or at an address that it may not reach."""
    answer = await begin(houses, oauth.settings(refresh_token=None, **changes))
    assert (answer.failure.reason, answer.authorize_url) == (reason, "")


@pytest.mark.parametrize("address", ["http://rmm.example.com", "https://127.0.0.1"])
async def test_without_a_grant_only_public_https_is_signed_in_to(houses: Houses, oauth: OAuth, address: str) -> None:
    """As for every request of the connection."""
    settings = oauth.settings(refresh_token=None, instance_url=address)
    answer = await begin(houses, settings, grant=connections_pb2.EgressGrant())
    assert answer.failure.reason == "EGRESS_REFUSED"


BAD: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "no address": ({"instance_url": None}, {}, "settings.instance_url"),
    "an unknown setting": ({"colour": "red"}, {}, "settings.colour"),
    "a short state": ({}, {"state": "short"}, "state"),
    "a plain challenge": ({}, {"code_challenge": "plain"}, "code_challenge"),
    "no redirect": ({}, {"redirect_uri": "nowhere"}, "redirect_uri"),
    "no sign-in": ({}, {"provider": "lab"}, "provider"),
}


@pytest.mark.parametrize("case", BAD)
async def test_bad_input_names_the_field(houses: Houses, oauth: OAuth, case: str) -> None:
    """INVALID_ARGUMENT, before anybody is sent to a page."""
    settings, changes, field = BAD[case]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await begin(houses, oauth.settings(refresh_token=None, **settings), **changes)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert field in str(caught.value.trailing_metadata())
