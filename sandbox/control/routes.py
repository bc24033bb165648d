"""The control plane's HTTP surface; every body is JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from sandbox.control.simulator import JsonObject, StateError

if TYPE_CHECKING:
    from sandbox.control.app import Sandbox

Control = Callable[[str, JsonObject], Awaitable[JsonObject]]
"""Carries out an order of one simulator alone: its address, without a last slash, and the wish; tells what came of it.
May raise `StateError`."""

_LIMIT = 100


async def _wish(request: Request) -> JsonObject:
    try:
        body = await request.json()
    except ValueError as error:
        raise StateError(f"not JSON: {error}") from None
    if not isinstance(body, dict):
        raise StateError("the body must be an object")
    return body


async def _refused(_request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, status_code=400)


class _Handlers:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def health(self, _request: Request) -> Response:
        return JSONResponse(self._sandbox.describe())

    async def add_fault(self, request: Request) -> Response:
        return JSONResponse({"id": self._sandbox.faults.add(await _wish(request))}, status_code=201)

    async def list_faults(self, _request: Request) -> Response:
        return JSONResponse({"items": self._sandbox.faults.describe()})

    async def clear_faults(self, _request: Request) -> Response:
        self._sandbox.faults.clear()
        return Response(status_code=204)

    async def remove_fault(self, request: Request) -> Response:
        found = self._sandbox.faults.remove(request.path_params["id"])
        return Response(status_code=204 if found else 404)

    async def effects(self, request: Request) -> Response:
        query = request.query_params
        effects = self._sandbox.simulator.effects
        return JSONResponse(effects.report(kind=query.get("kind"), target=query.get("target")))

    async def requests(self, request: Request) -> Response:
        try:
            limit = int(request.query_params.get("limit", _LIMIT))
        except ValueError:
            raise StateError("limit must be a number") from None
        return JSONResponse({"items": self._sandbox.requests.newest(limit)})

    async def reset(self, _request: Request) -> Response:
        self._sandbox.reset()
        return Response(status_code=204)

    async def state(self, _request: Request) -> Response:
        return JSONResponse(self._sandbox.simulator.snapshot())

    async def patch_state(self, request: Request) -> Response:
        self._sandbox.simulator.patch(await _wish(request))
        return JSONResponse(self._sandbox.simulator.snapshot())

    async def credentials(self, _request: Request) -> Response:
        return JSONResponse(self._sandbox.simulator.credentials())


def _ordering(control: Control) -> Callable[[Request], Awaitable[Response]]:
    async def order(request: Request) -> Response:
        return JSONResponse(await control(str(request.base_url).rstrip("/"), await _wish(request)))

    return order


def control_routes(sandbox: Sandbox, controls: Mapping[str, Control]) -> ASGIApp:
    """The control plane of one sandbox as an ASGI application, with what its simulator adds."""
    on = _Handlers(sandbox)

    def route(method: str, path: str, handler: Callable[[Request], Awaitable[Response]]) -> Route:
        return Route(f"/_sandbox/{path}", handler, methods=[method])

    routes = [
        route("GET", "health", on.health),
        route("POST", "faults", on.add_fault),
        route("GET", "faults", on.list_faults),
        route("DELETE", "faults", on.clear_faults),
        route("DELETE", "faults/{id:int}", on.remove_fault),
        route("GET", "effects", on.effects),
        route("GET", "requests", on.requests),
        route("POST", "reset", on.reset),
        route("GET", "state", on.state),
        route("PATCH", "state", on.patch_state),
        route("GET", "credentials", on.credentials),
        *(route("POST", name, _ordering(control)) for name, control in controls.items()),
    ]
    return Starlette(routes=routes, exception_handlers={StateError: _refused})
