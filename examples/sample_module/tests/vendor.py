"""A small Statusboard: three components, incidents by reference, every incident counted."""

from datetime import UTC, datetime
from itertools import count
from secrets import token_hex
from typing import Any

from sandbox.control import Sandbox
from sandbox.control.effects import EffectLog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

COMPONENTS = (
    {"id": "1", "name": "Mail", "status": "operational"},
    {"id": "2", "name": "Remote access", "status": "outage"},
    {"id": "3", "name": "Fax", "status": "operational"},
)
RETIRED = "3"


class Statusboard:
    """The simulated server. The control plane resets it and reads its effects."""

    name = "statusboard"

    def __init__(self) -> None:
        self.effects = EffectLog()
        self._token = token_hex(20)
        self._app = Starlette(
            routes=[
                Route("/api/me", self._me),
                Route("/api/components", self._components),
                Route("/api/incidents", self._incidents),
                Route("/api/incidents", self._open, methods=["POST"]),
            ]
        )
        self.reset()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; 401 without the token."""
        if Request(scope).headers.get("authorization") == f"Bearer {self._token}":
            await self._app(scope, receive, send)
        else:
            await JSONResponse({"error": "who are you?"}, 401)(scope, receive, send)

    def reset(self) -> None:
        """Forgets every incident."""
        self._numbers = count(1)
        self._by_reference: dict[str, dict[str, str]] = {}

    def snapshot(self) -> dict[str, Any]:
        """The incidents by reference."""
        return {"incidents": self._by_reference}

    def patch(self, changes: dict[str, Any]) -> None:
        """Nothing can be changed from outside."""

    def credentials(self) -> dict[str, Any]:
        """The token."""
        return {"token": self._token}

    async def _me(self, _request: Request) -> Response:
        return JSONResponse({"name": "patchbay"})

    async def _components(self, request: Request) -> Response:
        text, status = request.query_params.get("search", ""), request.query_params.get("status")
        found = [one for one in COMPONENTS if text.lower() in one["name"].lower() and status in (None, one["status"])]
        found.sort(key=lambda one: one["name"])
        return JSONResponse({"components": found[: int(request.query_params["limit"])]})

    async def _incidents(self, request: Request) -> Response:
        found = self._by_reference.get(request.query_params["reference"])
        return JSONResponse({"incidents": [found] if found else []})

    async def _open(self, request: Request) -> Response:
        order = await request.json()
        if order["component"] == RETIRED:
            return JSONResponse({"error": "retired"}, 409)
        incident = {"id": str(next(self._numbers)), "opened_at": datetime.now(UTC).isoformat()}
        self._by_reference[order["reference"]] = incident
        self.effects.record("incident", order["component"], {"title": order["title"]})
        return JSONResponse(incident, 201)


def create_app() -> Sandbox:
    """Returns the server behind its control plane."""
    return Sandbox(Statusboard())
