"""`patchbay serve` with TLS, as an operator runs it: options, several workers, the command line as its client."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from server.gen.patchbay.v1 import identity_pb2
from tests.operations.service import PATCHBAY, Apart, Service, environment, service
from tests.support.certificates import Authority, Pair, trusting
from tests.support.paths import ROOT
from tests.support.ports import free_port

pytestmark = pytest.mark.anyio

OURS, THEIRS = Authority("ours"), Authority("theirs")
NOWHERE = "203.0.113.1"  # an address for documents (RFC 5737): no machine has it
GRPCURL = os.environ.get("GRPCURL") or shutil.which("grpcurl") or ""
CONNECTIONS = 16  # so many that each of two workers gets some


def written(folder: Path, pair: Pair, name: str = "port") -> tuple[str, str]:
    """Writes a pair into two files; returns their names."""
    folder.mkdir(exist_ok=True)
    certificate, key = folder / f"{name}.pem", folder / f"{name}-key.pem"
    certificate.write_bytes(pair.certificate)
    key.write_bytes(pair.key)
    return str(certificate), str(key)


async def knock(running: Service, authority: Authority) -> None:
    """Makes many calls, each on a connection of its own."""
    for _ in range(CONNECTIONS):
        caller = Apart(running.target, running.key, tls=trusting(authority))
        await caller("Identity/ListTenants", identity_pb2.ListTenantsRequest())
        await caller.close()


async def test_all_workers_have_tls_and_take_up_renewed_files(folder: Path) -> None:
    """Every connection to two workers is one with TLS, also after certificate and key were replaced."""
    certificate, key = written(folder, OURS.issue())
    options = ["--tls-cert", certificate, "--tls-key", key, "--workers", "2"]
    with service(folder, *options, listen=f"127.0.0.1:{free_port()}") as running:
        await knock(running.serving(2), OURS)
        written(folder, THEIRS.issue())
        await knock(running, THEIRS)
        assert not running.events("no TLS beyond this machine")
        assert running.end() == 0


def test_the_command_line_is_told_authority_and_certificate(folder: Path) -> None:
    """`--ca-file` and a client's certificate let commands in; without them they end with 6."""
    certificate, key = written(folder, OURS.issue())
    shown = written(folder, OURS.issue(), "client")
    authority = folder / "authority.pem"
    authority.write_bytes(OURS.certificate)
    files = {"tls_cert_file": certificate, "tls_key_file": key, "tls_client_ca_file": authority}
    with service(folder, **files) as running:
        running.serving()
        settings = environment(server=running.target, api_key=running.key)
        trust = ["--ca-file", str(authority)]
        for options, code in (
            ([*trust, "--client-cert", shown[0], "--client-key", shown[1]], 0),
            (trust, 6),
            ([], 6),
            ([*trust, "--client-cert", shown[0]], 2),
        ):
            command = [*PATCHBAY, "tenants", "list", "--json", *options]
            done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, check=False)
            assert done.returncode == code, done.stderr
            assert (done.stdout == "[]\n") is (code == 0)


@pytest.mark.skipif(not GRPCURL, reason="there is no grpcurl, neither in GRPCURL nor on the path")
def test_grpcurl_gets_in(folder: Path) -> None:
    """The real grpcurl is answered with authority and certificate, and gets no connection without the latter."""
    certificate, key = written(folder, OURS.issue())
    shown = written(folder, OURS.issue(), "client")
    authority = folder / "authority.pem"
    authority.write_bytes(OURS.certificate)
    options = ["--tls-cert", certificate, "--tls-key", key, "--tls-client-ca", str(authority)]
    with service(folder, *options) as running:
        running.serving()
        call = [GRPCURL, "-max-time", "10", "-cacert", str(authority)]
        for more, answered in ((["-cert", shown[0], "-key", shown[1]], True), ([], False)):
            command = [*call, *more, running.target, "grpc.health.v1.Health/Check"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert ("SERVING" in done.stdout) is answered


@pytest.mark.parametrize("workers", [1, 2])
def test_a_file_that_cannot_be_used(folder: Path, workers: int) -> None:
    """A key that is missing ends the start with 6 and the file's name, before the port is open."""
    certificate, key = written(folder, OURS.issue())
    Path(key).unlink()
    files = {"tls_cert_file": certificate, "tls_key_file": key, "workers": workers}
    with service(folder, listen=f"127.0.0.1:{free_port()}", **files) as refused:
        assert refused.process.wait(60) == 6
        assert f"{key}: No such file or directory" in refused.log.read_text()
        assert not refused.events("serving")
        assert refused.postgres.pid is None


def test_a_certificate_alone_is_a_wrong_setting(folder: Path) -> None:
    """One of the two files without the other ends with 2 and the settings' names."""
    certificate, _ = written(folder, OURS.issue())
    with service(folder, "--tls-cert", certificate) as refused:
        assert refused.process.wait(60) == 2
        assert "`tls_cert_file` and `tls_key_file` are needed together" in refused.log.read_text()


@pytest.mark.parametrize("workers", [1, 2])
def test_without_tls_beyond_this_machine_the_log_warns(folder: Path, workers: int) -> None:
    """An address that is not loopback without TLS is one warning, however many workers there are."""
    with service(folder, listen=f"{NOWHERE}:{free_port()}", workers=workers) as running:
        running.process.wait(60)
        [warned] = running.events("no TLS beyond this machine")
        assert (warned["level"], warned["listen"].partition(":")[0]) == ("warning", NOWHERE)
