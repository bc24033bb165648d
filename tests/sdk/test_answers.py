"""Answers as the module gets them: unpacked, limited, decoded; and connections after them."""

import asyncio
import gzip
import json
import tracemalloc
import zlib
from collections.abc import AsyncIterator

import pytest

from server.sdk.failures import ActionFailure, OutcomeUnknown
from server.sdk.http import EgressGrant, HttpPool, HttpResponse
from server.sdk.http.response import TooLargeError, read_body
from server.sdk.scope import entered
from tests.sdk.conftest import LOOPBACK, SECRET, Bound, Names, scope
from tests.sdk.vendor import Act, Received, answer, vendor

pytestmark = pytest.mark.anyio

TEXT = json.dumps({"names": ["Zoë", "日本"], "n": list(range(500))}).encode()


def bare_deflate(data: bytes) -> bytes:
    """Returns deflate without the zlib header."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("identity", TEXT),
        ("gzip", gzip.compress(TEXT)),
        ("GZIP", gzip.compress(TEXT)),
        ("x-gzip", gzip.compress(TEXT)),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", bare_deflate(TEXT)),
    ],
)
async def test_packed_answer_is_unpacked(bound: Bound, encoding: str, body: bytes) -> None:
    """gzip and both meanings of deflate arrive as the plain body."""
    async with vendor(answer(200, body, f"Content-Encoding: {encoding}")) as server, entered(scope()):
        found = await bound(server).request("GET", "/")
    assert found.content == TEXT
    assert found.json()["names"] == ["Zoë", "日本"]


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(TEXT)[:-9]),
        ("gzip", TEXT),
        ("gzip", gzip.compress(TEXT) + b"more"),
        ("gzip, gzip", gzip.compress(gzip.compress(TEXT))),
        ("br", TEXT),
        ("zstd", TEXT),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_answer_that_cannot_be_unpacked(bound: Bound, encoding: str, body: bytes, method: str) -> None:
    """Cut, false, nested or unasked packing is an invalid answer; for a write an unknown outcome."""
    async with vendor(answer(200, body, f"Content-Encoding: {encoding}")) as server, entered(scope()):
        with pytest.raises(ActionFailure) as raised:
            await bound(server).request(method, "/")
    assert raised.value.failure.reason == ("VENDOR_ANSWER_INVALID" if method == "GET" else "OUTCOME_UNKNOWN")


async def test_no_body_at_all_may_claim_any_packing(bound: Bound) -> None:
    """HEAD and 204 have no body to unpack."""
    steps = [answer(200, b"", "Content-Encoding: gzip", length=500), answer(204, b"", "Content-Encoding: gzip")]
    async with vendor(*steps) as server, entered(scope()):
        client = bound(server)
        assert (await client.request("HEAD", "/")).content == b""
        assert (await client.request("GET", "/")).content == b""


@pytest.mark.parametrize("size", [999, 1000])
@pytest.mark.parametrize("packed", [False, True])
async def test_answer_at_the_limit(bound: Bound, size: int, packed: bool) -> None:
    """An answer of exactly the limit is accepted, packed or not."""
    body = gzip.compress(b"x" * size) if packed else b"x" * size
    encoding = "gzip" if packed else "identity"
    async with vendor(answer(200, body, f"Content-Encoding: {encoding}")) as server, entered(scope()):
        assert len((await bound(server, max_bytes=1000).request("GET", "/")).content) == size


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("identity", b"x" * 1001),
        ("gzip", gzip.compress(b"x" * 1001)),
        ("gzip", gzip.compress(b"\0" * 50_000_000)),
        ("deflate", zlib.compress(b"\0" * 50_000_000)),
    ],
    ids=["plain", "packed", "gzip bomb", "deflate bomb"],
)
async def test_answer_over_the_limit(bound: Bound, encoding: str, body: bytes) -> None:
    """One byte more is refused, and a bomb is never unpacked beyond the limit."""
    async with vendor(answer(200, body, f"Content-Encoding: {encoding}"), answer()) as server, entered(scope()):
        client = bound(server, max_bytes=1000)
        with pytest.raises(ActionFailure, match="VENDOR_ANSWER_TOO_LARGE"):
            await client.request("GET", "/")
        assert (await client.request("GET", "/")).json() == {}
    assert len(server.requests) == 2


async def test_bomb_takes_no_memory() -> None:
    """Fifty megabytes in fifty kilobytes are unpacked to the limit and one byte: more is never held."""
    bomb = gzip.compress(b"\0" * 50_000_000)

    async def chunks() -> AsyncIterator[bytes]:
        yield bomb

    tracemalloc.start()
    with pytest.raises(TooLargeError) as raised:
        await read_body(chunks(), "gzip", 1000)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(raised.value.begun) == 1000
    assert peak < 1_000_000


async def test_endless_answer_ends_at_the_limit(bound: Bound) -> None:
    """A body without an end is read no further than allowed, and its connection is not used again."""

    def piece(_received: Received) -> bytes:
        return b"1000\r\n" + b"x" * 4096 + b"\r\n"

    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with vendor((head, *[piece] * 5000), answer()) as server, entered(scope()):
        client = bound(server, max_bytes=100_000)
        with pytest.raises(ActionFailure, match="VENDOR_ANSWER_TOO_LARGE"):
            await client.request("GET", "/")
        await client.request("GET", "/")
    assert [one.connection for one in server.requests] == [1, 2]


async def test_slow_body_within_the_deadline(bound: Bound) -> None:
    """Time between parts of an answer is no failure as long as the deadline holds."""
    gate = asyncio.Event()

    def wait(_received: Received) -> bytes:
        asyncio.get_running_loop().call_later(0.2, gate.set)
        return b""

    async with vendor((answer(200, b"", length=2), wait, b"{", b"}")) as server, entered(scope()):
        assert (await bound(server).request("GET", "/")).json() == {}


@pytest.mark.parametrize("body", ["", "<html></html>", "{", "{]", "[" * 100_000, b"\xff\xfe\x00"])
async def test_answer_that_is_not_json(bound: Bound, body: str | bytes) -> None:
    """A read says that the answer is invalid; a write that nobody knows what happened. Both keep the status."""
    async with vendor(answer(201, body)) as server, entered(scope()):
        client = bound(server)
        with pytest.raises(ActionFailure) as read:
            (await client.request("GET", "/")).json()
        with pytest.raises(OutcomeUnknown) as written:
            (await client.request("POST", "/")).json()
    assert read.value.failure.reason == "VENDOR_ANSWER_INVALID"
    assert read.value.failure.vendor_status == written.value.failure.vendor_status == 201


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("text/plain", "Zoë".encode(), "Zoë"),
        ("text/plain; charset=latin-1", "Zoë".encode("latin-1"), "Zoë"),
        ('text/plain; charset="ISO-8859-1"', "Zoë".encode("latin-1"), "Zoë"),
        ("text/plain; charset=nonsense", "Zoë".encode(), "Zoë"),
        ("text/plain; charset=base64", b"Wm8=", "Wm8="),
        ("text/plain", b"a\xffb", "a\ufffdb"),
    ],
)
def test_text_in_the_charset_it_names(kind: str, body: bytes, text: str) -> None:
    """The charset is obeyed when it is one; broken bytes are shown as such."""
    assert HttpResponse(200, {"content-type": kind}, body, request_wrote=False).text == text


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("application/json", '{"detail": "No\\n such   agent"}', "No such agent"),
        ("application/json", '{"code": 404, "message": "Not found"}', "Not found"),
        ("application/json", '{"resultCode": "FAILURE", "errorMessage": "No such device"}', "No such device"),
        ("application/json", '{"error": "invalid_grant", "error_description": "expired"}', "invalid_grant; expired"),
        (
            "application/json",
            '{"errors": [{"name": ["too short", "taken"]}, "and more"]}',
            "name: too short taken and more",
        ),
        (
            "application/json",
            '{"detail": "Wrong.", "plat": ["Not valid.", "Choose."]}',
            "Wrong.; plat: Not valid. Choose.",
        ),
        ("application/json", '"\\ud800 half"', "? half"),
        ("application/json", f'{{"error": "{SECRET[:3]}\\u{ord(SECRET[3]):04x}{SECRET[4:]} is bad"}}', "*** is bad"),
        ("application/json", "[" * 100_000, None),
        ("text/html", "<html><head><title> 502 Bad\n Gateway </title></head><body>nginx</body>", "502 Bad Gateway"),
        ("text/html", "<style>p {}</style><script>alert(1)</script><p>Agent &amp; more</p>", "Agent & more"),
        ("text/plain", "<!doctype html><h1>Server <b>Error</b></h1>", "Server Error"),
        ("text/plain", f"token {SECRET} is bad", "token *** is bad"),
        ("text/plain", "x" * 5000, "x" * 1000),
        ("text/html", "<" * 300_000, None),
        ("text/html", "<script>" * 40_000, None),
        ("application/octet-stream", b"\x00\xff\x01", None),
    ],
)
async def test_vendors_words(bound: Bound, kind: str, body: str | bytes, said: str | None) -> None:
    """The vendor's message is masked, cut and freed of HTML, whatever it is."""
    async with vendor(answer(400, body, f"Content-Type: {kind}")) as server, entered(scope()):
        with pytest.raises(ActionFailure) as raised:
            await bound(server).request("GET", "/")
    told = raised.value.failure.vendor_message
    assert len(told) <= 1000
    if said is not None:
        assert told == said


async def test_secret_at_the_cut_is_masked(bound: Bound) -> None:
    """A secret that the cut would split is masked before."""
    async with vendor(answer(400, "x" * 990 + SECRET)) as server, entered(scope()):
        with pytest.raises(ActionFailure) as raised:
            await bound(server).request("GET", "/")
    assert raised.value.failure.vendor_message == "x" * 990 + "***"


async def test_cookies_are_not_kept(bound: Bound, names: Names) -> None:
    """What a vendor sets for one tenant is never sent for another."""
    names.answers["rmm.example.test"] = [["127.0.0.1"]]
    async with vendor(answer(200, "{}", "Set-Cookie: session=abc; Path=/")) as server, entered(scope()):
        client = bound(server.named("rmm.example.test"))
        for _ in range(3):
            assert (await client.request("GET", "/")).headers["set-cookie"].startswith("session=abc")
    assert all("cookie" not in one.headers for one in server.requests)


async def test_connections_are_shared_and_kept(pool: HttpPool) -> None:
    """Clients of equal grants use one connection in turn; an answer that was not read to its end closes its own."""
    async with vendor(answer(), answer(), answer(404, b"x" * 1_000_000), answer()) as server, entered(scope()):
        for _ in range(4):
            grant = EgressGrant.parse(["127.0.0.0/8"], plain_http=True)
            await pool.client(grant).bind(base_url=server.url).request("GET", "/", ok={200, 404})
    assert [one.connection for one in server.requests] == [1, 1, 1, 1]


async def test_answer_before_the_request_was_read(bound: Bound) -> None:
    """A vendor that refuses a large body early and hangs up has still given a definite answer."""

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(413, "too big", "Connection: close"))
        await writer.drain()
        await reader.read(5_000_000)
        writer.close()

    server = await asyncio.start_server(early, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with entered(scope(repeatable=False)):
        with pytest.raises(ActionFailure) as raised:
            await bound(f"http://127.0.0.1:{port}").request("POST", "/", json={"x": "y" * 50_000})
    server.close()
    await server.wait_closed()
    assert raised.value.failure.vendor_status == 413


async def test_closed_pool_sends_nothing(names: object) -> None:
    """After close a client fails without effect."""
    pool = HttpPool()
    async with vendor() as server, entered(scope()):
        client = pool.client(LOOPBACK).bind(base_url=server.url)
        await client.request("GET", "/")
        await pool.close()
        with pytest.raises(ActionFailure, match="VENDOR_UNAVAILABLE"):
            await client.request("POST", "/", timeout=1)
    assert len(server.requests) == 1


async def test_unbound_client_has_no_address(pool: HttpPool) -> None:
    """A client must be bound before it can send."""
    async with entered(scope()):
        with pytest.raises(ValueError, match="bind"):
            await pool.client(LOOPBACK).request("GET", "/")


async def test_hanging_vendor_does_not_stop_others(bound: Bound) -> None:
    """A vendor that hangs on all the connections it may have leaves other vendors untouched."""
    async with vendor(Act.HANG) as slow, vendor() as quick, entered(scope(1.0)):
        client = bound(slow)
        hung = [asyncio.ensure_future(client.request("GET", "/", timeout=1.0)) for _ in range(100)]
        assert (await bound(quick).request("GET", "/")).status == 200
        results = await asyncio.gather(*hung, return_exceptions=True)
    assert all(isinstance(one, ActionFailure) for one in results)
    assert slow.connections == 64
