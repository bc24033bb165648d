"""`patchbay serve` as a process of its own, as an operator runs it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

from server.store.embedded import EmbeddedPostgres
from tests.support.paths import ROOT
from tests.support.served import Caller

PATCHBAY = (sys.executable, "-m", "server.cli")
_PATIENCE = 60.0


class Apart(Caller):
    """A caller on a connection of its own."""

    def __init__(self, target: str, api_key: str = "", *, tls: grpc.ChannelCredentials | None = None) -> None:
        super().__init__(target, api_key, tls=tls, apart=True)


def environment(**settings: object) -> dict[str, str]:
    """Returns the environment without any setting of Patchbay but these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PATCHBAY_")}
    return kept | {f"PATCHBAY_{name.upper()}": str(value) for name, value in settings.items()}


class Service:
    """A running `patchbay serve` with its data in one folder.

    Args:
        folder: Data, logs and the operator's key.
        arguments: Options of `serve`.
        settings: As in the environment, without the prefix.
    """

    def __init__(self, folder: Path, *arguments: str, **settings: object) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.data = folder / "data"
        self.key_file = folder / "operator-key"
        self.log = folder / f"log-{time.monotonic_ns()}"
        defaults = {"listen": "127.0.0.1:0", "data_dir": self.data, "bootstrap_key_file": self.key_file}
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [*PATCHBAY, "serve", *arguments],
                cwd=ROOT,
                env=environment(**{**defaults, "auth": "required", **settings}),
                stdout=output,
                stderr=output,
            )
        self.target = ""

    @property
    def postgres(self) -> EmbeddedPostgres:
        """The embedded PostgreSQL of the folder, to look at; it is the service's own to start and stop."""
        return EmbeddedPostgres(self.data / "postgres")

    @property
    def key(self) -> str:
        """The operator's key."""
        return self.key_file.read_text().strip()

    def events(self, name: str) -> list[dict[str, Any]]:
        """Returns what was logged under a name so far."""
        found = []
        for line in self.log.read_text(errors="replace").splitlines():
            if line.startswith("{") and line.endswith("}"):
                event = json.loads(line)
                if event.get("event") == name:
                    found.append(event)
        return found

    def wait_for(self, name: str, times: int = 1) -> dict[str, Any]:
        """Returns the event of that name once it was logged so often."""
        deadline = time.monotonic() + _PATIENCE
        while len(found := self.events(name)) < times:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"no {name!r}: {self.log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.02)
        return found[times - 1]

    def serving(self, times: int = 1) -> "Service":
        """Waits until so many processes serve."""
        self.target = str(self.wait_for("serving", times)["target"])
        return self

    def workers(self) -> set[int]:
        """Returns the process ids of the workers that live."""
        found = set()
        for child in _children(self.process.pid):
            if "spawn_main" in _command(child):
                found.add(child)
        return found

    def end(self, number: int = signal.SIGTERM) -> int:
        """Sends a signal and returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(_PATIENCE)


@contextmanager
def service(folder: Path, *arguments: str, **settings: object) -> Iterator[Service]:
    """Runs a service for the block; kills what is left of it afterwards."""
    running = Service(folder, *arguments, **settings)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.end(signal.SIGKILL)


def alive(pid: int) -> bool:
    """Says whether a process lives; one that only waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""
