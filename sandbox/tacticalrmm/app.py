"""The simulated Tactical RMM server as an ASGI application."""

import copy
import json
from pathlib import Path

from starlette.types import Receive, Scope, Send

from sandbox.control import EffectLog, JsonObject, StateError
from sandbox.tacticalrmm.routes import ENDPOINTS
from sandbox.tacticalrmm.routing import Router
from sandbox.tacticalrmm.vault import Vault
from sandbox.tacticalrmm.wire import Call
from sandbox.tacticalrmm.world import EDITABLE, Change, World

DEMO_SEED = Path(__file__).parent / "seeds" / "demo.json"


class TacticalRmm:
    """One simulated server.

    Args:
        seed: The world to start with and to return to; see `seeds/demo.json`. Its optional `credentials` fix keys,
            passwords and TOTP secrets that would otherwise be random.
    """

    name = "tacticalrmm"

    def __init__(self, seed: JsonObject) -> None:
        self._seed = seed
        self._vault = Vault(seed.get("credentials"))
        self._router = Router(ENDPOINTS)
        self.effects = EffectLog()
        self.world = World(seed, self._vault, self.effects)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; its body must arrive in one message, as the control plane delivers it."""
        message = await receive()
        call = Call(
            self.world,
            scope["method"],
            scope["path"],
            dict(scope["headers"]),
            scope["query_string"],
            message.get("body", b""),
            (scope.get("client") or ("unknown",))[0],
        )
        answer = await self._router.answer(call)
        await answer.send(send)

    def reset(self) -> None:
        """Return to the seed; keys and passwords stay, login sessions end."""
        self.world.end()
        self.world = World(self._seed, self._vault, self.effects)

    def snapshot(self) -> JsonObject:
        """The world without credentials."""
        return self.world.snapshot()

    def patch(self, changes: JsonObject) -> None:
        """Change the world; see `Change` for what can be wished."""
        before = {name: copy.deepcopy(getattr(self.world, name)) for name in EDITABLE}
        try:
            Change(self.world).apply(changes)
        except (StateError, AttributeError, KeyError, TypeError) as error:
            for name, value in before.items():
                setattr(self.world, name, value)
            raise StateError(f"nothing changed: {error}") from None

    def credentials(self) -> JsonObject:
        """Keys, accounts and TOTP secrets in plain text."""
        return self._vault.describe(self.world.users.values(), self.world.keys.values())


def load_seed(path: Path | None = None) -> JsonObject:
    """A seed file, the demo's by default."""
    seed: JsonObject = json.loads((path or DEMO_SEED).read_text(encoding="utf-8"))
    return seed
