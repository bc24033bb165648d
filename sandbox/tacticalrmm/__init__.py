"""A simulated Tactical RMM 1.5 server."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.control import JsonObject, Sandbox, seed_of
from sandbox.tacticalrmm.app import TacticalRmm

__all__ = ["TacticalRmm", "create_app", "demo_connection"]


def create_app(seed: Path | JsonObject | None = None) -> Sandbox:
    """The simulator behind its control plane.

    Args:
        seed: A seed file or its content; the demo world when None.
    """
    return Sandbox(TacticalRmm(seed_of("tacticalrmm", seed)))


def demo_connection(url: str, credentials: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a connection that may do everything in the demo world, in their JSON form.

    Args:
        url: The simulator's address.
        credentials: What its control plane tells of them.
    """
    return {"instance_url": url, "api_key": credentials["api_key"]}
