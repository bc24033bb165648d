"""From a path to its handler, in the order in which the API refuses."""

from collections.abc import Callable, Mapping

from starlette.responses import Response

from sandbox.levelio.wire import Call, Refused, not_found

Handler = Callable[[Call], Response]
Routes = Mapping[tuple[str, str], Handler]
"""By method and path below `/v2`, `*` standing for one variable segment."""

TRIGGER = "automations/webhooks/*"
_READS = frozenset({"GET", "HEAD"})


def check_key(call: Call, *, writes: bool) -> None:
    """Raises the 401 of a key that is not known as it stands, or the 403 of one that may not write."""
    vault = call.world.vault
    if call.key not in {vault.api_key, vault.read_only_key}:
        raise Refused(401, "Access denied")
    if writes and call.key != vault.api_key:
        raise Refused(403, "This API key is read-only")


def answer(call: Call, routes: Routes) -> Response:
    """Answer one request."""
    try:
        handler, pattern = _route(call, routes)
        if pattern != TRIGGER:
            check_key(call, writes=call.method not in _READS)
        return (handler or _nothing)(call)
    except Refused as refused:
        return refused.answer


def _nothing(_call: Call) -> Response:
    raise not_found()


def _route(call: Call, routes: Routes) -> tuple[Handler | None, str]:
    version, *parts = call.parts
    for (method, pattern), handler in routes.items():
        wanted = pattern.split("/")
        if version == "v2" and method == call.method and _fits(wanted, parts):
            call.params = [part for part, name in zip(parts, wanted, strict=True) if name == "*"]
            return handler, pattern
    return None, ""


def _fits(wanted: list[str], parts: list[str]) -> bool:
    return len(wanted) == len(parts) and all(
        (name == "*" and part) or name == part for name, part in zip(wanted, parts, strict=True)
    )
