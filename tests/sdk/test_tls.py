"""TLS: verified by name on the checked address; whatever goes wrong there, nothing was sent."""

import asyncio
import datetime as dt
import ssl
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from server.sdk.failures import ActionFailure, Effect
from server.sdk.http import EgressGrant, HttpPool
from server.sdk.scope import entered
from tests.sdk.conftest import LOOPBACK, Names, scope
from tests.sdk.vendor import answer, vendor

pytestmark = pytest.mark.anyio

NAME = "rmm.example.test"
DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate and its key in one file."""

    path: Path

    def server(self) -> ssl.SSLContext:
        """Returns a server's context."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path)
        return context

    def trust(self) -> ssl.SSLContext:
        """Returns a client's context that trusts this certificate alone."""
        return ssl.create_default_context(cafile=str(self.path))


def certificate(folder: Path, name: str = NAME, age: dt.timedelta = DAY) -> Certificate:
    """Makes a certificate for a name that was valid for ten days from `age` ago."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begun = dt.datetime.now(dt.UTC) - age
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begun)
        .not_valid_after(begun + 10 * DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / f"{name}-{age.days}.pem"
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return Certificate(path)


@pytest.fixture
def names_of_loopback(names: Names) -> Names:
    """Both test names lead to loopback."""
    names.answers[NAME] = names.answers["other.example.test"] = [["127.0.0.1"]]
    return names


async def test_verified_by_name_on_the_checked_address(tmp_path: Path, names_of_loopback: Names) -> None:
    """The connection goes to the address, while SNI and verification use the name; plain http is not needed."""
    own = certificate(tmp_path)
    asked: list[str] = []
    server_tls = own.server()
    server_tls.sni_callback = lambda _socket, name, _context: asked.append(name)
    pool = HttpPool(lookup=names_of_loopback, tls=own.trust())
    grant = EgressGrant.parse(["127.0.0.0/8"])
    async with vendor(tls=server_tls) as server, entered(scope()) as call:
        await pool.client(grant).bind(base_url=server.named(f"{NAME}.")).request("POST", "/")
    await pool.close()
    assert asked == [NAME]
    assert server.requests[0].headers["host"] == f"{NAME}:{server.port}"
    assert call.sent


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("case", "told"),
    [
        ("self-signed", "self-signed certificate"),
        ("other name", "Hostname mismatch"),
        ("expired", "certificate has expired"),
        ("by address", "IP address mismatch"),
    ],
)
async def test_tls_failure(tmp_path: Path, names_of_loopback: Names, case: str, told: str, method: str) -> None:
    """An unverified server is TLS_FAILED: not retryable, no effect, no mark, no request, one attempt."""
    own = certificate(tmp_path, age=20 * DAY if case == "expired" else DAY)
    trust = certificate(tmp_path, "unrelated.example.test") if case == "self-signed" else own
    host = {"other name": "other.example.test", "by address": "127.0.0.1"}.get(case, NAME)
    pool = HttpPool(lookup=names_of_loopback, tls=trust.trust())
    async with vendor(tls=own.server()) as server, entered(scope()) as call:
        client = pool.client(LOOPBACK).bind(base_url=f"https://{host}:{server.port}")
        with pytest.raises(ActionFailure) as raised:
            await client.request(method, "/")
    await pool.close()
    failure = raised.value.failure
    assert (failure.reason, failure.retryable, failure.effect) == ("TLS_FAILED", False, Effect.EFFECT_NONE)
    assert told in failure.message
    assert (server.requests, call.sent) == ([], False)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_port_that_speaks_no_tls(tmp_path: Path, names_of_loopback: Names, method: str) -> None:
    """A plain http server behind an https address is TLS_FAILED."""

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer(400))
        await reader.read()
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    url = f"https://{NAME}:{server.sockets[0].getsockname()[1]}"
    pool = HttpPool(lookup=names_of_loopback, tls=certificate(tmp_path).trust())
    async with entered(scope()) as call:
        with pytest.raises(ActionFailure, match=r"TLS_FAILED.*secure connection"):
            await pool.client(LOOPBACK).bind(base_url=url).request(method, "/")
    await pool.close()
    server.close()
    await server.wait_closed()
    assert not call.sent


async def test_handshake_that_breaks_off(tmp_path: Path, names_of_loopback: Names) -> None:
    """A server that hangs up during the handshake is unavailable; a write had no effect and is tried again."""
    attempts: list[int] = []

    def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        attempts.append(1)
        writer.transport.abort()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    pool = HttpPool(lookup=names_of_loopback, tls=certificate(tmp_path).trust(), draw=lambda: 0.0)
    async with entered(scope(repeatable=False)) as call:
        with pytest.raises(ActionFailure) as raised:
            await pool.client(LOOPBACK).bind(base_url=f"https://{NAME}:{port}").request("POST", "/")
    await pool.close()
    server.close()
    await server.wait_closed()
    assert (raised.value.failure.reason, raised.value.failure.effect) == ("VENDOR_UNAVAILABLE", Effect.EFFECT_NONE)
    assert (len(attempts), call.sent) == (3, False)


async def test_no_way_from_https_to_http(tmp_path: Path, names_of_loopback: Names) -> None:
    """A redirect from https to http is refused even where plain http is granted."""
    own = certificate(tmp_path)
    pool = HttpPool(lookup=names_of_loopback, tls=own.trust())
    async with vendor() as plain, vendor(tls=own.server()) as server, entered(scope()):
        server.script[:] = [answer(302, b"", f"Location: {plain.named(NAME)}/")]
        with pytest.raises(ActionFailure, match="EGRESS_REFUSED"):
            await pool.client(LOOPBACK).bind(base_url=server.named(NAME)).request("GET", "/")
    await pool.close()
    assert (len(server.requests), plain.connections) == (1, 0)


async def test_authorities_of_the_public_are_the_default(tmp_path: Path, names_of_loopback: Names) -> None:
    """Without a context of its own the pool trusts no certificate that somebody signed himself."""
    pool = HttpPool(lookup=names_of_loopback)
    async with vendor(tls=certificate(tmp_path).server()) as server, entered(scope()):
        with pytest.raises(ActionFailure, match="TLS_FAILED"):
            await pool.client(LOOPBACK).bind(base_url=server.named(NAME)).request("GET", "/")
    await pool.close()
