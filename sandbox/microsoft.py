"""What the simulated services of Microsoft share: a request as a handler sees it, and how the login service refuses."""

import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope

from sandbox.control.wire import Refused, Sent


@dataclass(slots=True, kw_only=True)
class Asked(Sent):
    """One request.

    Attributes:
        base: Address of the simulator, without a slash at its end.
        parts: Segments of the path, each decoded; the first names the service, as the host does at the vendor.
    """

    method: str
    base: str
    parts: list[str]
    raw_query: bytes
    headers: dict[bytes, bytes] = field(repr=False)
    body: bytes = field(repr=False)
    request_id: str = field(default_factory=lambda: str(uuid4()))

    def now(self) -> float:
        """Unix time as the services believe it."""
        return time.time()

    def header(self, name: str) -> str:
        """A header's value; empty when there is none."""
        return self.headers.get(name.encode(), b"").decode("latin-1")

    @property
    def bearer(self) -> str:
        """The token of the header; empty when there is none."""
        scheme, _, value = self.header("authorization").partition(" ")
        return value.strip() if scheme.lower() == "bearer" else ""


async def heard(scope: Scope, receive: Receive) -> dict[str, Any]:
    """The fields of `Asked`; the body must arrive in one message, as the control plane delivers it."""
    message = await receive()
    return {
        "method": scope["method"],
        "base": str(Request(scope).base_url).rstrip("/"),
        "parts": [unquote(part) for part in scope["raw_path"].decode("latin-1").strip("/").split("/")],
        "raw_query": scope["query_string"],
        "headers": dict(scope["headers"]),
        "body": message.get("body", b""),
    }


def login_error(call: Asked, status: int, error: str, number: int, text: str) -> Refused:
    """The token endpoint's refusal; the description ends with three lines for support."""
    stamp = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(call.now()))
    trace, correlation = call.request_id, str(uuid4())
    support = f"Trace ID: {trace}\r\nCorrelation ID: {correlation}\r\nTimestamp: {stamp}"
    body = {
        "error": error,
        "error_description": f"AADSTS{number}: {text}\r\n{support}",
        "error_codes": [number],
        "timestamp": stamp,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"https://login.microsoftonline.com/error?code={number}",
    }
    return Refused(JSONResponse(body, status))
