"""The wheels of this repository and of the sample module, installed into a folder of their own.

`installed`      the folder; nothing of the working tree is on the path of programs that run with it.
`serving`        a server process from that folder, on the test's own database.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.postgres import Fresh

SAMPLE = ROOT / "examples" / "sample_module"
_PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]


@pytest.fixture(scope="session")
def installed() -> Iterator[Path]:
    """Builds the wheels without network and installs them; readable by everybody, as PostgreSQL's user needs it."""
    with tempfile.TemporaryDirectory(prefix="patchbay-samples-") as folder:
        wheels, target = Path(folder) / "wheels", Path(folder) / "packages"
        sources = [str(ROOT), str(ROOT / "clients" / "python"), str(SAMPLE)]
        build = ["wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(wheels), *sources]
        subprocess.run([*_PIP, *build], check=True, timeout=170)
        found = [str(wheel) for wheel in wheels.glob("*.whl")]
        install = ["install", "--no-deps", "--no-index", "--target", str(target), *found]
        subprocess.run([*_PIP, *install], check=True, timeout=170)
        yield target


def environment(installed: Path, **more: str) -> dict[str, str]:
    """Returns the environment of a program that sees the installed packages first, and no settings of ours."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PATCHBAY_")}
    return {**kept, "PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1", **more}


@dataclass(frozen=True)
class Process:
    """A server process: its address and what it logs."""

    target: str
    log: Path


@pytest.fixture
def serving(installed: Path, fresh: Fresh, tmp_path: Path) -> Iterator[Process]:
    """Runs `patchbay serve` from the installed packages."""
    log = tmp_path / "log"
    settings = environment(
        installed,
        PATCHBAY_DATABASE_URL=fresh.dsn,
        PATCHBAY_DATA_DIR=str(tmp_path / "data"),
        PATCHBAY_LISTEN="127.0.0.1:0",
    )
    program = "import sys; from server.cli import main; sys.argv[1:] = ['serve']; main()"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", program], cwd=tmp_path, env=settings, stdout=output, stderr=output
        )
    try:
        yield Process(_target(process, log), log)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, log.read_text()


def _target(process: "subprocess.Popen[bytes]", log: Path) -> str:
    while process.poll() is None:
        for line in log.read_text().splitlines():
            told = json.loads(line) if line.startswith("{") else {}
            if told.get("event") == "serving":
                return str(told["target"])
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
    raise RuntimeError(f"the server did not start: {log.read_text()}")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the sample's tests, without the package itself beside them."""
    shutil.copytree(SAMPLE / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(SAMPLE / "pyproject.toml", tmp_path)
    return tmp_path
