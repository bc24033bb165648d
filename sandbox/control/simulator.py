"""What a simulated vendor must offer to be controlled."""

from typing import Any, Protocol

from starlette.types import Receive, Scope, Send

from sandbox.control.effects import EffectLog

JsonObject = dict[str, Any]


class StateError(ValueError):
    """A wished change of the simulated world names something that does not exist or has the wrong type."""


class Simulator(Protocol):
    """One simulated vendor: an ASGI application over a world that can be read, changed and reset."""

    name: str
    effects: EffectLog

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request as the vendor would."""

    def reset(self) -> None:
        """Return to the seed; whatever still runs is forgotten."""

    def snapshot(self) -> JsonObject:
        """The world as JSON, without any credential."""

    def patch(self, changes: JsonObject) -> None:
        """Change the world. Raises `StateError` and changes nothing when the wish cannot be fulfilled."""

    def credentials(self) -> JsonObject:
        """Everything a client needs to log in, in plain text."""
