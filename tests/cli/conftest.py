"""Fixtures of the command line's tests."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from server.cli import run
from tests.cli.peer import Peer, peering


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine reaches a test."""
    for name in ("SERVER", "API_KEY", "TENANT", "CA_FILE", "CLIENT_CERT_FILE", "CLIENT_KEY_FILE"):
        monkeypatch.delenv(f"PATCHBAY_{name}", raising=False)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Peer]:
    """A peer that the command line finds by its environment."""
    with peering() as running:
        monkeypatch.setenv("PATCHBAY_SERVER", running.target)
        yield running


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which has to be one JSON document."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Standard error, of which each line has to be a JSON document."""
        return [json.loads(line) for line in self.err.splitlines()]


@pytest.fixture
def patchbay(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Runs a command line in this process."""

    def called(*arguments: str) -> Ended:
        capsys.readouterr()
        code = run(arguments)
        return Ended(code, *capsys.readouterr())

    return called
