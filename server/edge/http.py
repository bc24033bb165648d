"""An HTTP port: plain HTTP, since TLS ends in front of it."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

_log = structlog.get_logger(__name__)
_GRACE: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpReport:
    """A request to an HTTP port, for the audit.

    Attributes:
        caller: By what it was known: `bot:<app id>`, `feed:<id>`.
        operation: What it did.
        peer: Its address.
        tenants: Those that it was for. Empty: none, as far as it is known.
        actor: For whom.
        reason: Why it was refused. Empty: it was not.
    """

    caller: str
    operation: str
    peer: str
    tenants: Sequence[str] = ()
    actor: str = ""
    reason: str = ""


HttpAudit = Callable[[HttpReport], Awaitable[None]]


def peer_of(request: Request) -> str:
    """Returns the address that a request comes from; empty when it is not known."""
    return request.client.host if request.client else ""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals to the process."""
        yield


class HttpDoor:
    """One HTTP port. Paths are never logged: they may be secrets.

    Args:
        routes: What it answers; everything else is 404.
        shared_port: Whether several processes listen on the same port.
    """

    def __init__(self, routes: Sequence[Route], *, shared_port: bool = False) -> None:
        self._shared_port = shared_port
        self._server = _Server(
            uvicorn.Config(
                Starlette(routes=routes),
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
            raise OSError(f"cannot listen on {listen} for HTTP") from error
        self._serving = asyncio.create_task(self._server.serve(sockets=[bound]), name="http")
        target = f"{listen.rpartition(':')[0]}:{bound.getsockname()[1]}"
        _log.info("serving HTTP", target=target)
        return target

    async def stop(self) -> None:
        """Stops answering; requests that are being answered have a moment to end."""
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving
