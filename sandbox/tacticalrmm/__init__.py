"""A simulated Tactical RMM 1.5 server."""

from pathlib import Path

from sandbox.control import JsonObject, Sandbox
from sandbox.tacticalrmm.app import TacticalRmm, load_seed

__all__ = ["TacticalRmm", "create_app", "load_seed"]


def create_app(seed: Path | JsonObject | None = None) -> Sandbox:
    """The simulator behind its control plane.

    Args:
        seed: A seed file or its content; the demo world when None.
    """
    return Sandbox(TacticalRmm(seed if isinstance(seed, dict) else load_seed(seed)))
