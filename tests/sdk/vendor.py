"""A vendor made of raw sockets: it can answer well, badly, slowly, or not at all."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum

_NEWS_APART = 0.05
"""Seconds between an answer and the end of its connection: a client that hears of both at once may know neither."""


class Act(Enum):
    """What the vendor does instead of answering."""

    CLOSE = "closes the connection"
    RESET = "resets the connection"
    HANG = "says nothing"


Part = bytes | Act | Callable[["Received"], bytes]
Step = Part | tuple[Part, ...]


@dataclass(frozen=True)
class Received:
    """One request as it arrived. `connection` counts from 1."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int


@dataclass
class Vendor:
    """The server: `script` holds one step per request, the last one is repeated."""

    script: list[Step]
    port: int = 0
    scheme: str = "http"
    requests: list[Received] = field(default_factory=list)
    connections: int = 0
    events: list[str] = field(default_factory=list)
    closes_idle: bool = False
    """Whether the connection is closed after each answer although the answer promised to keep it."""

    @property
    def url(self) -> str:
        """Base address by literal."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def named(self, name: str) -> str:
        """Base address by a name."""
        return f"{self.scheme}://{name}:{self.port}"

    def paths(self) -> list[str]:
        """Method and path of each request, in order."""
        return [f"{one.method} {one.path}" for one in self.requests]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers the requests of one connection."""
        self.connections += 1
        number = self.connections
        try:
            while received := await self._read(reader, number):
                self.requests.append(received)
                step = self.script[min(len(self.requests), len(self.script)) - 1]
                if not await self._do(step, received, writer) or self.closes_idle:
                    break
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader, number: int) -> Received | None:
        first = await reader.read(1)
        if not first:
            return None
        self.events.append("first byte")
        head = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _version = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Received(method, path, headers, body, number)

    async def _do(self, step: Step, received: Received, writer: asyncio.StreamWriter) -> bool:
        """Returns whether the connection stays open."""
        for part in step if isinstance(step, tuple) else (step,):
            if part is Act.HANG:
                await asyncio.Event().wait()
            if part is Act.CLOSE:
                await asyncio.sleep(_NEWS_APART)
                return False
            if part is Act.RESET:
                _reset(writer)
                return False
            data = part(received) if callable(part) else part
            assert isinstance(data, bytes)
            writer.write(data)
            await writer.drain()
        return True


def _reset(writer: asyncio.StreamWriter) -> None:
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def answer(status: int = 200, body: bytes | str = b"{}", *headers: str, length: int | None = None) -> bytes:
    """Returns the bytes of an HTTP answer."""
    content = body.encode() if isinstance(body, str) else body
    fixed = [f"HTTP/1.1 {status} Told", f"Content-Length: {len(content) if length is None else length}"]
    kind = [] if any(one.lower().startswith("content-type") for one in headers) else ["Content-Type: application/json"]
    return "\r\n".join([*fixed, *kind, *headers, "", ""]).encode() + content


@asynccontextmanager
async def vendor(*script: Step, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> AsyncIterator[Vendor]:
    """Runs a vendor on a free loopback port."""
    made = Vendor(list(script) or [answer()], scheme="https" if tls else "http")
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(made.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, host, 0, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        running = list(tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await server.wait_closed()
