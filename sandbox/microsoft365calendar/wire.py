"""One request, and the shapes in which two services refuse."""

import json
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from starlette.responses import JSONResponse

from sandbox.control.wire import Refused, Sent
from sandbox.microsoft365calendar.world import World


def graph_error(status: int, code: str, message: str, **more: Any) -> Refused:
    """Graph's envelope; see https://learn.microsoft.com/graph/errors."""
    inner = {"date": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()), "request-id": str(uuid4())}
    return Refused(JSONResponse({"error": {"code": code, "message": message, **more, "innerError": inner}}, status))


def login_error(status: int, error: str, number: int, message: str) -> Refused:
    """The token endpoint's refusal; the description ends with lines for support."""
    described = f"AADSTS{number}: {message}\r\nTrace ID: {uuid4()}\r\nCorrelation ID: {uuid4()}"
    return Refused(
        JSONResponse({"error": error, "error_description": described, "error_codes": [number]}, status_code=status)
    )


@dataclass(slots=True)
class Call(Sent):
    """One request. `parts`: decoded segments of the path; the first names the service, as the host does at the
    vendor."""

    world: World
    secret: str
    base: str
    method: str
    parts: list[str]
    raw_query: bytes
    headers: dict[bytes, bytes] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def bearer(self) -> str:
        """The token of the header; empty when there is none."""
        scheme, _, value = self.headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        return value.strip() if scheme.lower() == "bearer" else ""

    def json(self) -> dict[str, Any]:
        """The body's object. Raises the 400 of anything else."""
        try:
            body = json.loads(self.body)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise graph_error(400, "BadRequest", "Unable to read JSON request payload.")
        return body
