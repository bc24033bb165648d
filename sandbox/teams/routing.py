"""From a path to its handler. The first segment names the surface, as the host does at the vendor."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.responses import JSONResponse, Response

from sandbox.control.wire import Refused
from sandbox.teams.wire import Call

Handler = Callable[[Call], Response]
Routes = Mapping[tuple[str, str], Handler]
"""By method and path below the surface, `*` standing for one variable segment."""


@dataclass(frozen=True, slots=True)
class Surface:
    """One of the vendor's services.

    Attributes:
        routes: What it answers.
        check: Looks at a request before its route does, and raises what it refuses.
        finish: Gives every answer, refusals too, the service's headers.
    """

    routes: Routes
    check: Callable[[Call], None]
    finish: Callable[[Call, Response], None]


def answer(call: Call, surfaces: Mapping[str, Surface]) -> Response:
    """Answers one request."""
    surface = surfaces.get(call.parts[0])
    if surface is None:
        return JSONResponse({"error": f"there is no surface {call.parts[0]!r}"}, 404)
    try:
        handler = _found(call, surface.routes)
        surface.check(call)
        made = handler(call)
    except Refused as refused:
        made = refused.answer
    surface.finish(call, made)
    return made


def _found(call: Call, routes: Routes) -> Handler:
    known = False
    for (method, pattern), handler in routes.items():
        wanted = pattern.split("/")
        if not _fits(wanted, call.parts[1:]):
            continue
        known = True
        if method == call.method:
            call.params = [part for part, name in zip(call.parts[1:], wanted, strict=True) if name == "*"]
            return handler
    raise Refused(Response(status_code=405 if known else 404))


def _fits(wanted: list[str], parts: list[str]) -> bool:
    return len(wanted) == len(parts) and all(
        part != "" if name == "*" else name == part for name, part in zip(wanted, parts, strict=True)
    )
