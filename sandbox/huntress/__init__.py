"""A simulated Huntress REST API v1."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.control import JsonObject, Sandbox
from sandbox.huntress.app import Huntress

__all__ = ["Huntress", "create_app", "demo_connection", "load_seed"]

DEMO_SEED = Path(__file__).parent / "seeds" / "demo.json"


def create_app(seed: Path | JsonObject | None = None) -> Sandbox:
    """The simulator behind its control plane.

    Args:
        seed: A seed file or its content; the demo world when None.
    """
    return Sandbox(Huntress(seed if isinstance(seed, dict) else load_seed(seed)))


def demo_connection(url: str, credentials: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a connection that may do everything in the demo world, in their JSON form.

    Args:
        url: The simulator's address.
        credentials: What its control plane tells of them.
    """
    return {"instance_url": url, **credentials["keys"]["workflow"]}


def load_seed(path: Path | None = None) -> JsonObject:
    """A seed file, the demo's by default."""
    seed: JsonObject = json.loads((path or DEMO_SEED).read_text(encoding="utf-8"))
    return seed
