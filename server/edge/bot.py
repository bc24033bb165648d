"""The messaging endpoint of Teams bots: `POST /api/messages`, on a port of its own.

Whoever is refused learns a status and nothing else. What is wrong with a sender's token leaves no audit row, as a gRPC
call without a caller does not; everything after that does.
"""

import asyncio
import contextlib
import json
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from server.core.bot_inbound import ActivityRefused, BotInbound
from server.core.bot_tokens import BotToken
from server.core.refusals import Refusal
from server.errors import DatabaseUnavailable

_log = structlog.get_logger(__name__)
_MOST_BYTES: Final = 256 * 1024
_SECONDS: Final = 15.0
_GRACE: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class BotReport:
    """One activity for the audit: `reason` is empty unless it was refused, `tenants` those that it was for."""

    bot_app_id: str
    peer: str
    tenants: Sequence[str] = ()
    reason: str = ""


BotAudit = Callable[[BotReport], Awaitable[None]]


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals to the process."""
        yield


class BotDoor:
    """The port where Teams reaches bots. It speaks plain HTTP: TLS ends in front of it.

    Args:
        inbound: Takes activities.
        audit: Takes a report of every activity with a token that holds.
        shared_port: Whether several processes listen on the same port.
    """

    def __init__(self, inbound: BotInbound, audit: BotAudit, *, shared_port: bool = False) -> None:
        self._inbound = inbound
        self._audit = audit
        self._shared_port = shared_port
        app = Starlette(routes=[Route("/api/messages", self._messages, methods=["POST"])])
        self._server = _Server(
            uvicorn.Config(
                app,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_GRACE,
            )
        )
        self._serving: asyncio.Task[None] | None = None

    async def open(self, listen: str) -> str:
        """Starts answering; returns the address with the real port. Raises OSError when the port is taken."""
        host, _, port = listen.rpartition(":")
        host = host.strip("[]")
        bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self._shared_port:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            bound.bind((host, int(port)))
            bound.listen(100)
        except OSError as error:
            bound.close()
            raise OSError(f"cannot listen on {listen} for bots") from error
        self._serving = asyncio.create_task(self._server.serve(sockets=[bound]), name="bot")
        target = f"{listen.rpartition(':')[0]}:{bound.getsockname()[1]}"
        _log.info("serving bots", target=target)
        return target

    async def stop(self) -> None:
        """Stops answering; requests that are being answered have a moment to end."""
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving

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
        return await self._received(verified, activity, body, request.client.host if request.client else "")

    async def _received(self, token: BotToken, activity: dict[str, Any], body: bytes, peer: str) -> Response:
        try:
            tenants = await self._inbound.receive(token, activity, body)
        except ActivityRefused as refused:
            await self._audit(BotReport(bot_app_id=token.bot_app_id, peer=peer, reason=refused.reason))
            return Response(status_code=403)
        await self._audit(BotReport(bot_app_id=token.bot_app_id, peer=peer, tenants=tenants))
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
