"""The simulated Level API as an ASGI application."""

import re
from urllib.parse import parse_qsl, unquote

from starlette.types import Receive, Scope, Send

from sandbox.control import JsonObject, Seeded
from sandbox.control.requests import fingerprint
from sandbox.levelio.routes import ROUTES
from sandbox.levelio.routing import answer
from sandbox.levelio.vault import Vault
from sandbox.levelio.wire import Call
from sandbox.levelio.world import World

_TOKEN = re.compile(r"(?<=/automations/webhooks/)[^/]+")


class Level(Seeded[World]):
    """One simulated account.

    Args:
        seed: The world to start with and to return to; see `seeds/demo.json`. Its optional `credentials` fix keys and
            webhook tokens that would otherwise be random.
    """

    name = "levelio"

    def __init__(self, seed: JsonObject) -> None:
        self._vault = Vault(seed.get("credentials"))
        super().__init__(lambda effects: World(seed, self._vault, effects))

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

    def credentials(self) -> JsonObject:
        """Keys, and tokens by the id of their trigger, in plain text."""
        return self._vault.describe()


def mask_path(path: str) -> str:
    """The path with the fingerprint of a webhook's token in place of the token."""
    return _TOKEN.sub(lambda token: fingerprint(unquote(token[0])), path)
