"""A bot that writes down what it receives, on loopback."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.serving import SandboxServer


@dataclass
class Received:
    """What arrived, in order: activities, and their `Authorization` headers (None: there was none)."""

    url: str = ""
    status: int = 200
    activities: list[dict[str, Any]] = field(default_factory=list)
    headers: list[str | None] = field(default_factory=list)

    @property
    def token(self) -> str:
        """The last token."""
        return (self.headers[-1] or "").removeprefix("Bearer ")


@contextmanager
def listening() -> Iterator[Received]:
    """Serves `/api/messages`; answers `status` and an empty object."""
    received = Received()

    async def messages(request: Request) -> Response:
        received.activities.append(await request.json())
        received.headers.append(request.headers.get("authorization"))
        return JSONResponse({}, received.status)

    with SandboxServer(Starlette(routes=[Route("/api/messages", messages, methods=["POST"])])) as server:
        received.url = f"{server.url}/api/messages"
        yield received
