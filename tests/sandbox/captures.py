"""The exchanges recorded from a real Tactical RMM server, which stay outside the project."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.shared import shared


@dataclass(frozen=True)
class Exchange:
    """One recorded request and its answer."""

    number: int
    phase: str
    label: str
    request: dict[str, Any]
    response: dict[str, Any]

    @property
    def name(self) -> str:
        """How a test report calls it."""
        return f"{self.number} {self.phase}: {self.label}: {self.request['method']} {self.request['path']}"


def recorded() -> list[Exchange]:
    """All recorded exchanges in order; skips the calling test when they are absent."""
    path = shared("vendors", "tacticalrmm", "captures.jsonl")
    if not path.is_file():
        pytest.skip("the recorded exchanges are absent; PATCHBAY_SHARED names their folder")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Exchange(n, row["phase"], row["label"], row["request"], row["response"]) for n, row in enumerate(rows)]
