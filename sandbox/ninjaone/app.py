"""The simulated NinjaOne instance as an ASGI application."""

import copy
import json
from pathlib import Path

from starlette.types import Receive, Scope, Send

from sandbox.control import EffectLog, JsonObject, StateError
from sandbox.ninjaone.routes import ENDPOINTS, PAGES
from sandbox.ninjaone.routing import Router
from sandbox.ninjaone.vault import Vault
from sandbox.ninjaone.wire import Call
from sandbox.ninjaone.world import World

DEMO_SEED = Path(__file__).parent / "seeds" / "demo.json"


class NinjaOne:
    """One simulated instance.

    Args:
        seed: The world to start with and to return to; see `seeds/demo.json`. Its optional `credentials` fix
            secrets and refresh tokens that would otherwise be random; see `Vault`.
    """

    name = "ninjaone"

    def __init__(self, seed: JsonObject) -> None:
        self._seed = seed
        self._vault = Vault(seed.get("credentials"))
        self._router = Router(ENDPOINTS, PAGES)
        self.effects = EffectLog()
        self.world = World(seed, self._vault, self.effects)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; its body must arrive in one message, as the control plane delivers it."""
        message = await receive()
        headers = dict(scope["headers"])
        call = Call(
            self.world, scope["method"], scope["path"], headers, scope["query_string"], message.get("body", b"")
        )
        answer = await self._router.answer(call)
        await answer(scope, receive, send)

    def reset(self) -> None:
        """Returns to the seed; secrets and first refresh tokens stay, what was granted since ends."""
        self.world.end()
        self.world = World(self._seed, self._vault, self.effects)

    def snapshot(self) -> JsonObject:
        """The world without credentials."""
        return self.world.snapshot()

    def patch(self, changes: JsonObject) -> None:
        """Changes the world; see `World.change` for what can be wished."""
        world = self.world
        before = copy.deepcopy((world.settings, world.tables, world.activities, world.tokens))
        try:
            world.change(changes)
        except (StateError, AttributeError, KeyError, TypeError) as error:
            world.settings, world.tables, world.activities, world.tokens = before
            raise StateError(f"nothing changed: {error}") from None

    def credentials(self) -> JsonObject:
        """Ids, secrets and refresh tokens of the client apps in plain text."""
        return self._vault.describe(self.world.apps.values())


def load_seed(path: Path | None = None) -> JsonObject:
    """A seed file, the demo's by default."""
    seed: JsonObject = json.loads((path or DEMO_SEED).read_text(encoding="utf-8"))
    return seed
