"""The simulated Tactical RMM server as an ASGI application."""

from starlette.types import Receive, Scope, Send

from sandbox.control import JsonObject, Seeded
from sandbox.tacticalrmm.routes import ENDPOINTS
from sandbox.tacticalrmm.routing import Router
from sandbox.tacticalrmm.vault import Vault
from sandbox.tacticalrmm.wire import Call
from sandbox.tacticalrmm.world import World


class TacticalRmm(Seeded[World]):
    """One simulated server.

    Args:
        seed: The world to start with and to return to; see `seeds/demo.json`. Its optional `credentials` fix keys,
            passwords and TOTP secrets that would otherwise be random.
    """

    name = "tacticalrmm"

    def __init__(self, seed: JsonObject) -> None:
        self._vault = Vault(seed.get("credentials"))
        self._router = Router(ENDPOINTS)
        super().__init__(lambda effects: World(seed, self._vault, effects))

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

    def credentials(self) -> JsonObject:
        """Keys, accounts and TOTP secrets in plain text."""
        return self._vault.describe(self.world.users.values(), self.world.keys.values())
