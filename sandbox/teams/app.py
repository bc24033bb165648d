"""Microsoft's services around a Teams bot as one ASGI application, told apart by the first part of the path."""

from collections.abc import Mapping

from starlette.types import Receive, Scope, Send

from sandbox.control import JsonObject, Seeded
from sandbox.microsoft import heard
from sandbox.teams import connector, graph, identity, login
from sandbox.teams.inbound import Delivery
from sandbox.teams.routing import Surface, answer
from sandbox.teams.vault import Vault
from sandbox.teams.wire import Call
from sandbox.teams.world import World

SURFACES: Mapping[str, Surface] = {
    "login": login.SURFACE,
    "graph": graph.SURFACE,
    "connector": connector.SURFACE,
    "identity": identity.SURFACE,
}


class Teams(Seeded[World]):
    """The simulated services.

    Args:
        seed: The world to start with and to return to; see `seeds/demo.json`. Its optional `credentials` fix secrets
            that would otherwise be random; see `Vault`.

    Attributes:
        delivery: Sends to bots, at a test's wish.
    """

    name = "teams"

    def __init__(self, seed: JsonObject) -> None:
        self._vault = Vault(seed.get("credentials"))
        super().__init__(lambda effects: World(seed, self._vault, effects))
        self.delivery = Delivery(lambda: self.world)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; its body must arrive in one message, as the control plane delivers it."""
        call = Call(world=self.world, **await heard(scope, receive))
        await answer(call, SURFACES)(scope, receive, send)

    def credentials(self) -> JsonObject:
        """Application ids and secrets in plain text."""
        return self._vault.describe(self.world.bots.values())
