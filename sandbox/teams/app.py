"""Microsoft's services around a Teams bot as one ASGI application, told apart by the first part of the path."""

import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from sandbox.control import EffectLog, JsonObject
from sandbox.teams import connector, graph, identity, login
from sandbox.teams.inbound import Delivery
from sandbox.teams.routing import Surface, answer
from sandbox.teams.vault import Vault
from sandbox.teams.wire import Call
from sandbox.teams.world import World

DEMO_SEED = Path(__file__).parent / "seeds" / "demo.json"

SURFACES: Mapping[str, Surface] = {
    "login": login.SURFACE,
    "graph": graph.SURFACE,
    "connector": connector.SURFACE,
    "identity": identity.SURFACE,
}


class Teams:
    """The simulated services.

    Args:
        seed: The world to start with and to return to; see `seeds/demo.json`. Its optional `credentials` fix secrets
            that would otherwise be random; see `Vault`.

    Attributes:
        delivery: Sends to bots, at a test's wish.
    """

    name = "teams"

    def __init__(self, seed: JsonObject) -> None:
        self._seed = seed
        self._vault = Vault(seed.get("credentials"))
        self.effects = EffectLog()
        self.world = World(seed, self._vault, self.effects)
        self.delivery = Delivery(lambda: self.world)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; its body must arrive in one message, as the control plane delivers it."""
        message = await receive()
        call = Call(
            self.world,
            scope["method"],
            str(Request(scope).base_url).rstrip("/"),
            [unquote(part) for part in scope["raw_path"].decode("latin-1").strip("/").split("/")],
            scope["query_string"],
            dict(scope["headers"]),
            message.get("body", b""),
        )
        await answer(call, SURFACES)(scope, receive, send)

    def reset(self) -> None:
        """Returns to the seed; secrets and the first signing key stay, tokens end, counters are empty."""
        self.world = World(self._seed, self._vault, self.effects)

    def snapshot(self) -> JsonObject:
        """The world without credentials."""
        return self.world.snapshot()

    def patch(self, changes: JsonObject) -> None:
        """Changes the world; see `World.change` for what can be wished."""
        self.world.change(changes)

    def credentials(self) -> JsonObject:
        """Application ids and secrets in plain text."""
        return self._vault.describe(self.world.bots.values())


def load_seed(path: Path | None = None) -> JsonObject:
    """A seed file, the demo's by default."""
    seed: JsonObject = json.loads((path or DEMO_SEED).read_text(encoding="utf-8"))
    return seed
