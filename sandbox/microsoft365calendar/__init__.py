"""Simulated calendars of Microsoft 365: the login service and Microsoft Graph."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.control import JsonObject, Sandbox, seed_of
from sandbox.microsoft365calendar.app import Calendars

__all__ = ["Calendars", "create_app", "demo_connection"]


def create_app(seed: Path | JsonObject | None = None) -> Sandbox:
    """The simulator behind its control plane.

    Args:
        seed: A seed file or its content; the demo world when None.
    """
    return Sandbox(Calendars(seed_of("microsoft365calendar", seed)))


def demo_connection(url: str, credentials: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a connection to the demo world, in their JSON form.

    Args:
        url: The simulator's address.
        credentials: What its control plane tells of them.
    """
    return {
        "entra_tenant_id": credentials["tenant_id"],
        "app_id": credentials["app_id"],
        "client_secret": credentials["client_secret"],
        "login_url": f"{url}/login",
        "graph_url": f"{url}/graph",
    }
