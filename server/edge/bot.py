"""The messaging endpoint of Teams bots: `POST /api/messages` on an HTTP port.

Whoever is refused learns a status and nothing else. What is wrong with a sender's token leaves no audit row, as a gRPC
call without a caller does not; everything after that does.
"""

import asyncio
import json
from functools import partial
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from server.core.bot_inbound import ActivityRefused, BotInbound
from server.core.bot_tokens import BotToken
from server.core.refusals import Refusal
from server.edge.http import HttpAudit, HttpReport, peer_of
from server.errors import DatabaseUnavailable

_MOST_BYTES: Final = 256 * 1024
_SECONDS: Final = 15.0


class BotEndpoint:
    """Where Teams reaches bots.

    Args:
        inbound: Takes activities.
        audit: Takes a report of every activity with a token that holds.
    """

    def __init__(self, inbound: BotInbound, audit: HttpAudit) -> None:
        self._inbound = inbound
        self._audit = audit

    @property
    def route(self) -> Route:
        """What an HTTP port answers with it."""
        return Route("/api/messages", self._messages, methods=["POST"])

    async def _messages(self, request: Request) -> Response:
        try:
            async with asyncio.timeout(_SECONDS):
                return await self._answer(request)
        except Refusal as refusal:
            return Response(status_code=503 if refusal.reason == "ISSUER_UNAVAILABLE" else 401)
        except (DatabaseUnavailable, TimeoutError):
            return Response(status_code=503)
        except ClientDisconnect:
            return Response(status_code=400)

    async def _answer(self, request: Request) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return Response(status_code=401)
        verified = await self._inbound.verify(token)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return Response(status_code=415)
        body = await _body(request)
        if body is None:
            return Response(status_code=413)
        activity = _parsed(body)
        if activity is None:
            return Response(status_code=400)
        return await self._received(verified, activity, body, peer_of(request))

    async def _received(self, token: BotToken, activity: dict[str, Any], body: bytes, peer: str) -> Response:
        report = partial(HttpReport, caller=f"bot:{token.bot_app_id}", operation="bot/api/messages", peer=peer)
        try:
            tenants = await self._inbound.receive(token, activity, body)
        except ActivityRefused as refused:
            await self._audit(report(reason=refused.reason))
            return Response(status_code=403)
        await self._audit(report(tenants=tenants))
        return Response(status_code=501) if activity.get("type") == "invoke" else JSONResponse({})


async def _body(request: Request) -> bytes | None:
    """Returns the body; None when it is larger than an activity can be."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _MOST_BYTES:
            return None
    return bytes(body)


def _parsed(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
