"""Simulated Microsoft services around a Teams bot: login, Graph, Bot Connector, Bot Framework identity."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.control import JsonObject, Sandbox, seed_of
from sandbox.teams.app import Teams

__all__ = ["Teams", "bases", "create_app", "demo_connection"]

# Of the demo world.
_APP = "c0ffee00-1111-4222-8333-444455556666"
_TEAM = "19:harborservicedesk@thread.tacv2"


def create_app(seed: Path | JsonObject | None = None) -> Sandbox:
    """The simulator behind its control plane.

    Args:
        seed: A seed file or its content; the demo world when None.
    """
    teams = Teams(seed_of("teams", seed))
    return Sandbox(teams, controls={"inbound": teams.delivery.send, "inbound/token": teams.delivery.sign})


def bases(url: str) -> dict[str, str]:
    """Where the services answer: `login`, `graph`, `connector` (the global one) and `identity`, without a last slash.

    Args:
        url: The simulator's address.
    """
    named = {name: f"{url}/{name}" for name in ("login", "graph", "identity")}
    return {**named, "connector": f"{url}/connector/teams"}


def demo_connection(url: str, credentials: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a connection that may do everything in the demo world, in their JSON form.

    Args:
        url: The simulator's address.
        credentials: What its control plane tells of them.
    """
    addresses = bases(url)
    return {
        "entra_tenant_id": credentials["tenant_id"],
        "bot_app_id": credentials["app_id"],
        "bot_secret": credentials["client_secret"],
        "teams_app_id": _APP,
        "team_id": _TEAM,
        "login_url": addresses["login"],
        "graph_url": addresses["graph"],
        "service_url": addresses["connector"],
    }
