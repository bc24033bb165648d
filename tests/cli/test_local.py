"""`demo` and `up` as people run them: processes of their own."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox.__main__ import vendors
from server.contract.own import own_modules
from tests.support.postgres import folder_for_postgres

PATCHBAY = (sys.executable, "-m", "server.cli")


def cleaned(**changes: str) -> dict[str, str]:
    """The environment without any setting of Patchbay, and a database address that must not be used."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PATCHBAY_")}
    return kept | {"PATCHBAY_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", **changes}


def test_demo() -> None:
    """The demo plays every step and ends with 0, whatever database the environment names."""
    done = ran(*PATCHBAY, "demo", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for text in (
        "exit code 3",
        "hello from the demo",
        "ran once",
        "AGENT_OFFLINE",
        "Teams has it: Disk full",
        "at the same time again: CONFLICT",
        "2 events, their signatures checked",
        "2 events, then revoked",
        "as it has to be",
    ):
        assert text in done.stdout
    assert "Traceback" not in done.stderr


def test_demo_for_machines() -> None:
    """With --json the demo's story is one document, and nothing but the story is on standard output."""
    done = ran(*PATCHBAY, "demo", "--json", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert set(told["palettes"]["demo"].values()) == {""}
    assert set(told["palettes"]["demo-bare"].values()) == {"NOT_CONNECTED"}
    tiles = {one.group_key for one in own_modules() if one.actions and one.connection}
    assert tiles == set(told["palettes"]["demo"])
    assert set(vendors()) >= {one.provider for one in own_modules() if one.connection}
    assert told["run"]["id"] == told["replay"]["id"]
    assert told["replay"]["replayed"]
    assert told["offline"]["failure"]["reason"] == "AGENT_OFFLINE"
    assert told["message"]["received"]["id"] == told["message"]["execution"]["output"]["activity_id"]
    scheduling = told["scheduling"]
    assert len(set(scheduling["entries"])) == scheduling["webhooks"] == scheduling["feed"] == 2
    assert scheduling["calendar"] == ["Check the backups", "Replace the disk of FS-01"]
    for line in done.stderr.splitlines():
        assert "notice" in json.loads(line)


def ran(*command: str | Path, check: bool = True, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Runs a command to its end."""
    return subprocess.run(command, env=cleaned(**settings), capture_output=True, text=True, check=check)


@contextmanager
def up(*options: str) -> Iterator["subprocess.Popen[str]"]:
    """`patchbay up` on a free port."""
    command = [*PATCHBAY, "up", "--listen", "127.0.0.1:0", *options]
    running = subprocess.Popen(command, env=cleaned(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield running
    finally:
        if running.poll() is None:
            running.kill()
        running.communicate()


def told_by(running: "subprocess.Popen[str]") -> str:
    """What `up` prints before it stays."""
    assert running.stdout is not None
    lines = []
    for line in running.stdout:
        lines.append(line)
        if line.startswith("Ctrl-C") or line == "}\n":
            return "".join(lines)
    assert running.stderr is not None
    pytest.fail(f"up ended: {running.stderr.read()}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_up_stays_and_stops(number: int) -> None:
    """`up` answers calls until it is told to stop, and then ends with 0."""
    with up("--json") as running:
        facts = json.loads(told_by(running))
        assert Path(facts["api_key_file"]).stat().st_mode & 0o077 == 0
        shared = ["--server", facts["server"], "--tenant", facts["tenant"], "--json"]
        catalog = ran(*PATCHBAY, "catalog", *shared, PATCHBAY_API_KEY=facts["api_key"])
        assert "app:tacticalrmm" in catalog.stdout
        running.send_signal(number)
        running.communicate(timeout=60)
        assert running.returncode == 0
    assert not Path(facts["api_key_file"]).exists()


def test_up_prints_calls_that_work(tmp_path: Path) -> None:
    """The calls to paste are what they say: each finds agents."""
    with up() as running:
        text = told_by(running)
        parts = re.split(r"\n(Command line|grpcurl|Python|Ctrl-C.*)\n", text)
        calls = dict(zip(parts[1::2], parts[2::2], strict=True))
        shell = calls["Command line"].replace("patchbay ", f"{' '.join(PATCHBAY)} ", 1)
        script = tmp_path / "call.py"
        script.write_text(calls["Python"])
        found = [ran("bash", "-c", shell), ran(sys.executable, script)]
        grpcurl = os.environ.get("GRPCURL") or shutil.which("grpcurl")
        if grpcurl:
            path = f"{Path(grpcurl).parent}{os.pathsep}{os.environ['PATH']}"
            found.append(ran("bash", "-c", calls["grpcurl"], PATH=path))
        for done in found:
            assert "BF-WEB01" in done.stdout


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A folder outside pytest's own, which every other pytest process closes to PostgreSQL's user."""
    with folder_for_postgres() as folder:
        yield folder


def test_up_keeps_its_data(data_dir: Path) -> None:
    """With a folder, what was executed is still there after a restart, and the key still opens the door."""
    keys, ids = [], []
    for _ in range(2):
        with up("--json", "--data-dir", str(data_dir)) as running:
            facts = json.loads(told_by(running))
            call = ["execute", "tacticalrmm.agents.reboot", "--key", "reboot-1", "--json", "--input"]
            agent = {"agent_id": "ZJzzzzgEOzdmenCkhvMdgaKjIgxNbenNyjOqwMxE"}
            shared = ["--server", facts["server"], "--tenant", facts["tenant"]]
            done = ran(*PATCHBAY, *call, json.dumps(agent), *shared, PATCHBAY_API_KEY=facts["api_key"])
            keys.append(facts["api_key"])
            ids.append((json.loads(done.stdout)["id"], json.loads(done.stdout)["replayed"]))
            running.send_signal(signal.SIGTERM)
            running.communicate(timeout=60)
    assert keys[0] == keys[1]
    assert ids[0][0] == ids[1][0]
    assert [replayed for _, replayed in ids] == [False, True]


def test_serve_with_a_wrong_setting() -> None:
    """A setting that makes no sense ends with 2 and its name."""
    done = ran(*PATCHBAY, "serve", "--json", check=False, PATCHBAY_WORKERS="many")
    assert done.returncode == 2
    assert "PATCHBAY_WORKERS" in json.loads(done.stderr)["error"]["message"]


def test_migrate_without_a_database() -> None:
    """A database that does not answer ends with 6; its address is not repeated."""
    done = ran(*PATCHBAY, "migrate", "--json", check=False)
    assert done.returncode == 6, done.stderr
    assert "nobody@" not in done.stderr


def test_migrate_and_rotate(data_dir: Path) -> None:
    """`migrate` and `secrets rotate` work on the embedded database of a folder."""
    for command in (["migrate"], ["secrets", "rotate"]):
        options = ["--data-dir", str(data_dir), "--json"]
        done = ran(*PATCHBAY, *command, *options, check=False, PATCHBAY_DATABASE_URL="")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)


def test_up_on_a_taken_port() -> None:
    """A port that is taken ends `up` with 2 and names the address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = ran(*PATCHBAY, "up", "--listen", address, "--json", check=False)
    assert done.returncode == 2, done.stderr
    assert address in json.loads(done.stderr.splitlines()[-1])["error"]["message"]
