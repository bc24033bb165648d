"""A vendor that answers at once: HTTP/1.1 in one protocol class, so that it is never the bottleneck.

It knows the requests of the lab module: every POST makes a thing, every GET finds one. `GET /count` tells how many
POST requests there were.
"""

import asyncio
from itertools import count
from typing import Any, cast

from benchmarks import child

_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


class Vendor:
    """What all connections share."""

    def __init__(self) -> None:
        self._ids = count(1)
        self.posts = 0

    def answer(self, request_line: bytes) -> bytes:
        """Returns the whole answer to a request."""
        method, path, _ = request_line.split(b" ", 2)
        if path == b"/count":
            return _response(b"200 OK", b"%d" % self.posts)
        if method != b"POST":
            return _response(b"200 OK", b'{"id":"0","name":"thing"}')
        self.posts += 1
        return _response(b"201 Created", b'{"id":"%d","name":"thing"}' % next(self._ids))


class Connection(asyncio.Protocol):
    """One kept-alive connection."""

    def __init__(self, vendor: Vendor) -> None:
        self._vendor = vendor
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the way back."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        """Answers every request that is complete."""
        self._received += data
        while (head := self._received.find(_END)) >= 0:
            size = head + len(_END) + _body_length(self._received[:head])
            if len(self._received) < size:
                return
            line = self._received[: self._received.index(b"\r\n")]
            self._received = self._received[size:]
            assert self._transport is not None
            self._transport.write(self._vendor.answer(line))


def _response(status: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (status, len(body))
    return head + body


def _body_length(head: bytes) -> int:
    lowered = head.lower()
    at = lowered.find(_LENGTH)
    if at < 0:
        return 0
    return int(lowered[at + len(_LENGTH) :].split(b"\r\n", 1)[0])


async def _job(_config: dict[str, Any]) -> None:
    vendor = Vendor()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(vendor), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    child.say({"address": f"http://127.0.0.1:{port}"})
    await child.until_parent_leaves()
    server.close()


if __name__ == "__main__":
    child.run(_job)
