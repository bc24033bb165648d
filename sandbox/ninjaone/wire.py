"""The instance's way of speaking: one request as a handler sees it, and the shapes of its refusals."""

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from starlette.responses import HTMLResponse, JSONResponse, Response

from sandbox.control.wire import Refused, Sent

if TYPE_CHECKING:
    from sandbox.ninjaone.models import Device
    from sandbox.ninjaone.tokens import AccessToken
    from sandbox.ninjaone.world import World

THROTTLED = "<!DOCTYPE html><html><head><title>Too many requests</title></head><body>Please slow down.</body></html>"


def refused(status: int, error: str, description: str, code: int | None = None) -> Refused:
    """A refusal of the authorization layer."""
    body: dict[str, Any] = {"error": error, "error_description": description}
    return Refused(JSONResponse(body if code is None else {**body, "error_code": code}, status))


def failed(status: int, result: str, message: str = "") -> Refused:
    """A refusal of the application."""
    body = {"resultCode": result, "errorMessage": message, "incidentId": f"WEB-{uuid4().hex[:8]}"}
    return Refused(JSONResponse({name: value for name, value in body.items() if value}, status))


def missing(what: str) -> Refused:
    """The 404 of an entity that does not exist."""
    return failed(404, f"{what.upper()}_NOT_FOUND", f"{what} not found")


def need_user(call: "Call") -> None:
    """Raises what a token without user context gets."""
    if call.token is None or not call.token.grant.user:
        text = "Access key does not have user context which is required for this request"
        raise refused(call.world.settings.user_context_status, "user_context_required", text, 5)


def throttled(kind: str, seconds: int) -> Response:
    """One of the two reported ways of being throttled; the HTML page comes with status 200."""
    if kind == "html":
        return HTMLResponse(THROTTLED)
    headers = {"retry-after": str(seconds)} if kind == "retry_after" else {}
    return JSONResponse({"resultCode": "FAILURE", "errorMessage": "Too many requests"}, 429, headers)


def done() -> Response:
    """The empty answer of an accepted write."""
    return Response(status_code=204)


@dataclass(slots=True)
class Call(Sent):
    """One request.

    Attributes:
        params: Parts of the path.
        token: What signs it; set for everything but the sign-in pages.
    """

    world: "World"
    method: str
    path: str
    headers: dict[bytes, bytes]
    raw_query: bytes
    body: bytes
    params: dict[str, Any] = field(default_factory=dict)
    token: "AccessToken | None" = None

    @property
    def device(self) -> "Device":
        """The device of the path. Raises the 404 of an unknown one."""
        found = self.world.devices.get(self.params["id"])
        if found is None:
            raise missing("device")
        return found

    def number(self, name: str, default: int | None = None) -> int | None:
        """A whole number of the query. Raises 400 for anything else."""
        value = self.query.get(name)
        if value is None:
            return default
        if not value.lstrip("-").isascii() or not value.lstrip("-").isdigit():
            raise failed(400, "FAILURE", f"{name} must be a number")
        return int(value)

    def data(self, known: dict[str, type]) -> dict[str, Any]:
        """The body as an object with known properties only.

        Raises:
            Refused: 400, for malformed JSON, an unknown property or a value of another type; 415, for another type.
        """
        if not self.body:
            return {}
        if not self.headers.get(b"content-type", b"").startswith(b"application/json"):
            raise failed(415, "FAILURE", "HTTP 415 Unsupported Media Type")
        try:
            given = json.loads(self.body)
        except ValueError:
            raise failed(400, "FAILURE", "Malformed JSON") from None
        if not isinstance(given, dict):
            raise failed(400, "FAILURE", "Cannot deserialize value: an object is expected")
        for name, value in given.items():
            if name not in known:
                raise failed(400, "FAILURE", f'Unrecognized field "{name}", not marked as ignorable')
            if value is not None and (not isinstance(value, known[name]) or isinstance(value, bool)):
                raise failed(400, "FAILURE", f'Cannot deserialize value of field "{name}"')
        return given
