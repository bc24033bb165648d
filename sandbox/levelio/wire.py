"""The API's way of speaking: refusals, pages, and one request as a handler sees it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from sandbox.control import JsonObject

if TYPE_CHECKING:
    from sandbox.levelio.world import World

DEFAULT_LIMIT, MAX_LIMIT = 20, 100


class Refused(Exception):  # an answer that cuts the handler short
    """Carries the answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.answer = reply({"error": text}, status)


def reply(value: Any, status: int = 200) -> Response:
    """A JSON answer."""
    return JSONResponse(value, status)


def not_found() -> Refused:
    """The 404 of what does not exist."""
    return Refused(404, "Not found")


@dataclass(slots=True)
class Call:
    """One request.

    Attributes:
        parts: Decoded segments of the path.
        key: The Authorization header as it stands.
        params: Variable segments of the path.
    """

    world: "World"
    method: str
    parts: list[str]
    query: dict[str, str]
    key: str
    raw_body: bytes
    params: list[str] = field(default_factory=list)

    def flag(self, name: str) -> bool:
        """Whether a flag of the query is `true`."""
        return self.query.get(name) == "true"

    def body(self) -> JsonObject:
        """The parsed body; empty without one. Raises the 400 of anything but a JSON object."""
        if not self.raw_body:
            return {}
        try:
            parsed = json.loads(self.raw_body)
        except ValueError:
            raise Refused(400, "The body is not JSON") from None
        if not isinstance(parsed, dict):
            raise Refused(400, "The body is not an object")
        return parsed

    def found(self, table: str) -> JsonObject:
        """The row that the path names. Raises the 404 of an unknown one."""
        row = self.world.tables[table].get(self.params[0])
        if row is None:
            raise not_found()
        return row

    def matching(self, table: str, *names: str) -> list[JsonObject]:
        """Rows whose fields equal the query's values for these names, newest first."""
        wanted = {name: self.query[name] for name in names if name in self.query}
        rows = reversed(self.world.tables[table].values())
        return [row for row in rows if all(row.get(name) == value for name, value in wanted.items())]

    def _limit(self) -> int:
        text = self.query.get("limit", str(DEFAULT_LIMIT))
        if text.isdecimal() and 1 <= int(text) <= MAX_LIMIT:
            return int(text)
        if self.world.settings.bad_limit == "refuse":
            raise Refused(400, "limit must be from 1 to 100")
        return min(max(int(text), 1), MAX_LIMIT) if text.lstrip("-").isdecimal() else DEFAULT_LIMIT

    def page(self, rows: Iterable[JsonObject]) -> Response:
        """The part of a list that limit and cursor ask for."""
        listed, limit = list(rows), self._limit()
        after, before = self.query.get("starting_after"), self.query.get("ending_before")
        if after is not None:
            listed = listed[_position(listed, after) + 1 :]
        elif before is not None:
            listed = listed[: _position(listed, before)]
            return reply({"data": listed[-limit:], "has_more": len(listed) > limit})
        return reply({"data": listed[:limit], "has_more": len(listed) > limit})


def _position(rows: list[JsonObject], cursor: str) -> int:
    """Where the cursor's row stands; what the vendor answers to an unknown one is not known, so it is a 400."""
    for position, row in enumerate(rows):
        if row.get("id") == cursor:
            return position
    raise Refused(400, "Unknown cursor")
