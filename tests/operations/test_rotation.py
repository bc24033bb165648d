"""Rotation of the master key by the command line: new key first, rewrap, old key gone, restart."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from server.core.master_keys import new_key
from server.gen.patchbay.v1 import connections_pb2, executor_pb2
from tests.modules.tacticalrmm.world import API_KEY, ONLINE
from tests.operations.service import PATCHBAY, Apart, Service, environment, service
from tests.operations.tactical import PROVIDER, Tactical
from tests.support.paths import ROOT
from tests.support.served import TENANT, set_up

pytestmark = pytest.mark.anyio

GET = "tacticalrmm.agents.get"
SUCCEEDED = executor_pb2.EXECUTION_STATE_SUCCEEDED


def write_keys(file: Path, *lines: str) -> None:
    """Writes a key file, readable by its owner only."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines))
    file.chmod(0o600)


def patchbay(*arguments: str, **settings: object) -> "subprocess.CompletedProcess[str]":
    """Runs a command to its end."""
    return subprocess.run(
        [*PATCHBAY, *arguments, "--json"],
        cwd=ROOT,
        env=environment(**settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def rotate(folder: Path, keys: Path) -> "subprocess.CompletedProcess[str]":
    """Wraps every secret by the current key."""
    return patchbay("secrets", "rotate", "--data-dir", str(folder / "data"), master_key_file=keys)


async def works(running: Service) -> bool:
    """Uses the connection: its stored credentials are opened and the vendor accepts them."""
    caller = Apart(running.target, running.key)
    try:
        tested = await caller(
            "Connections/TestConnection", connections_pb2.TestConnectionRequest(tenant=TENANT, provider=PROVIDER)
        )
        assert not tested.HasField("failure"), tested.failure
        return bool((await caller.execute(GET, {"agent_id": ONLINE})).state == SUCCEEDED)
    finally:
        await caller.close()


@pytest.fixture
async def stopped(folder: Path, tactical: Tactical) -> Path:
    """The folder of a server that has run once with key k1 and has a connected tenant."""
    keys = folder / "keys"
    write_keys(keys, new_key("k1"))
    with service(folder, master_key_file=keys) as running:
        caller = Apart(running.serving().target, running.key)
        await set_up(caller, PROVIDER, tactical.by_key)
        await caller.close()
        assert running.end() == 0
    return folder


async def test_rotation_from_end_to_end(stopped: Path) -> None:
    """k1 wraps, k2 is put first, everything is wrapped again, k1 goes, and the connection still works."""
    keys = stopped / "keys"
    first, second = keys.read_text().strip(), new_key("k2")
    write_keys(keys, second, first)
    done = rotate(stopped, keys)
    assert (done.returncode, json.loads(done.stdout)["left"]) == (0, {})
    assert json.loads(done.stdout)["rewrapped"] >= 2  # the connection, and the server's own secret
    assert json.loads(rotate(stopped, keys).stdout)["rewrapped"] == 0
    write_keys(keys, second)
    with service(stopped, master_key_file=keys) as running:
        running.serving()
        assert await works(running)
        assert running.end() == 0
    for text in (done.stdout, done.stderr, running.log.read_text()):
        assert API_KEY not in text
        assert first.partition(":")[2] not in text
        assert second.partition(":")[2] not in text


async def test_a_key_promoted_while_the_server_runs(stopped: Path) -> None:
    """A new first line is taken up without a restart: what is stored from then on is wrapped by it."""
    keys = stopped / "keys"
    with service(stopped, master_key_file=keys) as running:
        running.serving()
        assert await works(running)
        second = new_key("k2")
        write_keys(keys, second, keys.read_text().strip())
        os.utime(keys)
        caller = Apart(running.target, running.key)
        await caller("Connections/Disconnect", connections_pb2.DisconnectRequest(tenant=TENANT, provider=PROVIDER))
        await reconnect(caller)
        await caller.close()
        assert await works(running)
        assert running.end() == 0
    write_keys(keys, second)
    done = rotate(stopped, keys)
    assert done.returncode == 1  # the server's own secret is still wrapped by k1; the connection is not
    assert json.loads(done.stdout) == {"rewrapped": 0, "left": {"k1": 1}}


async def reconnect(caller: Apart) -> None:
    """Connects the tenant again with the same settings."""
    listed = await caller("Connections/ListConnections", connections_pb2.ListConnectionsRequest(tenant=TENANT))
    url = listed.connections[0].instance_url
    request = connections_pb2.ConnectRequest(tenant=TENANT, provider=PROVIDER, grant=listed.connections[0].grant)
    request.settings.update({"instance_url": url, "api_key": API_KEY})
    answer = await caller("Connections/Connect", request)
    assert not answer.HasField("failure"), answer.failure


async def test_a_missing_key_is_named(stopped: Path) -> None:
    """Without k1 nothing opens: the server does not start, rotation counts what is left, and both name the key."""
    keys = stopped / "keys"
    write_keys(keys, new_key("k2"))
    with service(stopped, master_key_file=keys) as failed:
        assert failed.process.wait(60) == 6
        assert "master key `k1` is not loaded" in failed.log.read_text()
        assert failed.postgres.pid is None
    done = rotate(stopped, keys)
    assert done.returncode == 1
    assert json.loads(done.stdout)["left"].keys() == {"k1"}
    assert "k1" in json.loads(done.stderr.splitlines()[-1])["error"]["message"]


async def test_a_key_that_only_a_connection_misses_is_named(stopped: Path) -> None:
    """A key removed after a half rotation: the server serves, and the connection's failure names the key."""
    keys = stopped / "keys"
    first = keys.read_text().strip()
    with service(stopped, master_key_file=keys) as running:
        running.serving()
        second = new_key("k2")
        write_keys(keys, second, first)
        caller = Apart(running.target, running.key)
        await reconnect(caller)
        await caller.close()
        assert running.end() == 0
    write_keys(keys, first)
    with service(stopped, master_key_file=keys) as running:
        caller = Apart(running.serving().target, running.key)
        told = await caller.execute(GET, {"agent_id": ONLINE})
        assert told.failure.reason == "INTEGRATION_MISCONFIGURED"
        assert "k2" in told.failure.message
        await caller.close()
        write_keys(keys, first, second)  # put back: no restart is needed
        assert await works(running)
        assert running.end() == 0


async def test_a_key_file_that_others_can_read_is_refused(stopped: Path) -> None:
    """A key file with open permissions stops the start and says what to do."""
    keys = stopped / "keys"
    keys.chmod(0o644)
    with service(stopped, master_key_file=keys) as failed:
        assert failed.process.wait(60) == 6
        assert f"chmod 600 {keys}" in failed.log.read_text()
