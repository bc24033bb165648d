"""Login and Graph as one ASGI application, told apart by the first part of the path."""

import os
import secrets

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from sandbox.control import JsonObject, Seeded
from sandbox.control.wire import Refused
from sandbox.microsoft import heard
from sandbox.microsoft365calendar import graph, login
from sandbox.microsoft365calendar.wire import Call
from sandbox.microsoft365calendar.world import World

SECRET_VARIABLE = "SANDBOX_MICROSOFT365CALENDAR_CLIENT_SECRET"  # noqa: S105 # the name of a variable


class Calendars(Seeded[World]):
    """The simulated services.

    Args:
        seed: The world to start with and to return to; see `seeds/demo.json`. The client secret is random unless the
            environment gives it.
    """

    name = "microsoft365calendar"

    def __init__(self, seed: JsonObject) -> None:
        self._secret = os.environ.get(SECRET_VARIABLE) or secrets.token_urlsafe(30)
        super().__init__(lambda effects: World(seed, effects))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; its body must arrive in one message, as the control plane delivers it."""
        call = Call(world=self.world, secret=self._secret, **await heard(scope, receive))
        await _answer(call)(scope, receive, send)

    def credentials(self) -> JsonObject:
        """What a connection needs, in plain text."""
        return {"tenant_id": self.world.tenant_id, "app_id": self.world.app_id, "client_secret": self._secret}


def _answer(call: Call) -> Response:
    try:
        if call.parts[0] == "graph":
            return graph.answer(call)
        if call.method == "POST" and call.parts[0] == "login" and call.parts[2:] == ["oauth2", "v2.0", "token"]:
            return login.token(call)
    except Refused as refused:
        return refused.answer
    return JSONResponse({"error": "there is no such service"}, 404)
