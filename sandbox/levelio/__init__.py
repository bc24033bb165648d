"""A simulated Level account behind its API, version 2."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.control import JsonObject, Sandbox, seed_of
from sandbox.levelio.app import Level, mask_path

__all__ = ["Level", "create_app", "demo_connection"]


def create_app(seed: Path | JsonObject | None = None) -> Sandbox:
    """The simulator behind its control plane.

    Args:
        seed: A seed file or its content; the demo world when None.
    """
    return Sandbox(Level(seed_of("levelio", seed)), mask_path=mask_path)


def demo_connection(url: str, credentials: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a connection that may do everything in the demo world, in their JSON form.

    Args:
        url: Where the simulator answers.
        credentials: What its control plane tells.
    """
    return {"instance_url": url, "api_key": credentials["api_key"]}
