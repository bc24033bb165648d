"""A simulated NinjaOne instance, public API v2."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.control import JsonObject, Sandbox, seed_of
from sandbox.ninjaone.app import NinjaOne

__all__ = ["NinjaOne", "create_app", "demo_connection"]


def create_app(seed: Path | JsonObject | None = None) -> Sandbox:
    """The simulator behind its control plane.

    Args:
        seed: A seed file or its content; the demo world when None.
    """
    return Sandbox(NinjaOne(seed_of("ninjaone", seed)))


def demo_connection(url: str, credentials: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a connection that may do everything in the demo world, in their JSON form.

    Args:
        url: The simulator's address.
        credentials: What its control plane tells of them.
    """
    app = {name: credentials[name] for name in ("client_id", "client_secret", "refresh_token")}
    return {"instance_url": url, **app}
