"""Login and Graph as one ASGI application, told apart by the first part of the path."""

import json
import os
import secrets
from pathlib import Path
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from sandbox.control import EffectLog, JsonObject
from sandbox.control.wire import Refused
from sandbox.microsoft365calendar import graph, login
from sandbox.microsoft365calendar.wire import Call
from sandbox.microsoft365calendar.world import World

DEMO_SEED = Path(__file__).parent / "seeds" / "demo.json"
SECRET_VARIABLE = "SANDBOX_MICROSOFT365CALENDAR_CLIENT_SECRET"  # noqa: S105 # the name of a variable


class Calendars:
    """The simulated services.

    Args:
        seed: The world to start with and to return to; see `seeds/demo.json`. The client secret is random unless the
            environment gives it.
    """

    name = "microsoft365calendar"

    def __init__(self, seed: JsonObject) -> None:
        self._seed = seed
        self._secret = os.environ.get(SECRET_VARIABLE) or secrets.token_urlsafe(30)
        self.effects = EffectLog()
        self.world = World(seed, self.effects)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; its body must arrive in one message, as the control plane delivers it."""
        message = await receive()
        call = Call(
            self.world,
            self._secret,
            str(Request(scope).base_url).rstrip("/"),
            scope["method"],
            [unquote(part) for part in scope["raw_path"].decode("latin-1").strip("/").split("/")],
            scope["query_string"],
            dict(scope["headers"]),
            message.get("body", b""),
        )
        await _answer(call)(scope, receive, send)

    def reset(self) -> None:
        """Returns to the seed; the secret stays, tokens end."""
        self.world = World(self._seed, self.effects)

    def snapshot(self) -> JsonObject:
        """The world without credentials."""
        return self.world.snapshot()

    def patch(self, changes: JsonObject) -> None:
        """Changes the world; see `World.alter`."""
        self.world.alter(changes)

    def credentials(self) -> JsonObject:
        """What a connection needs, in plain text."""
        return {"tenant_id": self.world.tenant_id, "app_id": self.world.app_id, "client_secret": self._secret}


def load_seed(path: Path | None = None) -> JsonObject:
    """A seed file, the demo's by default."""
    seed: JsonObject = json.loads((path or DEMO_SEED).read_text(encoding="utf-8"))
    return seed


def _answer(call: Call) -> Response:
    try:
        if call.parts[0] == "graph":
            return graph.answer(call)
        if call.method == "POST" and call.parts[0] == "login" and call.parts[2:] == ["oauth2", "v2.0", "token"]:
            return login.token(call)
    except Refused as refused:
        return refused.answer
    return JSONResponse({"error": "there is no such service"}, 404)
