"""Requests as the vendor sees them, and those that are never made."""

import json
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import pytest

from server.sdk.failures import ActionFailure
from server.sdk.http import HttpPool
from server.sdk.scope import entered
from tests.sdk.conftest import LOOPBACK, SECRET, Bound, scope
from tests.sdk.vendor import vendor

pytestmark = pytest.mark.anyio


async def test_what_a_request_carries(bound: Bound) -> None:
    """Method, path, headers and body are what was given, and little else."""
    async with vendor() as server, entered(scope()):
        await bound(f"{server.url}/api/").request(
            "post", "/agents/", json={"name": "Zoë\ud800"}, headers={"X-One": "1"}
        )
    sent = server.requests[0]
    assert (sent.method, sent.path) == ("POST", "/api/agents/")
    assert json.loads(sent.body) == {"name": "Zoë\ud800"}
    assert sent.headers.pop("user-agent").startswith("patchbay/")
    assert sent.headers == {
        "host": f"127.0.0.1:{server.port}",
        "accept": "application/json, */*;q=0.5",
        "accept-encoding": "gzip, deflate",
        "x-api-key": SECRET,
        "content-type": "application/json",
        "x-one": "1",
        "content-length": str(len(sent.body)),
    }


async def test_given_headers_win_in_any_case(bound: Bound) -> None:
    """A header of the request replaces the bound and the general one of the same name."""
    async with vendor() as server, entered(scope()):
        await bound(server).request("GET", "/", headers={"x-aPi-kEy": "other", "ACCEPT": "text/csv"})
    assert server.requests[0].headers["x-api-key"] == "other"
    assert server.requests[0].headers["accept"] == "text/csv"


VALUES = [
    "",
    " ",
    "a b",
    "a+b",
    "a%20b",
    "a%2Fb",
    "a/b",
    "a&b=c",
    "a#b",
    "a?b",
    "ä日",
    ";,:@!$'()*~",
    "%",
    "%zz",
    "\\",
    "..",
    '"<>`{}|^',
]


@pytest.mark.parametrize("value", VALUES)
async def test_parameters_arrive_unchanged(bound: Bound, value: str) -> None:
    """Whatever a query value holds, the vendor decodes the same."""
    async with vendor() as server, entered(scope()):
        await bound(server).request(
            "GET", "/x?given=1", params={"v": value, "n": None, "many": ["1", value], "yes": True}
        )
    query = urlsplit(server.requests[0].path).query
    assert parse_qsl(query, keep_blank_values=True) == [
        ("given", "1"),
        ("v", value),
        ("many", "1"),
        ("many", value),
        ("yes", "true"),
    ]


@pytest.mark.parametrize("value", [one for one in VALUES if one and one != ".."])
async def test_quoted_path_parts_arrive_unchanged(bound: Bound, value: str) -> None:
    """An id that was percent-encoded arrives as one part of the path."""
    async with vendor() as server, entered(scope()):
        await bound(server).request("GET", f"/agents/{quote(value, safe='')}/checks/")
    parts = server.requests[0].path.split("/")
    assert len(parts) == 5
    assert unquote(parts[2]) == value


async def test_next_page_of_the_same_origin(bound: Bound) -> None:
    """A whole address is accepted when it is of the bound origin, else refused without sending."""
    async with vendor() as server, vendor() as other, entered(scope()):
        client = bound(f"{server.url}/api")
        await client.request("GET", f"{server.url.upper()}/api/page?cursor=a%2Bb")
        for url in (f"{other.url}/page", "https://example.com/", f"https://127.0.0.1:{server.port}/"):
            with pytest.raises(ActionFailure, match="EGRESS_REFUSED"):
                await client.request("GET", url)
        with pytest.raises(ActionFailure, match="VENDOR_REJECTED_INPUT"):
            await client.request("GET", f"{server.url}/api/%2e%2e/admin")
    assert server.paths() == ["GET /api/page?cursor=a%2Bb"]
    assert other.connections == 0


async def test_form(bound: Bound) -> None:
    """A token request goes out as a form."""
    async with vendor() as server, entered(scope()):
        await bound(server).request("POST", "/token", form={"scope": "a b", "secret": "ä&="}, effect=False)
    sent = server.requests[0]
    assert sent.headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qsl(sent.body.decode()) == [("scope", "a b"), ("secret", "ä&=")]


async def test_large_body(bound: Bound) -> None:
    """A body over one MiB arrives whole, with its length announced."""
    body = {"text": "x" * 3_000_000}
    async with vendor() as server, entered(scope()):
        await bound(server).request("POST", "/", json=body)
    assert json.loads(server.requests[0].body) == body
    assert "transfer-encoding" not in server.requests[0].headers


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\0b", "ä", "日本", "a\x7f"])
async def test_header_that_cannot_be_sent(bound: Bound, pool: HttpPool, value: str) -> None:
    """A credential with a line break or other letters is a setting to correct; it is not repeated in the message."""
    async with vendor() as server, entered(scope()):
        with pytest.raises(ActionFailure) as by_request:
            await bound(server).request("GET", "/", headers={"X-Key": value})
        with pytest.raises(ActionFailure) as by_bind:
            pool.client(LOOPBACK).bind(base_url=server.url, headers={"X-Key": value})
    for raised in (by_request, by_bind):
        assert raised.value.failure.reason == "INTEGRATION_MISCONFIGURED"
        assert "x-key" in raised.value.failure.message
        assert value not in raised.value.failure.message
    assert server.connections == 0


@pytest.mark.parametrize("path", ["/a\x00b", "/a\nb", "/" + "x" * 70_000, "/\ud800"])
async def test_path_that_no_address_can_hold(bound: Bound, path: str) -> None:
    """Such a path is a fault of the input, found before anything is sent."""
    async with vendor() as server, entered(scope()) as call:
        with pytest.raises(ActionFailure, match="VENDOR_REJECTED_INPUT"):
            await bound(server).request("POST", path)
    assert (server.connections, call.sent) == (0, False)
