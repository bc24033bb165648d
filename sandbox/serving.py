"""Running an ASGI application on a free loopback port, in a thread of this process."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, MutableMapping
from functools import partial
from types import FrameType
from typing import Any, Self

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

TRANSPORT = "sandbox.transport"
"""Key in `scope["extensions"]` under which an application finds its connection's asyncio transport."""

_LINGER_ZERO = struct.pack("ii", 1, 0)
_START_SECONDS, _TICK_SECONDS = 10.0, 1.0


def reset_connection(transport: asyncio.Transport) -> None:
    """Break a connection with a TCP reset instead of an orderly end, so that the peer sees ECONNRESET."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    transport.abort()


class _Protocol(H11Protocol):
    """HTTP/1.1 that hands its transport to the application and lets a stopping server cancel requests quietly."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn declares
        super().connection_made(transport)
        served = self.app

        async def with_transport(scope: Any, receive: Any, send: Any) -> None:
            extensions: MutableMapping[str, Any] = scope.setdefault("extensions", {})
            extensions[TRANSPORT] = transport
            try:
                await served(scope, receive, send)
            except asyncio.CancelledError:
                transport.abort()

        self.app = with_transport


class _Server(uvicorn.Server):
    """A server that says when it answers, and ends at once: open requests are cancelled, connections aborted."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()
        self._leave: Callable[[], object] = bool

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    async def main_loop(self) -> None:
        loop, leaving = asyncio.get_running_loop(), asyncio.Event()
        self._leave = partial(loop.call_soon_threadsafe, leaving.set)
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(leaving.wait(), _TICK_SECONDS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listening in sockets or []:
            listening.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self._leave()

    def end(self) -> None:
        """Stop; callable from any thread, with effect once the server is up."""
        self.should_exit = True
        self._leave()


def configure(app: ASGIApp) -> _Server:
    """A quiet server for `app`: no access log, no `Server` header, ready for `serve(sockets=[...])`."""
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        timeout_keep_alive=60,
    )
    return _Server(config)


def bind(port: int = 0) -> socket.socket:
    """A socket bound to 127.0.0.1; port 0 takes a free one. The server begins to listen on it."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound


class SandboxServer:
    """Serves an application from a thread until it is stopped.

    Usable as a context manager and as an asynchronous one. Nothing of it outlives `stop()`.

    Args:
        app: The ASGI application, usually made by `sandbox.<vendor>.create_app()`.
        port: Loopback port; 0 takes a free one.

    Raises:
        RuntimeError: From `start()`, when the server does not come up within ten seconds.
    """

    def __init__(self, app: ASGIApp, port: int = 0) -> None:
        self.app = app
        self._port = port
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The bound port; known once started."""
        return self._port

    @property
    def url(self) -> str:
        """Base address without a trailing slash."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> Self:
        """Bind, serve, and return when requests are answered."""
        listening = bind(self._port)
        self._port = listening.getsockname()[1]
        self._server = configure(self.app)
        self._thread = threading.Thread(target=self._run, args=(self._server, listening), name="sandbox", daemon=True)
        self._thread.start()
        if not self._server.up.wait(_START_SECONDS) or not self._server.started:
            raise RuntimeError("the sandbox server did not start")
        return self

    def stop(self) -> None:
        """Abort open connections, end the thread. A second call does nothing."""
        if self._server is None or self._thread is None:
            return
        self._server.end()
        self._thread.join()
        self._server = self._thread = None

    @staticmethod
    def _run(server: _Server, listening: socket.socket) -> None:
        try:
            with contextlib.closing(listening), asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
                runner.run(server.serve(sockets=[listening]))
        finally:
            server.up.set()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(self, *_exc: object) -> None:
        await asyncio.to_thread(self.stop)


__all__ = ["TRANSPORT", "SandboxServer", "bind", "configure", "reset_connection"]
