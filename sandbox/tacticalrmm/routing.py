"""From a path to its handler, in the order in which the real server refuses."""

import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.tacticalrmm.access import Permission, anyone, check
from sandbox.tacticalrmm.wire import Answer, Call, Crash, Refused, detail, page, reply

Handler = Callable[[Call], Awaitable[Answer]]
_PARTS = {"agent_id": r"[^/]{21,}", "int": r"[0-9]+", "text": r"[^/]+"}
_PARSES = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path and what its methods do.

    Attributes:
        path: Pattern without the leading slash; `{agent_id}`, `{pk:int}` and `{name:text}` are its variable parts.
        handlers: By method.
        permission: One for all methods, or one a method (GET's is used for methods that are not named).
        allow: The `Allow` header, which names methods the real server has even where the simulator lacks them.
        title: Name in the answer to OPTIONS.
    """

    path: str
    handlers: Mapping[str, Handler]
    permission: Permission | Mapping[str, Permission]
    allow: str
    title: str = ""

    def pattern(self) -> re.Pattern[str]:
        """The path as a regular expression."""

        def part(found: re.Match[str]) -> str:
            name, kind = found["name"], found["kind"] or found["name"]
            return f"(?P<{name}>{_PARTS[kind]})"

        return re.compile("/" + re.sub(r"\{(?P<name>\w+)(?::(?P<kind>\w+))?\}", part, self.path))

    def permission_for(self, method: str) -> Permission:
        """The permission a method asks for."""
        if callable(self.permission):
            return self.permission
        return self.permission.get(method) or self.permission.get("GET") or next(iter(self.permission.values()))


class Router:
    """Endpoints by the first part of their path."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._by_head: dict[str, list[tuple[re.Pattern[str], Endpoint]]] = defaultdict(list)
        for endpoint in endpoints:
            self._by_head[endpoint.path.partition("/")[0]].append((endpoint.pattern(), endpoint))

    def find(self, path: str, *, beta: bool) -> tuple[Endpoint, dict[str, Any]] | None:
        """The endpoint of a path, and the variable parts; beta paths exist only when switched on."""
        if not beta and path.startswith("/beta/"):
            return None
        for pattern, endpoint in self._by_head.get(path[1:].partition("/")[0], ()):
            matched = pattern.fullmatch(path)
            if matched is not None:
                return endpoint, matched.groupdict()
        return None

    async def answer(self, call: Call) -> Answer:
        """Answer one request."""
        if not _known_host(call):
            return page(400)
        found = self.find(call.path, beta=call.world.settings.beta)
        if found is None:
            return self._redirected(call) or page(404)
        endpoint, call.params = found
        try:
            answer = await _handled(endpoint, call)
        except Refused as refused:
            answer = refused.answer
        except Crash:
            return page(500)
        answer.headers.append((b"allow", endpoint.allow.encode()))
        return answer

    def _redirected(self, call: Call) -> Answer | None:
        if call.path.endswith("/") or self.find(call.path + "/", beta=call.world.settings.beta) is None:
            return None
        query = b"?" + call.raw_query if call.raw_query else b""
        target = call.path.encode() + b"/" + query
        return Answer(301, b"", b"text/html; charset=utf-8", [(b"location", target)])


def _known_host(call: Call) -> bool:
    name = (call.text_header(b"host") or "").rpartition(":")[0] or call.text_header(b"host") or ""
    return name in call.world.settings.allowed_hosts or "*" in call.world.settings.allowed_hosts


async def _handled(endpoint: Endpoint, call: Call) -> Answer:
    check(call, endpoint.permission_for(call.method))
    handler = endpoint.handlers.get(call.method)
    if handler is not None:
        return await handler(call)
    if call.method == "OPTIONS":
        return reply({"name": endpoint.title, "description": "", "renders": ["application/json"], "parses": _PARSES})
    if call.method == "HEAD" and "HEAD" in endpoint.allow:
        raise Crash
    raise detail(405, f'Method "{call.method}" not allowed.')


__all__ = ["Endpoint", "Handler", "Router", "anyone"]
