"""One request as a handler sees it, and the shapes in which two services refuse."""

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse, JSONResponse

from sandbox.control.wire import Refused
from sandbox.microsoft import Asked

if TYPE_CHECKING:
    from sandbox.teams.models import Bot
    from sandbox.teams.tokens import AccessToken
    from sandbox.teams.world import World

GATEWAY_413 = "<html><head><title>413 Request Entity Too Large</title></head><body>Too large.</body></html>"


def connector_error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Refused:
    """The connector's usual shape."""
    return Refused(JSONResponse({"error": {"code": code, "message": message}}, status, headers))


def denied() -> Refused:
    """The connector's answer to a token that it does not take (botframework-sdk issue 1593 of bot-docs)."""
    return Refused(JSONResponse({"message": "Authorization has been denied for this request."}, 401))


def bad_argument(message: str) -> Refused:
    """A 400 of the connector."""
    return connector_error(400, "BadArgument", message)


def too_large(form: str) -> Refused:
    """The 413, of the service or of the gateway before it."""
    if form == "html":
        return Refused(HTMLResponse(GATEWAY_413, 413))
    return connector_error(413, "MessageSizeTooBig", "Message size too large.")


def graph_error(call: "Call", status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Refused:
    """Graph's envelope; see https://learn.microsoft.com/graph/errors."""
    inner = {
        "date": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(call.now())),
        "request-id": call.request_id,
        "client-request-id": call.header("client-request-id") or call.request_id,
    }
    return Refused(JSONResponse({"error": {"code": code, "message": message, "innerError": inner}}, status, headers))


@dataclass(slots=True, kw_only=True)
class Call(Asked):
    """One request.

    Attributes:
        params: The segments of the path that the route leaves open.
        signed: The token that signs it; set where one is needed.
    """

    world: "World"
    params: list[str] = field(default_factory=list)
    signed: "AccessToken | None" = None

    def now(self) -> float:
        """Unix time as the world's clock has it."""
        return self.world.now()

    @property
    def token(self) -> "AccessToken":
        """The token of a request that needs one."""
        if self.signed is None:
            raise RuntimeError("the route asks for no token")
        return self.signed

    @property
    def bot(self) -> "Bot":
        """The bot whose token signs."""
        return self.world.bots[self.token.app_id]

    def accepted(self) -> "AccessToken | None":
        """The token of the header, when it is known and not expired."""
        return self.world.tokens.valid(self.bearer, self.now()) if self.bearer else None

    def json(self) -> Any:
        """The body's value; None when it is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None
