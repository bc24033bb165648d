"""Redirects: reads follow a few, with the guard at each hop; writes never."""

import pytest

from server.sdk.failures import ActionFailure, Effect
from server.sdk.http import EgressGrant
from server.sdk.scope import entered
from tests.sdk.conftest import SECRET, Bound, Names, scope
from tests.sdk.vendor import answer, vendor

pytestmark = pytest.mark.anyio

ONE = EgressGrant.parse(["127.0.0.1"], plain_http=True)


def moved(to: str, status: int = 302) -> bytes:
    """Returns a redirect."""
    return answer(status, b"", f"Location: {to}")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_read_follows_at_the_same_origin_with_credentials(bound: Bound, status: int) -> None:
    """A read follows a redirect to the same origin and keeps its headers."""
    async with vendor(moved("/b?x=1", status), answer(200, '{"at": "b"}')) as server, entered(scope()):
        found = await bound(server).request("GET", "/a", headers={"Authorization": "Token abc"})
    assert found.json() == {"at": "b"}
    assert server.paths() == ["GET /a", "GET /b?x=1"]
    assert [one.headers["x-api-key"] for one in server.requests] == [SECRET, SECRET]
    assert server.requests[1].headers["authorization"] == "Token abc"


async def test_credentials_stay_at_their_origin(bound: Bound) -> None:
    """Another port is another origin: nothing that was given for the first one arrives there, nor after coming back."""
    async with vendor() as other, vendor() as server, entered(scope()):
        server.script[:] = [moved(f"{other.url}/b"), answer()]
        other.script[:] = [moved(f"{server.url}/c")]
        await bound(server).request("GET", "/a", headers={"Authorization": "Bearer t", "X-Tenant": "acme"})
    sent, hop, back = server.requests[0], other.requests[0], server.requests[1]
    assert {"x-api-key", "authorization", "x-tenant"} <= set(sent.headers)
    for one in (hop, back):
        assert set(one.headers) == {"host", "accept", "accept-encoding", "user-agent"}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_write_is_never_redirected(bound: Bound, method: str, status: int) -> None:
    """A write that is answered with a redirect has not happened; the remedy is about the address."""
    async with vendor(moved("/b", status)) as server, entered(scope()):
        with pytest.raises(ActionFailure) as raised:
            await bound(server).request(method, "/a", json={"x": 1})
    failure = raised.value.failure
    assert (failure.reason, failure.effect, failure.vendor_status) == (
        "VENDOR_ANSWER_INVALID",
        Effect.EFFECT_NONE,
        status,
    )
    assert "address" in failure.remedy.text
    assert len(server.requests) == 1


async def test_get_with_an_effect_is_not_redirected(bound: Bound) -> None:
    """A GET that changes something is a write: it goes out once."""
    async with vendor(moved("/b")) as server, entered(scope()):
        with pytest.raises(ActionFailure, match="VENDOR_ANSWER_INVALID"):
            await bound(server).request("GET", "/reboot", effect=True)
    assert len(server.requests) == 1


async def test_login_is_not_redirected(bound: Bound) -> None:
    """A POST without effect is not followed either: its body may hold a password."""
    async with vendor(moved("/b", 307)) as server, entered(scope()):
        with pytest.raises(ActionFailure, match="VENDOR_ANSWER_INVALID"):
            await bound(server).request("POST", "/login", json={"password": SECRET}, effect=False)
    assert len(server.requests) == 1


async def test_read_follows_three_and_no_more(bound: Bound) -> None:
    """A redirect loop ends after three hops."""
    async with vendor(moved("/again")) as server, entered(scope()):
        with pytest.raises(ActionFailure, match="VENDOR_ANSWER_INVALID"):
            await bound(server).request("GET", "/a")
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://127.0.0.2:{port}/", "EGRESS_REFUSED"),
        ("http://127.1:{port}/", "EGRESS_REFUSED"),
        ("http://2130706434:{port}/", "EGRESS_REFUSED"),
        ("http://[::1]:{port}/", "EGRESS_REFUSED"),
        ("http://169.254.169.254/latest/", "EGRESS_REFUSED"),
        ("http://inside.example.test:{port}/", "EGRESS_REFUSED"),
        ("//127.0.0.2:{port}/", "EGRESS_REFUSED"),
        ("ftp://127.0.0.1:{port}/", "EGRESS_REFUSED"),
        ("file:///etc/passwd", "VENDOR_ANSWER_INVALID"),
        ("http://user:word@127.0.0.1:{port}/", "VENDOR_ANSWER_INVALID"),
        ("http://[nonsense/", "VENDOR_ANSWER_INVALID"),
    ],
)
async def test_each_hop_passes_the_guard(bound: Bound, names: Names, location: str, reason: str) -> None:
    """A redirect to where the grant does not reach is refused before a connection."""
    names.answers["inside.example.test"] = [["127.0.0.2"]]
    async with vendor() as server, vendor(host="127.0.0.2") as inside, entered(scope()):
        server.script[:] = [moved(location.format(port=inside.port))]
        with pytest.raises(ActionFailure) as raised:
            await bound(server, ONE).request("GET", "/a")
    assert raised.value.failure.reason == reason
    assert raised.value.failure.effect == Effect.EFFECT_NONE
    assert (len(server.requests), inside.connections) == (1, 0)


async def test_redirect_can_be_an_answer(bound: Bound) -> None:
    """A module that asks for 302 gets it, unfollowed."""
    async with vendor(moved("/b")) as server, entered(scope()):
        found = await bound(server).request("GET", "/a", ok={302})
    assert (found.status, found.headers["Location"], len(server.requests)) == (302, "/b", 1)


async def test_redirect_without_an_address(bound: Bound) -> None:
    """A redirect that leads nowhere is an invalid answer."""
    async with vendor(answer(302, b"")) as server, entered(scope()):
        with pytest.raises(ActionFailure, match="VENDOR_ANSWER_INVALID"):
            await bound(server).request("GET", "/a")
