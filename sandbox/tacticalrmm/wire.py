"""The server's way of speaking: answers, refusals, HTML error pages, and one request as a handler sees it."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.types import Send

if TYPE_CHECKING:
    from sandbox.tacticalrmm.models import Agent, User
    from sandbox.tacticalrmm.world import World

JSON = b"application/json"
HTML = b"text/html; charset=utf-8"
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_MISSING = object()


@dataclass(slots=True)
class Answer:
    """Status, encoded body, and headers beside the content type."""

    status: int
    body: bytes = b""
    content_type: bytes | None = JSON
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    vary: bytes = b"origin"

    async def send(self, send: Send) -> None:
        """Send it as one ASGI response."""
        headers = [(b"vary", self.vary), *self.headers]
        if self.content_type is not None:
            headers += [(b"content-type", self.content_type), (b"content-length", b"%d" % len(self.body))]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def reply(value: Any, status: int = 200) -> Answer:
    """A JSON answer."""
    return Answer(status, json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def page(status: int) -> Answer:
    """An HTML error page: what the server answers outside its API, and when it crashes."""
    title, text = {
        400: ("Bad Request (400)", ""),
        404: ("Not Found", "The requested resource was not found on this server."),
        500: ("Server Error (500)", ""),
    }[status]
    html = (
        f'\n<!doctype html>\n<html lang="en">\n<head>\n  <title>{title}</title>\n</head>\n<body>\n'
        f"  <h1>{title}</h1><p>{text}</p>\n</body>\n</html>\n"
    )
    return Answer(status, html.encode(), HTML)


class Refused(Exception):  # an answer that cuts the handler short
    """Carries the answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class Crash(Exception):  # the simulated server's crash, not ours
    """The real server fails on this request and answers its HTML page for 500."""


def detail(status: int, text: str) -> Refused:
    """A refusal of the form `{"detail": text}`."""
    return Refused(reply({"detail": text}, status))


def bad(value: Any) -> Answer:
    """A 400, usually with a bare string."""
    return reply(value, 400)


def missing(model: str) -> Refused:
    """The 404 of an object that does not exist."""
    return detail(404, f"No {model} matches the given query.")


def whole(value: Any) -> int:
    """A number given as a number or as digits. Anything else crashes the server."""
    try:
        return int(value)
    except (TypeError, ValueError):
        raise Crash from None


class Body(dict[str, Any]):
    """A request body."""

    def need(self, name: str) -> Any:
        """A field the server reads without looking first: absent, it crashes."""
        if name not in self:
            raise Crash
        return self[name]


@dataclass(slots=True)
class Call:
    """One request.

    Attributes:
        user: Who calls; None for anonymous.
        params: Parts of the path.
    """

    world: "World"
    method: str
    path: str
    headers: dict[bytes, bytes]
    raw_query: bytes
    raw_body: bytes
    peer: str
    params: dict[str, str] = field(default_factory=dict)
    user: "User | None" = None

    @property
    def query(self) -> dict[str, str]:
        """Query parameters; of repeated ones the last."""
        return dict(parse_qsl(self.raw_query.decode("latin-1"), keep_blank_values=True))

    @property
    def agent(self) -> "Agent":
        """The agent named in the path. Raises the 404 of an unknown one."""
        found = self.world.agents.get(self.params["agent_id"])
        if found is None:
            raise missing("Agent")
        return found

    @property
    def username(self) -> str:
        """The caller's name."""
        return self.user.name if self.user is not None else ""

    def audit(self, action: str, agent: "Agent", message: str, after: Any, before: Any = None) -> None:
        """Write the server's audit trail."""
        self.world.audit.append((datetime.now(UTC), self.username, action, agent, message, before, after))

    def text_header(self, name: bytes) -> str | None:
        """A header as text."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def data(self) -> Body:
        """The parsed body.

        Raises:
            Refused: 415 for a media type the server does not read, 400 for malformed JSON.
        """
        if not self.raw_body:
            return Body()
        media = self.text_header(b"content-type") or ""
        kind = media.partition(";")[0].strip().lower()
        if kind in _FORMS:
            return Body(parse_qsl(self.raw_body.decode("latin-1"), keep_blank_values=True))
        if kind != "application/json":
            raise detail(415, f'Unsupported media type "{media}" in request.')
        return self._json()

    def _json(self) -> Body:
        try:
            parsed = json.loads(self.raw_body)
        except ValueError as error:
            raise detail(400, f"JSON parse error - {error}") from None
        if not isinstance(parsed, dict):
            raise Crash
        return Body(parsed)
