"""The egress guard on real connections: what is refused is never connected to, what is connected to was checked."""

import socket

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from server.sdk.failures import ActionFailure, Effect
from server.sdk.http import EgressGrant, HttpPool
from server.sdk.http.flight import Flight, MarkingConnector, flights
from server.sdk.http.guard import AddressRefused, guarded_sockets
from server.sdk.scope import entered
from tests.sdk.conftest import LOOPBACK, Bound, Names, scope
from tests.sdk.vendor import Act, answer, vendor

pytestmark = pytest.mark.anyio

ONE = EgressGrant.parse(["127.0.0.1"], plain_http=True)
HTTP_ONLY = EgressGrant(plain_http=True)


async def refusal(bound: Bound, url: str, grant: EgressGrant, method: str = "GET") -> ActionFailure:
    """Returns the failure of a request, from binding or sending."""
    events: list[str] = []
    async with entered(scope(events=events)):
        with pytest.raises(ActionFailure) as raised:
            await bound(url, grant).request(method, "/")
    assert events == []
    assert raised.value.failure.effect == Effect.EFFECT_NONE
    return raised.value


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0"]
)
async def test_literal_is_not_connected_to(bound: Bound, host: str, method: str) -> None:
    """Without a grant no spelling of loopback reaches a server that listens there, and no send mark is made."""
    async with vendor() as server:
        failed = await refusal(bound, f"http://{host}:{server.port}", HTTP_ONLY, method)
    assert failed.failure.reason == "EGRESS_REFUSED"
    assert server.connections == 0


@pytest.mark.parametrize(
    ("addresses", "told"),
    [
        (["127.0.0.1"], "loopback"),
        (["::1"], "loopback"),
        (["::ffff:127.0.0.1"], "loopback"),
        (["10.20.30.40"], "private"),
        (["169.254.169.254"], "cloud metadata"),
        (["fe80::1%2"], "link-local"),
        (["8.8.8.8", "127.0.0.1"], "loopback"),
        (["127.0.0.1", "8.8.8.8"], "loopback"),
        (["2606:4700::1111", "192.168.0.9"], "private"),
        (["nonsense"], "unreadable"),
    ],
)
async def test_name_is_refused_when_any_address_is(bound: Bound, names: Names, addresses: list[str], told: str) -> None:
    """One address that is not allowed refuses the whole name, naming the class and not the address."""
    names.answers["rmm.example.test"] = [addresses]
    async with vendor() as server:
        failed = await refusal(bound, server.named("rmm.example.test"), HTTP_ONLY, "POST")
    assert failed.failure.reason == "EGRESS_REFUSED"
    assert told in failed.failure.message
    assert not any(address in failed.failure.message for address in addresses)
    assert not failed.failure.retryable
    assert server.connections == 0


@pytest.mark.parametrize("name", ["RMM.Example.Test", "rmm.example.test.", "rmm.example.test"])
async def test_granted_name_is_reached_in_any_spelling(bound: Bound, names: Names, name: str) -> None:
    """Case and a trailing dot change nothing; the vendor sees one spelling."""
    names.answers["rmm.example.test"] = [["127.0.0.1"]]
    async with vendor() as server, entered(scope()):
        await bound(server.named(name)).request("GET", "/")
    assert server.requests[0].headers["host"] == f"rmm.example.test:{server.port}"
    assert names.asked == ["rmm.example.test"]


async def test_connection_goes_to_the_checked_address(bound: Bound, names: Names) -> None:
    """A name is asked once for a connection; an answer that changes afterwards cannot move that connection."""
    names.answers["rebind.example.test"] = [["127.0.0.1"], ["127.0.0.2"]]
    async with vendor() as checked, entered(scope()):
        client = bound(checked.named("rebind.example.test"), ONE)
        for _ in range(3):
            await client.request("POST", "/")
    assert len(checked.requests) == 3
    assert names.asked == ["rebind.example.test"]


async def test_name_that_turns_private_is_refused(names: Names) -> None:
    """The next connection resolves again and is checked again: first allowed, then not."""
    names.answers["rebind.example.test"] = [["127.0.0.1"], ["127.0.0.2"]]
    pool = HttpPool(lookup=names, dns_seconds=0)
    async with vendor((answer(), Act.CLOSE)) as server, entered(scope()):
        client = pool.client(ONE).bind(base_url=server.named("rebind.example.test"))
        await client.request("GET", "/")
        with pytest.raises(ActionFailure) as raised:
            await client.request("GET", "/")
    await pool.close()
    assert raised.value.failure.reason == "EGRESS_REFUSED"
    assert server.connections == 1
    assert len(names.asked) == 2


async def test_two_grants_share_nothing(pool: HttpPool) -> None:
    """A connection that one grant opened cannot be used by a client without it."""
    async with vendor() as server, entered(scope()):
        await pool.client(LOOPBACK).bind(base_url=server.url).request("GET", "/")
        with pytest.raises(ActionFailure, match="EGRESS_REFUSED"):
            await pool.client(HTTP_ONLY).bind(base_url=server.url).request("GET", "/")
    assert len(server.requests) == 1


async def test_ipv6_vendor_is_reached_by_grant(bound: Bound, names: Names) -> None:
    """IPv6 works by literal and by name."""
    names.answers["six.example.test"] = [["::1"]]
    async with vendor(host="::1") as server, entered(scope()):
        for url in (f"http://[::1]:{server.port}", f"http://[0:0::1]:{server.port}", server.named("six.example.test")):
            await bound(url).request("GET", "/")
    assert len(server.requests) == 3


async def test_plain_http_needs_a_grant(bound: Bound) -> None:
    """A private network alone does not allow http."""
    async with vendor() as server:
        failed = await refusal(bound, server.url, EgressGrant.parse(["127.0.0.0/8"]))
    assert failed.failure.reason == "EGRESS_REFUSED"
    assert "http" in failed.failure.message


async def test_last_gate_holds_alone() -> None:
    """Even with a resolver that checks nothing, the socket for a refused address is never made."""

    class Blind(AbstractResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            return [
                ResolveResult(
                    hostname=host, host="127.0.0.1", port=port, family=family or socket.AF_INET, proto=6, flags=0
                )
            ]

        async def close(self) -> None:
            """Holds nothing."""

    async with vendor() as server:
        connector = MarkingConnector(resolver=Blind(), socket_factory=guarded_sockets(EgressGrant()))
        async with aiohttp.ClientSession(connector=connector) as session:
            flights.set(Flight(scope(), writes=False))
            with pytest.raises(aiohttp.ClientConnectorError) as raised:
                await session.get(server.named("blind.example.test"))
    assert isinstance(raised.value.os_error, AddressRefused)
    assert server.connections == 0


async def test_system_lookup_is_guarded_too() -> None:
    """With the machine's own resolver `localhost` is refused."""
    pool = HttpPool()
    async with vendor() as server, entered(scope()):
        with pytest.raises(ActionFailure, match="loopback"):
            await pool.client(HTTP_ONLY).bind(base_url=server.named("localhost")).request("GET", "/")
        await pool.client(LOOPBACK).bind(base_url=server.named("localhost")).request("GET", "/")
    await pool.close()
    assert len(server.requests) == 1


async def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch, names: Names) -> None:
    """HTTP_PROXY and its kin do not see the requests."""
    async with vendor() as proxy, vendor() as server, entered(scope()):
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        pool = HttpPool(lookup=names)
        await pool.client(LOOPBACK).bind(base_url=server.url).request("GET", "/")
        await pool.close()
    assert (len(server.requests), proxy.connections) == (1, 0)
