"""Blocking HTTP requests, each on a connection of its own."""

import http.client
import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. Attributes: headers: By name in small letters; the values of one that is repeated are joined."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode(errors="replace")

    def json(self) -> Any:
        """The parsed body."""
        return json.loads(self.body)

    def error(self) -> tuple[int, str]:
        """Status and code of a refusal of one of Microsoft's services."""
        return self.status, self.json()["error"]["code"]


def fetch(
    where: str,
    method: str,
    path: str,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    *,
    timeout: float = 20.0,
) -> Answer:
    """Sends exactly this and returns the answer.

    Args:
        where: `host:port`, with `http://` or without.
        method: As it is sent.
        path: With its query.
        body: Text and bytes are sent as they are, None is nothing, all else becomes JSON.
        headers: As they are sent.
        timeout: Seconds of silence after which it is given up.
    """
    content = body if body is None or isinstance(body, str | bytes) else json.dumps(body)
    with closing(http.client.HTTPConnection(where.removeprefix("http://"), timeout=timeout)) as connection:
        connection.request(method, path, content, dict(headers or {}))
        with connection.getresponse() as response:
            names = {name.lower() for name in response.headers}
            told = {name: ", ".join(response.headers.get_all(name) or []) for name in names}
            return Answer(response.status, told, response.read())
