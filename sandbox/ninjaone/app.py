"""The simulated NinjaOne instance as an ASGI application."""

from starlette.types import Receive, Scope, Send

from sandbox.control import JsonObject, Seeded
from sandbox.ninjaone.routes import ENDPOINTS, PAGES
from sandbox.ninjaone.routing import Router
from sandbox.ninjaone.vault import Vault
from sandbox.ninjaone.wire import Call
from sandbox.ninjaone.world import World


class NinjaOne(Seeded[World]):
    """One simulated instance.

    Args:
        seed: The world to start with and to return to; see `seeds/demo.json`. Its optional `credentials` fix
            secrets and refresh tokens that would otherwise be random; see `Vault`.
    """

    name = "ninjaone"

    def __init__(self, seed: JsonObject) -> None:
        self._vault = Vault(seed.get("credentials"))
        self._router = Router(ENDPOINTS, PAGES)
        super().__init__(lambda effects: World(seed, self._vault, effects))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; its body must arrive in one message, as the control plane delivers it."""
        message = await receive()
        headers = dict(scope["headers"])
        call = Call(
            self.world, scope["method"], scope["path"], headers, scope["query_string"], message.get("body", b"")
        )
        answer = await self._router.answer(call)
        await answer(scope, receive, send)

    def credentials(self) -> JsonObject:
        """Ids, secrets and refresh tokens of the client apps in plain text."""
        return self._vault.describe(self.world.apps.values())
