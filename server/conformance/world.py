"""One simulated vendor of a bench, and what can be seen of it."""

import re
from typing import Any

from sandbox.client import SandboxControl
from sandbox.serving import SandboxServer
from server.conformance.bench import Bench, Json
from server.contract.payload import parse_json, secret_values
from server.core.registry import RegisteredModule

MANY = 10_000
_DIGEST = "sha256:"
"""Begins what the control plane shows in place of a credential."""


class World:
    """A vendor that runs.

    Args:
        bench: Makes it.
        module: The module that speaks to it.
    """

    def __init__(self, bench: Bench, module: RegisteredModule) -> None:
        self._bench = bench
        self._module = module
        self._server = SandboxServer(bench.vendor()).start()
        self.control = SandboxControl(self._server.url)

    def settings(self) -> Json:
        """The settings of a connection to it."""
        return self._bench.settings(self._server.url, self.control.credentials())

    def secrets(self, settings: Json) -> frozenset[str]:
        """The secret fields of a connection's settings."""
        connection = self._module.definition.connection
        assert connection is not None, "the module has no connection"
        return secret_values(parse_json(connection, settings))

    def more_secrets(self) -> frozenset[str]:
        """What else must never show, as the bench says."""
        return frozenset(self._bench.secrets(self.control.credentials(), self.control.state()))

    def requests(self, after: int = 0) -> list[Json]:
        """The requests it got, oldest first, without the first ones."""
        return [one for one in self.control.requests(MANY) if one["seq"] > after]

    def seen(self) -> int:
        """How many requests it got."""
        newest = self.control.requests(1)
        return int(newest[-1]["seq"]) if newest else 0

    def suffered(self, kind: str) -> bool:
        """Whether a request met a fault of that kind."""
        return any(one["fault"] == kind for one in self.requests())

    def effects(self) -> int:
        """How many effects there were."""
        return self.control.effects().total

    def close(self) -> None:
        """Stops it."""
        self._server.stop()


def exactly(request: Json) -> dict[str, Any]:
    """Returns what matches requests like this one: its method and its path; credentials in it are not known."""
    segments = ["[^/]+" if _DIGEST in one else re.escape(one) for one in request["path"].split("/")]
    return {"method": request["method"], "path_regex": f"^{'/'.join(segments)}$"}


def alike(one: Json, other: Json) -> bool:
    """Says whether two requests have the same method and path."""
    return (one["method"], one["path"]) == (other["method"], other["path"])
