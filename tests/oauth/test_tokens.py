"""Tokens of stored connections: renewed once, kept through trouble, gone with the connection."""

import asyncio
import logging

import pytest
from structlog.testing import capture_logs

from server.gen.patchbay.v1 import connections_pb2, executor_pb2, failure_pb2
from server.store.database import Database
from tests.connections.test_canary import dump
from tests.oauth.conftest import TOKEN_PATH, Houses, OAuth, change_tokens, connected, read, succeeded, tokens
from tests.support.oauth_vendor import FIRST_REFRESH_TOKEN
from tests.support.served import TENANT

pytestmark = pytest.mark.anyio

NONE, APPLIED = failure_pb2.EFFECT_NONE, failure_pb2.EFFECT_APPLIED


@pytest.mark.parametrize("rotation", ["none", "overlap", "strict"])
async def test_many_callers_in_four_houses_renew_once(houses: Houses, oauth: OAuth, rotation: str) -> None:
    """All access tokens end; 50 calls at each of 4 servers succeed with one request to the token endpoint."""
    oauth.control.patch_state(rotation=rotation)
    callers = [await houses.start() for _ in range(4)]
    await connected(callers[0], oauth.settings())
    await asyncio.gather(*map(read, callers))
    for number in range(2):
        before = oauth.asked()
        oauth.control.patch_state(expire=True)
        ended = await asyncio.gather(*(read(caller) for caller in callers for _ in range(50)))
        assert all(map(succeeded, ended)), number
        assert oauth.asked() == before + 1


async def test_tokens_of_the_app_itself_are_shared_too(houses: Houses, oauth: OAuth) -> None:
    """Client credentials: what Connect obtained serves every replica; one request more after it ended."""
    callers = [await houses.start() for _ in range(3)]
    await connected(callers[0], oauth.settings(refresh_token=None))
    assert all(map(succeeded, await asyncio.gather(*map(read, callers))))
    oauth.control.patch_state(expire=True)
    assert all(map(succeeded, await asyncio.gather(*(read(caller) for caller in callers for _ in range(20)))))
    assert oauth.control.effects().count("client_credentials") == 2


async def test_an_ended_token_is_renewed_before_it_is_used(houses: Houses, oauth: OAuth) -> None:
    """By its lifetime, without a refusal by the vendor."""
    oauth.control.patch_state(lifetime=1)
    caller = await houses.start()
    await connected(caller, oauth.settings())
    await asyncio.sleep(1.1)
    oauth.control.patch_state(lifetime=3600)
    assert succeeded(await read(caller))
    assert [one["status"] for one in oauth.control.requests(1000)] == [200] * 4


async def test_a_token_that_ends_soon_is_renewed_while_it_works(
    houses: Houses, oauth: OAuth, database: Database
) -> None:
    """The call that notices goes on with the old one; afterwards the new one is stored."""
    await connected(await houses.start(), oauth.settings())
    await change_tokens(database, "expires_at = clock_timestamp() + interval '200 seconds'")
    caller = await houses.start()
    assert succeeded(await read(caller))
    while (await tokens(database))[0]["generation"] == 1:
        await asyncio.sleep(0.02)
    assert succeeded(await read(caller))
    assert oauth.renewals() == 2


@pytest.mark.parametrize("kind", ["status", "reset_before", "hang", "garbage"])
async def test_a_token_endpoint_that_is_down_does_no_harm_while_the_token_lives(
    houses: Houses, oauth: OAuth, database: Database, kind: str
) -> None:
    """Calls go on with the token that ends soon, whatever the endpoint does, and nothing that is stored is lost."""
    await connected(await houses.start(), oauth.settings())
    await change_tokens(database, "expires_at = clock_timestamp() + interval '200 seconds'")
    oauth.control.add_fault(kind, path_regex=TOKEN_PATH, times=0, status=503)
    caller = await houses.start()
    asked = oauth.asked()
    assert all(map(succeeded, await asyncio.gather(*(read(caller) for _ in range(20)))))
    while oauth.asked() == asked:
        await asyncio.sleep(0.02)
    oauth.control.clear_faults()
    oauth.control.patch_state(expire=True)
    assert succeeded(await read(await houses.start()))


TROUBLE = {
    "a defect": ({"kind": "status", "status": 500}, "VENDOR_ERROR"),
    "a gateway": ({"kind": "status", "status": 503}, "VENDOR_UNAVAILABLE"),
    "too many": ({"kind": "status", "status": 429}, "RATE_LIMITED"),
    "a lost answer": ({"kind": "reset_after"}, "VENDOR_UNAVAILABLE"),
    "a page": ({"kind": "garbage", "body": "<html>"}, "VENDOR_UNAVAILABLE"),
    "no token": ({"kind": "status", "status": 200, "body": {"expires_in": 5}}, "VENDOR_ANSWER_INVALID"),
    "another kind": (
        {"kind": "status", "status": 200, "body": {"access_token": "canary-mac", "token_type": "mac"}},
        "VENDOR_ANSWER_INVALID",
    ),
    "no such app": ({"kind": "status", "status": 404, "body": {"error": "no app"}}, "INTEGRATION_MISCONFIGURED"),
    "a bad app": ({"kind": "status", "status": 401, "body": {"error": "invalid_client"}}, "CREDENTIALS_REFUSED"),
}


@pytest.mark.parametrize("case", TROUBLE)
async def test_trouble_at_the_token_endpoint_keeps_the_grant(
    houses: Houses, oauth: OAuth, database: Database, case: str
) -> None:
    """The failure says what it was and that nothing happened; the next call works without anybody connecting."""
    fault, reason = TROUBLE[case]
    oauth.control.patch_state(lifetime=1)
    caller = await houses.start()
    await connected(caller, oauth.settings())
    before = (await tokens(database))[0]["ciphertext"]
    await asyncio.sleep(1.1)
    oauth.control.patch_state(lifetime=3600)
    oauth.control.add_fault(path_regex=TOKEN_PATH, **fault)
    execution = await caller.execute("oauthlab.things.post", {"name": "x"}, "key-1")
    assert execution.state == executor_pb2.EXECUTION_STATE_FAILED
    assert (execution.failure.reason, execution.failure.effect) == (reason, NONE)
    assert not execution.HasField("send_time")
    assert (await tokens(database))[0]["ciphertext"] == before
    assert succeeded(await read(caller))
    assert oauth.control.effects().count("post") == 0


@pytest.mark.parametrize("lifetime", [None, "soon", -1, 0, 1e300, "3600"])
async def test_a_lifetime_that_means_nothing_is_an_hour(
    houses: Houses, oauth: OAuth, database: Database, lifetime: object
) -> None:
    """Missing, no number, none, without end: the token is used and not renewed at every call."""
    caller = await houses.start()
    await connected(caller, oauth.settings())
    token = oauth.control.state()["access"][0]
    body = {"access_token": token, "token_type": "bearer", "expires_in": lifetime}
    await change_tokens(database, "expires_at = clock_timestamp()")
    oauth.control.add_fault("status", path_regex=TOKEN_PATH, times=0, status=200, body=body)
    other = await houses.start()
    assert all([succeeded(await read(other)) for _ in range(3)])
    assert oauth.asked() == 2
    assert (await tokens(database))[0]["lifetime"] == (366 * 86_400.0 if lifetime == 1e300 else 3600.0)


async def test_a_dead_grant_says_reconnect_and_asks_once(houses: Houses, oauth: OAuth, database: Database) -> None:
    """The refresh token was revoked: the failure names the remedy, later calls do not ask again, nothing is removed."""
    caller = await houses.start()
    await connected(caller, oauth.settings())
    oauth.control.patch_state(expire=True, revoke=True)
    ended = [await read(caller) for _ in range(3)]
    assert {one.failure.reason for one in ended} == {"CREDENTIALS_EXPIRED"}
    assert {one.failure.remedy.text for one in ended} == {"Connect the tool again."}
    assert "interrupted" not in ended[0].failure.message
    assert "canary" not in str(ended)
    assert oauth.asked() == 2
    assert len(await tokens(database)) == 1


async def test_a_sign_in_that_fails_after_a_write_tells_that_part_was_done(houses: Houses, oauth: OAuth) -> None:
    """The first post was answered, the second needs a token that cannot be had: effect APPLIED, never repeated."""
    caller = await houses.start()
    await connected(caller, oauth.settings())
    oauth.control.patch_state(revoke=True)
    oauth.control.add_fault("status", method="POST", path_regex="^/things", skip=1, status=401)
    execution = await caller.execute("oauthlab.things.post", {"name": "twice"}, "key-1")
    assert (execution.failure.reason, execution.failure.effect) == ("CREDENTIALS_EXPIRED", APPLIED)
    assert not execution.failure.retryable


async def test_a_token_that_the_vendor_ended_is_replaced_during_a_write(houses: Houses, oauth: OAuth) -> None:
    """The post is refused with 401, the token renewed, the post made: once."""
    caller = await houses.start()
    await connected(caller, oauth.settings())
    oauth.control.patch_state(expire=True)
    execution = await caller.execute("oauthlab.things.post", {"name": "x"}, "key-1")
    assert succeeded(execution)
    assert oauth.control.effects().count("post") == 1


@pytest.mark.parametrize("change", ["expires_at = expires_at + interval '10 days'", "expires_at = '-infinity'"])
async def test_a_clock_that_jumps_costs_a_renewal_at_most(
    houses: Houses, oauth: OAuth, database: Database, change: str
) -> None:
    """PostgreSQL's clock went back or forth: tokens seem to live long, or to be over. Calls go on either way."""
    await connected(await houses.start(), oauth.settings())
    if "infinity" in change:
        change = "expires_at = clock_timestamp() - interval '10 days'"
    await change_tokens(database, change)
    oauth.control.patch_state(expire=True)
    caller = await houses.start()
    assert all(map(succeeded, await asyncio.gather(*(read(caller) for _ in range(20)))))
    assert oauth.renewals() == 2
    assert (await tokens(database))[0]["refreshing_since"] is None


async def test_disconnecting_destroys_the_tokens(houses: Houses, oauth: OAuth, database: Database) -> None:
    """And a server that had them in memory is refused."""
    caller, other = await houses.start(), await houses.start()
    await connected(caller, oauth.settings())
    assert succeeded(await read(other))
    await caller("Connections/Disconnect", connections_pb2.DisconnectRequest(tenant=TENANT, provider="oauthlab"))
    assert await tokens(database) == []


async def test_a_test_of_the_connection_uses_and_renews_what_is_stored(
    houses: Houses, oauth: OAuth, database: Database
) -> None:
    """Under strict rotation the refresh token of the settings is dead; the stored one is used."""
    oauth.control.patch_state(rotation="strict")
    caller = await houses.start()
    await connected(caller, oauth.settings())
    assert FIRST_REFRESH_TOKEN not in oauth.control.state()["refresh"]
    oauth.control.patch_state(expire=True)
    request = connections_pb2.TestConnectionRequest(tenant=TENANT, provider="oauthlab")
    tested = await caller("Connections/TestConnection", request)
    assert not tested.HasField("failure")
    assert (oauth.renewals(), (await tokens(database))[0]["generation"]) == (2, 2)


async def test_a_renewal_for_a_connection_that_was_replaced_is_dropped(
    houses: Houses, oauth: OAuth, database: Database
) -> None:
    """The tenant connects anew while a token is obtained for the old connection: the new tokens stay."""
    caller = await houses.start()
    await connected(caller, oauth.settings())
    oauth.control.patch_state(expire=True)
    fault = oauth.control.add_fault("hang", path_regex=TOKEN_PATH)
    old = asyncio.create_task(read(caller))
    while oauth.renewals() == 1:
        await asyncio.sleep(0.02)
    oauth.control.patch_state(rotation="none")
    await connected(caller, oauth.settings(refresh_token=oauth.control.state()["refresh"][0]))
    stored = await tokens(database)
    oauth.control.remove_fault(fault)
    assert (await old).failure.reason in {"INTERRUPTED", "VENDOR_UNAVAILABLE"}
    assert await tokens(database) == stored
    assert succeeded(await read(caller))


async def test_tokens_are_found_nowhere(
    houses: Houses, oauth: OAuth, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not in rows, logs, answers: of a vendor that quotes what it was sent, in successes, refusals and failures."""
    caplog.set_level(logging.DEBUG)
    told = []
    with capture_logs() as logged:
        caller = await houses.start()
        await connected(caller, oauth.settings())
        told.append(await read(caller))
        oauth.control.patch_state(expire=True)
        told.append(await read(caller))
        assert "you sent Bearer ***" in str(told)
        oauth.control.patch_state(expire=True, revoke=True)
        told.append(await read(caller))
        await asyncio.sleep(0.5)
    rows = await _rows(houses.fresh.dsn)
    assert "oauthlab" in rows
    assert "token_not_renewed" in str(logged)
    heard = capsys.readouterr()
    for place in (rows, str(told), str(logged), caplog.text, heard.out, heard.err):
        assert "canary" not in place
        assert b"canary".hex() not in place


async def _rows(dsn: str) -> str:
    return b"\n".join((await dump(dsn)).values()).decode()
