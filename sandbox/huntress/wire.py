"""What requests may ask for, and the forms in which the vendor says no."""

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from sandbox.control import JsonObject
from sandbox.huntress.models import ErrorShape, IncidentReport
from sandbox.huntress.world import World

LONGEST_PAGE, SHOWN_REMEDIATIONS = 500, 10
FOREIGN_PAGES = "https://pages.huntress.invalid"
"""Where `next_page_url` leads: a client that follows it gives its credentials away."""


class Refused(Exception):  # the simulated vendor's word, not ours
    """A request that the vendor does not fulfil."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers

    def answer(self, shape: ErrorShape) -> Response:
        """The answer in one of the shapes that clients report."""
        if shape in {"text", "empty"}:
            return PlainTextResponse(self.message if shape == "text" else "", self.status, self.headers)
        bodies: Mapping[str, JsonObject] = {
            "error": {"error": self.message},
            "message": {"code": self.status, "message": self.message},
            "errors": {"errors": [self.message]},
            "fields": {"errors": {"base": [self.message]}},
        }
        return JSONResponse(bodies[shape], self.status, self.headers)


def one_of(request: Request, name: str, allowed: Iterable[str]) -> str | None:
    """A query value out of a fixed set. Raises the 400 of any other."""
    value = request.query_params.get(name)
    if value is not None and value not in allowed:
        raise Refused(400, f"{name} does not have a valid value")
    return value


def number(request: Request, name: str, *, low: int = 1, high: int = 2**31 - 1) -> int | None:
    """A whole number of the query. Raises the 400 of anything else."""
    value = request.query_params.get(name)
    if value is None:
        return None
    if not value.isascii() or not value.isdigit() or not low <= int(value) <= high:
        raise Refused(400, f"{name} is invalid")
    return int(value)


def shown(row: Any) -> JsonObject:
    """A record as the vendor shows it."""
    told = asdict(row)
    if isinstance(row, IncidentReport):
        items = told["remediations"]
        told["remediations"] = {
            "total_count": len(items),
            "has_more": len(items) > SHOWN_REMEDIATIONS,
            "items": items[:SHOWN_REMEDIATIONS],
        }
    return told


def page(world: World, request: Request, name: str, rows: Iterable[Any], sortable: Iterable[str]) -> Response:
    """One page of a list. Tokens hold for the same filters and order only; foreign ones are a 400.

    What is sorted by a time that it has not sorts by id.
    """
    field = one_of(request, "sort_field", sortable) or "id"
    falling = one_of(request, "sort_direction", ("asc", "desc")) != "asc"
    limit = number(request, "limit", high=LONGEST_PAGE) or 10
    query = sorted(item for item in request.query_params.multi_items() if item[0] not in {"limit", "page_token"})
    asked = hashlib.sha256(json.dumps([request.headers["authorization"], request.url.path, query]).encode()).hexdigest()
    begin = _begin(world, request.query_params.get("page_token"), asked)
    items = sorted(rows, key=lambda row: (getattr(row, field, row.id), row.id), reverse=falling)
    pagination: JsonObject = {"next_page_token": None, "next_page_url": None}
    if begin + limit < len(items):
        token = secrets.token_urlsafe(12)
        world.pages[token] = (asked, begin + limit)
        url = f"{FOREIGN_PAGES}{request.url.path}?page_token={token}"
        pagination = {"next_page_token": token, "next_page_url": url}
    elif world.settings.last_page == "empty":
        pagination = {}
    return JSONResponse({name: [shown(row) for row in items[begin : begin + limit]], "pagination": pagination})


def _begin(world: World, token: str | None, asked: str) -> int:
    if token is None:
        return 0
    known, begin = world.pages.get(token, ("", 0))
    if known != asked:
        raise Refused(400, "page_token is invalid")
    return begin
