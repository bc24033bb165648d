"""The simulated vendor as an ASGI application."""

from collections.abc import Awaitable, Callable
from typing import cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from sandbox.control import JsonObject, Seeded
from sandbox.huntress.endpoints import ENDPOINTS, Handler
from sandbox.huntress.models import Key
from sandbox.huntress.wire import Refused
from sandbox.huntress.world import Vault, World


class Huntress(Seeded[World]):
    """One simulated vendor with its accounts.

    Args:
        seed: The world to start with and to return to; see `seeds/demo.json`. Its optional `credentials` fix keys and
            secrets that would otherwise be random.
    """

    name = "huntress"

    def __init__(self, seed: JsonObject) -> None:
        self._vault = Vault([key["name"] for key in seed.get("keys", [])], seed.get("credentials", {}))
        super().__init__(lambda effects: World(seed, self._vault, effects))
        routes = [Route(path, self._guarded(handler), methods=[method]) for method, path, handler in ENDPOINTS]
        self._app = Starlette(routes=routes, exception_handlers={Refused: self._refused, HTTPException: self._unknown})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._app(scope, receive, send)

    def _guarded(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            request.state.body = await request.body()
            key = self._key(request)
            self.world.complete_remediations()
            if request.method != "GET" and key.user is None:
                raise Refused(403, "This API key is not allowed to do that")
            return handler(self.world, key, request)

        return answer

    def _key(self, request: Request) -> Key:
        key = self.world.keys.get(request.headers.get("authorization", ""))
        if key is None:
            raise Refused(401, "Invalid credentials")
        if not self.world.admit(key.account_id):
            seconds = self.world.settings.retry_after
            raise Refused(429, "Rate limit exceeded", None if seconds is None else {"retry-after": str(seconds)})
        return key

    async def _refused(self, _request: Request, error: Exception) -> Response:
        return cast("Refused", error).answer(self.world.settings.errors)

    async def _unknown(self, _request: Request, error: Exception) -> Response:
        unknown = cast("HTTPException", error)
        return Refused(unknown.status_code, unknown.detail).answer(self.world.settings.errors)

    def credentials(self) -> JsonObject:
        """Keys and secrets by the key's name."""
        return {"keys": self._vault.pairs}
