"""`patchbay serve`: first start, stop, second start, and starts that must not succeed."""

import os
import signal
import socket
import stat
import subprocess
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from server.gen.patchbay.v1 import executor_pb2
from tests.operations.service import PATCHBAY, Apart, alive, environment, service
from tests.operations.tactical import PROVIDER, RUN, Tactical, script
from tests.support.grpc_errors import refused
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.served import set_up

pytestmark = pytest.mark.anyio

SUCCEEDED = executor_pb2.EXECUTION_STATE_SUCCEEDED
SERVING = health_pb2.HealthCheckResponse.SERVING


async def healthy(caller: Apart) -> bool:
    """Asks for the health of the server as a whole; needs no key."""
    stub = health_pb2_grpc.HealthStub(caller.channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
    return bool(answer.status == SERVING)


async def test_first_start_stop_and_second_start(folder: Path, tactical: Tactical) -> None:
    """From nothing: a private key file, health, a run; exit code 0; kept data replay the key without a second run."""
    with service(folder) as first:
        caller = Apart(first.serving().target, first.key)
        assert stat.S_IMODE(first.key_file.stat().st_mode) == 0o600
        assert stat.S_IMODE((first.data / "master.key").stat().st_mode) == 0o600
        assert await healthy(caller)
        await set_up(caller, PROVIDER, tactical.by_key)
        done = await caller.execute(RUN, script("one"), "k")
        assert done.state == SUCCEEDED
        key, postgres = first.key, first.postgres.pid
        await caller.close()
        assert first.end() == 0
    assert postgres is not None
    assert not alive(postgres)
    with service(folder) as second:
        caller = Apart(second.serving().target, second.key)
        again = await caller.execute(RUN, script("one"), "k")
        assert (second.key, again.id, again.replayed) == (key, done.id, True)
        assert again.output.json == done.output.json
        assert tactical.runs("one") == 1
        await caller.close()
        assert second.end(signal.SIGINT) == 0
        assert not first.postgres.pid


async def test_without_a_key_nobody_is_let_in(folder: Path) -> None:
    """With `auth` required, calls without a key are refused although they come from this machine."""
    with service(folder) as running:
        caller = Apart(running.serving().target)
        with refused("CREDENTIALS_MISSING", grpc.StatusCode.UNAUTHENTICATED):
            await caller.execution("k")
        await caller.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_taken_port(folder: Path, workers: int) -> None:
    """A port that is taken is an error with the address and its own exit code; no PostgreSQL is left behind."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with service(folder, listen=address, workers=workers) as refused_start:
            assert refused_start.process.wait(60) == 2
            assert f"cannot listen on {address}" in refused_start.log.read_text()
            assert refused_start.postgres.pid is None


@pytest.mark.parametrize("setting", ["listen", "http_listen"])
def test_a_port_that_other_workers_share_is_taken(folder: Path, setting: str) -> None:
    """A second server with workers does not join a port of the first unseen: half the calls would be lost to it."""
    address = f"127.0.0.1:{free_port()}"
    with service(folder / "first", **{"listen": f"127.0.0.1:{free_port()}", setting: address, "workers": 2}) as first:
        first.serving(2)
        wanted = {"listen": f"127.0.0.1:{free_port()}", setting: address, "workers": 2}
        with service(folder / "second", **wanted) as second:
            assert second.process.wait(60) == 2
            assert f"cannot listen on {address}" in second.log.read_text()
        assert first.end() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_database_that_does_not_answer(folder: Path, workers: int) -> None:
    """Without its database a server does not start; exit code 6, and the address with its password is not told."""
    url = f"postgresql://nobody:hunter2hunter2@127.0.0.1:{free_port()}/none"
    settings = {"database_url": url, "workers": workers, "listen": f"127.0.0.1:{free_port()}"}
    with service(folder, **settings) as failed:
        assert failed.process.wait(60) == 6
        said = failed.log.read_text()
        assert "PostgreSQL" in said
        assert "hunter2" not in said


@pytest.mark.parametrize("workers", [1, 2])
def test_a_data_folder_in_use(folder: Path, workers: int) -> None:
    """A second server on one data folder is an error with the folder; the first goes on."""
    with service(folder) as first:
        first.serving()
        options = {"data_dir": first.data, "listen": f"127.0.0.1:{free_port()}", "workers": workers}
        done = subprocess.run(
            [*PATCHBAY, "serve"], cwd=ROOT, env=environment(**options), capture_output=True, text=True, check=False
        )
        assert done.returncode == 6
        assert str(first.data) in done.stderr
        assert first.postgres.pid is not None
        os.kill(first.postgres.pid, 0)
