"""TLS of the gRPC port: who gets in, and which files are taken."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from patchbay_client import TLS, AsyncPatchbay
from structlog.testing import capture_logs

from server.app import running_server, start_server
from server.edge.tls import TlsFileUnusable
from server.gen.patchbay.v1 import identity_pb2
from tests.operations.service import Apart
from tests.support.certificates import HOUR, Authority, Pair, key_pem, trusting
from tests.support.postgres import Fresh
from tests.support.served import settings_for

pytestmark = pytest.mark.anyio

OURS, THEIRS = Authority("ours"), Authority("theirs")


class Files:
    """Certificate, key and authorities of clients in a folder."""

    def __init__(self, folder: Path, pair: Pair) -> None:
        self.certificate, self.key, self.clients = (folder / name for name in ("port.pem", "key.pem", "clients.pem"))
        self.write(pair)
        self.clients.write_bytes(OURS.certificate)

    def write(self, pair: Pair) -> None:
        """Puts a pair into new files that take the place of the old ones, as what renews certificates does."""
        for file, content in ((self.certificate, pair.certificate), (self.key, pair.key)):
            new = file.with_suffix(".new")
            new.write_bytes(content)
            new.replace(file)

    @property
    def settings(self) -> dict[str, Path]:
        """The settings that name certificate and key."""
        return {"tls_cert_file": self.certificate, "tls_key_file": self.key}


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A pair of ours."""
    return Files(tmp_path, OURS.issue())


@asynccontextmanager
async def port(fresh: Fresh, folder: Path, **settings: Any) -> AsyncIterator[str]:
    """A server for the block, as its address."""
    async with running_server(settings_for(fresh, folder, **settings)) as handle:
        yield handle.target


async def ask(target: str, tls: grpc.ChannelCredentials | None) -> str:
    """Asks for the tenants on a connection of its own; returns `in`, or why no connection came to be."""
    caller = Apart(target, tls=tls)
    try:
        await caller("Identity/ListTenants", identity_pb2.ListTenantsRequest(), timeout=10)
    except grpc.aio.AioRpcError as error:
        if error.code() != grpc.StatusCode.UNAVAILABLE:
            raise
        return error.details() or ""
    finally:
        await caller.close()
    return "in"


async def test_a_client_that_trusts_the_authority_gets_in(fresh: Fresh, files: Files, tmp_path: Path) -> None:
    """With our authority calls are answered; with another one, or without TLS, no connection comes to be."""
    async with port(fresh, tmp_path, **files.settings) as target:
        assert await ask(target, trusting(OURS)) == "in"
        assert "CERTIFICATE_VERIFY_FAILED" in await ask(target, trusting(THEIRS))
        assert await ask(target, None) != "in"


async def test_the_python_client_is_told_an_authority(fresh: Fresh, files: Files, tmp_path: Path) -> None:
    """`TLS(ca=...)` is all that the client needs."""
    async with (
        port(fresh, tmp_path, **files.settings) as target,
        AsyncPatchbay(target, tls=TLS(ca=OURS.certificate)) as patchbay,
    ):
        assert (await patchbay.tenants.create("acme")).slug == "acme"


async def test_without_a_clients_certificate_nobody_gets_in(fresh: Fresh, files: Files, tmp_path: Path) -> None:
    """With authorities for clients, a certificate of theirs is needed; none and a stranger's are refused."""
    async with port(fresh, tmp_path, **files.settings, tls_client_ca_file=files.clients) as target:
        assert await ask(target, trusting(OURS)) != "in"
        assert await ask(target, trusting(OURS, THEIRS.issue())) != "in"
        assert await ask(target, trusting(OURS, OURS.issue(ends=-HOUR))) != "in"
        assert await ask(target, trusting(OURS, OURS.issue())) == "in"


async def test_a_clients_certificate_is_no_credential(fresh: Fresh, files: Files, tmp_path: Path) -> None:
    """Who shows a certificate still needs a key where keys are required."""
    mutual = {**files.settings, "tls_client_ca_file": files.clients, "auth": "required"}
    async with port(fresh, tmp_path, **mutual) as target:
        caller = Apart(target, tls=trusting(OURS, OURS.issue()))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await caller("Identity/ListTenants", identity_pb2.ListTenantsRequest())
        await caller.close()
        assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED


async def test_renewed_files_are_taken_up(fresh: Fresh, files: Files, tmp_path: Path) -> None:
    """The next handshake shows what the files hold then; calls on open connections go on; the log has the new end."""
    async with port(fresh, tmp_path, **files.settings) as target:
        before = Apart(target, tls=trusting(OURS))
        await before("Identity/ListTenants", identity_pb2.ListTenantsRequest())
        with capture_logs() as logged:
            files.write(THEIRS.issue())
            assert await ask(target, trusting(THEIRS)) == "in"
            assert await ask(target, trusting(THEIRS)) == "in"
        assert [line["event"] for line in logged if "tls" in line["event"]] == ["tls certificate"]
        assert await ask(target, trusting(OURS)) != "in"
        await before("Identity/ListTenants", identity_pb2.ListTenantsRequest())
        await before.close()


async def test_revoked_authorities_of_clients_are_taken_up(fresh: Fresh, files: Files, tmp_path: Path) -> None:
    """Another authority in the file of clients lets in its clients, and no more those of the one before."""
    async with port(fresh, tmp_path, **files.settings, tls_client_ca_file=files.clients) as target:
        files.clients.write_bytes(THEIRS.certificate)
        assert await ask(target, trusting(OURS, THEIRS.issue())) == "in"
        assert await ask(target, trusting(OURS, OURS.issue())) != "in"


async def test_half_renewed_files_change_nothing(fresh: Fresh, files: Files, tmp_path: Path) -> None:
    """A certificate without its key yet, or a file that is gone, leaves what was shown; the log tells it once."""
    async with port(fresh, tmp_path, **files.settings) as target:
        with capture_logs() as logged:
            files.certificate.write_bytes(THEIRS.issue().certificate)
            assert await ask(target, trusting(OURS)) == "in"
            assert await ask(target, trusting(OURS)) == "in"
            files.key.unlink()
            assert await ask(target, trusting(OURS)) == "in"
        told = [line["error"] for line in logged if line["event"] == "tls files unusable"]
        assert told == [
            f"{files.key} is not the key of the first certificate in {files.certificate}",
            f"{files.key}: No such file or directory",
        ]
        files.write(THEIRS.issue())
        assert await ask(target, trusting(THEIRS)) == "in"


@pytest.mark.parametrize("key", [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())])
async def test_kinds_of_keys(fresh: Fresh, files: Files, tmp_path: Path, key: Any) -> None:
    """RSA and P-384 serve as P-256 does."""
    files.write(OURS.issue(key))
    async with port(fresh, tmp_path, **files.settings) as target:
        assert await ask(target, trusting(OURS)) == "in"


def _missing(files: Files) -> None:
    files.key.unlink()


def _unreadable(files: Files) -> None:
    files.certificate.unlink()
    files.certificate.mkdir()


def _garbage(files: Files) -> None:
    files.certificate.write_bytes(b"no certificate")


def _damaged(files: Files) -> None:
    files.key.write_bytes(files.key.read_bytes().replace(b"\n", b"\nAAAA", 2))


def _encrypted(files: Files) -> None:
    files.key.write_bytes(key_pem(ec.generate_private_key(ec.SECP256R1()), b"hunter2hunter2"))


def _of_another(files: Files) -> None:
    files.key.write_bytes(OURS.issue().key)


def _ed25519(files: Files) -> None:
    files.write(OURS.issue(ed25519.Ed25519PrivateKey.generate()))


def _p521(files: Files) -> None:
    files.write(OURS.issue(ec.generate_private_key(ec.SECP521R1())))


def _no_authority(files: Files) -> None:
    files.clients.write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "file", "words"),
    [
        (_missing, "key", "No such file"),
        (_unreadable, "certificate", "Is a directory"),
        (_garbage, "certificate", "no certificate in PEM form"),
        (_damaged, "key", "no private key in PEM form, or one that is damaged"),
        (_encrypted, "key", "without a passphrase"),
        (_of_another, "key", "is not the key of the first certificate"),
        (_ed25519, "key", "RSA, or on the curve"),
        (_p521, "key", "RSA, or on the curve"),
        (_no_authority, "clients", "no certificate in PEM form"),
    ],
)
async def test_files_that_cannot_be_used(
    fresh: Fresh, files: Files, tmp_path: Path, spoil: Any, file: str, words: str
) -> None:
    """A server does not start with them: the error names the file, and nothing of a key."""
    spoil(files)
    settings = settings_for(fresh, tmp_path, **files.settings, tls_client_ca_file=files.clients)
    with pytest.raises(TlsFileUnusable, match=words) as told:
        await start_server(settings)
    assert str(told.value).startswith(str(getattr(files, file)))
    kept = files.key.read_text().splitlines() if files.key.exists() else []
    assert not [line for line in kept if line in str(told.value)]


@pytest.mark.parametrize("ends", [HOUR, -HOUR])
async def test_the_log_tells_when_the_certificate_ends(fresh: Fresh, files: Files, tmp_path: Path, ends: Any) -> None:
    """A start logs the certificate's end, as a warning when that is over; it serves all the same."""
    files.write(OURS.issue(ends=ends))
    with capture_logs() as logged:
        async with port(fresh, tmp_path, **files.settings) as target:
            assert (await ask(target, trusting(OURS)) == "in") is (ends > -ends)
    [line] = [line for line in logged if line["event"] == "tls certificate"]
    assert (line["log_level"], line["valid"]) == (("info", True) if ends > -ends else ("warning", False))
