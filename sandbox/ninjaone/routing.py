"""From a path to its handler, in the order in which the instance refuses: header, token, path, method, right."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from uuid import uuid4

from starlette.responses import JSONResponse, Response
from starlette.routing import compile_path

from sandbox.control.wire import Refused
from sandbox.ninjaone.tokens import AccessToken
from sandbox.ninjaone.wire import Call, failed, refused, throttled

Handler = Callable[[Call], Awaitable[Response]]
_BASES = ("/api/v2/", "/v2/")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A method of a path, and what it asks for.

    Attributes:
        path: Pattern below the base path, as Starlette writes them.
        scope: The scope of the token.
    """

    method: str
    path: str
    handler: Handler
    scope: str = "monitoring"


class Router:
    """The API's endpoints below `/v2` and `/api/v2`, and the sign-in pages beside them."""

    def __init__(self, endpoints: Iterable[Endpoint], pages: Iterable[Endpoint]) -> None:
        self._api = [(compile_path("/" + one.path), one) for one in endpoints]
        self._pages = {(one.method, one.path): one.handler for one in pages}

    async def answer(self, call: Call) -> Response:
        """Answers one request."""
        try:
            answer = await self._answer(call)
        except Refused as refusal:
            answer = refusal.answer
        answer.headers["x-nj-request-id"] = str(uuid4())
        return answer

    async def _answer(self, call: Call) -> Response:
        base = next((base for base in _BASES if call.path.startswith(base)), None)
        if base is None:
            return await self._page(call)
        call.token = _signed(call)
        if (slowed := _slowed(call)) is not None:
            return slowed
        endpoint = self._found(call, call.path[len(base) - 1 :])
        _permitted(call, endpoint)
        return await endpoint.handler(call)

    async def _page(self, call: Call) -> Response:
        path = call.path
        if path.startswith("/oauth/") and call.world.settings.oauth_alias:
            path = "/ws" + path
        handler = self._pages.get((call.method, path))
        if handler is None:
            raise failed(404, "FAILURE", "HTTP 404 Not Found")
        return await handler(call)

    def _found(self, call: Call, path: str) -> Endpoint:
        known = False
        for (pattern, _, convertors), endpoint in self._api:
            matched = pattern.match(path)
            if matched is None:
                continue
            known = True
            if endpoint.method == call.method:
                call.params = {name: convertors[name].convert(text) for name, text in matched.groupdict().items()}
                return endpoint
        if known:
            raise failed(405, "FAILURE", "HTTP 405 Method Not Allowed")
        raise failed(404, "FAILURE", "HTTP 404 Not Found")


def _signed(call: Call) -> AccessToken:
    header = call.headers.get(b"authorization")
    if header is None:
        raise refused(400, "missing_header", "Missing required header", 2)
    scheme, _, value = header.decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not value.strip():
        raise refused(400, "invalid_header", "Invalid header value", 1)
    token = call.world.tokens.valid(value.strip())
    if token is None or not _alive(call, token):
        raise refused(401, "not_authenticated", "Invalid credentials", 10)
    return token


def _alive(call: Call, token: AccessToken) -> bool:
    user = call.world.users.get(token.grant.user)
    return token.grant.client_id in call.world.apps and (not token.grant.user or (user is not None and user.active))


def _slowed(call: Call) -> Response | None:
    settings = call.world.settings
    if settings.throttle == "off":
        return None
    answer = throttled(settings.throttle, settings.retry_after)
    if settings.throttle_times == 1:
        settings.throttle = "off"
    settings.throttle_times = max(0, settings.throttle_times - 1)
    return answer


def _permitted(call: Call, endpoint: Endpoint) -> None:
    grant = call.token.grant if call.token is not None else None
    if grant is None or endpoint.scope not in grant.scopes:
        raise Refused(
            JSONResponse({"error": "insufficient_privileges", "error_description": "Insufficient privileges"}, 401)
        )
