"""The lab's vendor: things that can be read, put and posted. Counts effects through the sandbox's control plane."""

from itertools import count
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from sandbox.control import Sandbox
from sandbox.control.effects import EffectLog

TOKEN = "lab-token-5f0c6b1e9a"


class LabVendor:
    """A simulator in the sense of the control plane."""

    name = "lab"

    def __init__(self) -> None:
        self.effects = EffectLog()
        self._app = Starlette(
            routes=[
                Route("/things", self.post, methods=["POST"]),
                Route("/things/{name}", self.read, methods=["GET"]),
                Route("/things/{name}", self.put, methods=["PUT"]),
                Route("/by-key/{key:path}", self.by_key, methods=["GET"]),
                Route("/check", self.check, methods=["GET"]),
            ]
        )
        self.reset()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; 401 without the token."""
        request = Request(scope, receive)
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            await JSONResponse({"error": "bad token"}, 401)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def reset(self) -> None:
        """Forgets every thing."""
        self._ids = count(1)
        self._by_key: dict[str, dict[str, Any]] = {}

    def snapshot(self) -> dict[str, Any]:
        """The things by key."""
        return {"by_key": self._by_key}

    def patch(self, changes: dict[str, Any]) -> None:
        """Forgets a key: `{"forget": key}`."""
        self._by_key.pop(changes["forget"], None)

    def credentials(self) -> dict[str, Any]:
        """The token."""
        return {"token": TOKEN}

    async def read(self, request: Request) -> Response:
        """A thing of that name."""
        return JSONResponse({"id": "0", "name": request.path_params["name"]})

    async def check(self, _request: Request) -> Response:
        """Proves the token."""
        return JSONResponse({"ok": True})

    async def put(self, request: Request) -> Response:
        """Puts a thing: the effect is counted, the world stays the same."""
        self.effects.record("put", request.path_params["name"], {})
        return JSONResponse({"id": request.path_params["name"], "name": request.path_params["name"]})

    async def post(self, request: Request) -> Response:
        """Posts a thing: a new one each time, unless the vendor was given a key that it knows."""
        body = await request.json()
        vendor_key = request.headers.get("idempotency-key")
        if vendor_key and vendor_key in self._by_key:
            return JSONResponse(self._by_key[vendor_key])
        thing = {"id": str(next(self._ids)), "name": body["name"]}
        self.effects.record("post", body["name"], {"key": body.get("key", "")})
        self._by_key[vendor_key or body.get("key", "")] = thing
        return JSONResponse(thing, 201)

    async def by_key(self, request: Request) -> Response:
        """The thing that was posted with a key, 404 when there is none."""
        thing = self._by_key.get(request.path_params["key"])
        return JSONResponse(thing) if thing else JSONResponse({"error": "none"}, 404)


def create_app() -> Sandbox:
    """Returns the vendor behind its control plane."""
    return Sandbox(LabVendor())
