"""The simulated Level API as an ASGI application."""

import json
import re
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from starlette.types import Receive, Scope, Send

from sandbox.control import EffectLog, JsonObject
from sandbox.control.requests import fingerprint
from sandbox.levelio.routes import ROUTES
from sandbox.levelio.routing import answer
from sandbox.levelio.vault import Vault
from sandbox.levelio.wire import Call
from sandbox.levelio.world import World

DEMO_SEED = Path(__file__).parent / "seeds" / "demo.json"
_TOKEN = re.compile(r"(?<=/automations/webhooks/)[^/]+")


class Level:
    """One simulated account.

    Args:
        seed: The world to start with and to return to; see `seeds/demo.json`. Its optional `credentials` fix keys and
            webhook tokens that would otherwise be random.
    """

    name = "levelio"

    def __init__(self, seed: JsonObject) -> None:
        self._seed = seed
        self._vault = Vault(seed.get("credentials"))
        self.effects = EffectLog()
        self.world = World(seed, self._vault, self.effects)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; its body must arrive in one message, as the control plane delivers it."""
        message = await receive()
        raw_path = scope["raw_path"].decode("latin-1")
        call = Call(
            self.world,
            scope["method"],
            [unquote(part) for part in raw_path.strip("/").split("/")],
            dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
            dict(scope["headers"]).get(b"authorization", b"").decode("latin-1"),
            message.get("body", b""),
        )
        await answer(call, ROUTES)(scope, receive, send)

    def reset(self) -> None:
        """Return to the seed; keys stay, and so do the tokens of the seed's triggers."""
        self.world = World(self._seed, self._vault, self.effects)

    def snapshot(self) -> JsonObject:
        """The world without credentials."""
        return self.world.snapshot()

    def patch(self, changes: JsonObject) -> None:
        """Change the world; see `World.change` for what can be wished."""
        self.world.change(changes)

    def credentials(self) -> JsonObject:
        """Keys, and tokens by the id of their trigger, in plain text."""
        return self._vault.describe()


def load_seed(path: Path | None = None) -> JsonObject:
    """A seed file, the demo's by default."""
    seed: JsonObject = json.loads((path or DEMO_SEED).read_text(encoding="utf-8"))
    return seed


def mask_path(path: str) -> str:
    """The path with the fingerprint of a webhook's token in place of the token."""
    return _TOKEN.sub(lambda token: fingerprint(unquote(token[0])), path)
