"""Child processes, and what the kernel counts about them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[1]
_TICKS = os.sysconf("SC_CLK_TCK")
_STOP_SECONDS = 15.0


class ChildFailed(Exception):
    """A process of the benchmarks ended or said something unexpected; the end of its log is in the message."""


@dataclass
class Child:
    """A process started by `start`. Ends when its input is closed."""

    name: str
    process: "subprocess.Popen[str]"
    log: Path
    facts: Mapping[str, Any]

    @classmethod
    def start(cls, name: str, folder: Path, config: Mapping[str, Any], environment: Mapping[str, str] = {}) -> Self:
        """Starts `python -m benchmarks.NAME` and returns when it says that it is ready.

        Args:
            name: Module of this package.
            folder: Where its log goes.
            config: Its first argument, as JSON.
            environment: Added to ours.

        Raises:
            ChildFailed: It ended instead.
        """
        log = folder / f"{name}-{len(list(folder.glob(f'{name}-*.log')))}.log"
        with log.open("w") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", f"benchmarks.{name}", json.dumps(config)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=ROOT,
                env={**os.environ, **environment},
            )
        child = cls(name, process, log, {})
        child.facts = child.hear()
        return child

    @property
    def pid(self) -> int:
        """Process id."""
        return self.process.pid

    @property
    def address(self) -> str:
        """Where it listens."""
        return str(self.facts["address"])

    def hear(self) -> dict[str, Any]:
        """Returns the next line that the child says; raises ChildFailed when it ends instead."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise ChildFailed(f"{self.name} ended: {self.log.read_text()[-2000:]}")
        heard: dict[str, Any] = json.loads(line)
        return heard

    def tell(self, order: Mapping[str, Any]) -> None:
        """Writes one line to the child."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def stop(self) -> None:
        """Ends the child, gently while it listens."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def cpu_seconds(pid: int) -> float:
    """Returns the processor time that a process and its ended children have used; 0 where there is no /proc."""
    fields = _stat(pid)
    return sum(int(field) for field in fields[11:15]) / _TICKS if fields else 0.0


def family_cpu_seconds(pid: int) -> float:
    """Returns the processor time of a process and all its children, such as PostgreSQL's."""
    return cpu_seconds(pid) + sum(cpu_seconds(child) for child in _children(pid))


def resident_bytes(pid: int) -> int:
    """Returns the memory that a process holds; 0 where there is no /proc."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _children(pid: int) -> Iterator[int]:
    for entry in Path("/proc").glob("[0-9]*"):
        fields = _stat(int(entry.name))
        if fields and int(fields[1]) == pid:
            yield int(entry.name)


def _stat(pid: int) -> list[str]:
    """Returns the fields of /proc/PID/stat from the state on: [1] parent, [11:15] processor time."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return text.rpartition(") ")[2].split()
