"""On what it was measured."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

_LIBRARIES: Sequence[str] = ("grpcio", "protobuf", "protovalidate", "asyncpg", "aiohttp", "httpx", "uvloop")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Hardware, software, and how busy it was before.

    Attributes:
        processor: Model.
        cores: How many this process may use.
        memory_gib: Memory in GiB; 0 when not known.
        system: Kernel.
        python: Interpreter.
        libraries: Versions of what stands on the path of a call.
        busy: Average number of processes that wanted a core during the minute before.
        day: Date of the run.
    """

    processor: str
    cores: int
    memory_gib: float
    system: str
    python: str
    libraries: str
    busy: float
    day: str

    @property
    def lines(self) -> Sequence[str]:
        """The description as lines."""
        memory = f", {self.memory_gib:.0f} GiB" if self.memory_gib else ""
        return [
            f"{self.processor}, {self.cores} cores{memory}",
            f"{self.system}; {self.python}",
            self.libraries,
            f"{self.day}; load of the minute before: {self.busy:.1f}",
        ]


def this_machine() -> Machine:
    """Describes the machine that this process runs on."""
    return Machine(
        processor=_first("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_gib=int((_first("/proc/meminfo", "MemTotal") or "0").split()[0]) / (1 << 20),
        system=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        libraries=", ".join(f"{name} {version(name)}" for name in _LIBRARIES),
        busy=os.getloadavg()[0],
        day=datetime.now(UTC).date().isoformat(),
    )


def _first(file: str, name: str) -> str:
    """Returns the value of the first `name: value` line of a file, empty when there is none."""
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
