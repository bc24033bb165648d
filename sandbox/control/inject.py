"""Carrying a fault out on one request."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from sandbox.control.faults import Fault, FaultBook, Rule
from sandbox.serving import TRANSPORT, reset_connection

Handle = Callable[[Send], Awaitable[None]]
_CHUNK = 65_536
_HUGE_BYTES = 64 * 1024 * 1024


def _transport(scope: Scope) -> asyncio.Transport:
    transport: asyncio.Transport | None = scope.get("extensions", {}).get(TRANSPORT)
    if transport is None:
        raise RuntimeError("this fault needs the connection: serve the application with SandboxServer")
    return transport


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _gone_or_released(receive: Receive, rule: Rule) -> bool:
    """True when the fault was removed before the client left."""
    leaving = asyncio.ensure_future(_gone(receive))
    released = asyncio.ensure_future(rule.released.wait())
    try:
        await asyncio.wait({leaving, released}, return_when=asyncio.FIRST_COMPLETED)
        return not leaving.done()
    finally:
        leaving.cancel()
        released.cancel()


class _Captured:
    """An answer kept back."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def send(self, message: Message) -> None:
        self.messages.append(message)

    async def replay(self, send: Send) -> None:
        for message in self.messages:
            await send(message)


def _payload(fault: Fault) -> tuple[bytes, bytes]:
    if fault.body is None:
        return b"", b"text/html"
    if isinstance(fault.body, str):
        return fault.body.encode(), b"text/html; charset=utf-8"
    return json.dumps(fault.body).encode(), b"application/json"


async def _start(send: Send, fault: Fault, status: int, content_type: bytes) -> None:
    extra = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in fault.headers.items()]
    typed = [] if any(name == b"content-type" for name, _ in extra) else [(b"content-type", content_type)]
    await send({"type": "http.response.start", "status": status, "headers": typed + extra})


async def _answer(send: Send, fault: Fault, body: bytes, content_type: bytes, status: int) -> None:
    await _start(send, fault, fault.status or status, content_type)
    await send({"type": "http.response.body", "body": body})


async def _huge(send: Send, fault: Fault, scope: Scope) -> None:
    left, transport = fault.bytes or _HUGE_BYTES, _transport(scope)
    await _start(send, fault, fault.status or 200, b"application/json")
    await send({"type": "http.response.body", "body": b'"', "more_body": True})
    while left > 0 and not transport.is_closing():
        size = min(left, _CHUNK)
        left -= size
        await send({"type": "http.response.body", "body": b"A" * size, "more_body": True})
        await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": b'"'})


async def _truncate(fault: Fault, scope: Scope, receive: Receive) -> None:
    body, content_type = _payload(fault)
    body = body or b'[{"cut": "he'
    promised = len(body) + (fault.bytes or 1000)
    head = f"HTTP/1.1 {fault.status or 200} OK\r\ncontent-length: {promised}\r\ncontent-type: ".encode()
    transport = _transport(scope)
    transport.write(head + content_type + b"\r\n\r\n" + body)
    transport.close()
    await _gone(receive)


@dataclass(slots=True)
class Suffering:
    """One request and the fault it suffers.

    Attributes:
        rule: The fault to carry out.
        book: Where the rule is kept reachable while the request hangs on it.
        scope: ASGI scope; must carry the transport for faults that break the connection.
        receive: Ends with `http.disconnect` when the client leaves.
        send: Where an answer goes.
        handle: Lets the simulated vendor handle the request, its answer going to the given `send`.
    """

    rule: Rule
    book: FaultBook
    scope: Scope
    receive: Receive
    send: Send
    handle: Handle
    answer: _Captured = field(default_factory=_Captured)

    async def suffer(self) -> None:
        """Carry the fault out; first let the vendor handle the request if its effect shall happen."""
        if self.fault.effect_happens:
            await self.handle(self.answer.send)
        await _BY_KIND[self.fault.kind](self)

    @property
    def fault(self) -> Fault:
        """What happens."""
        return self.rule.fault

    async def delay(self) -> None:
        """The answer comes late, or the vendor hears of the request late."""
        await asyncio.sleep(self.fault.seconds)
        if self.fault.effect_happens:
            await self.answer.replay(self.send)
        else:
            await self.handle(self.send)

    async def hang(self) -> None:
        """No answer until the client leaves or the fault is removed; without effect, removal breaks the connection."""
        with self.book.holding(self.rule):
            released = await _gone_or_released(self.receive, self.rule)
        if released and self.fault.effect_happens:
            await self.answer.replay(self.send)
        elif released:
            await self.reset()

    async def reset(self) -> None:
        """The connection breaks without a byte of an answer."""
        reset_connection(_transport(self.scope))
        await _gone(self.receive)

    async def status(self) -> None:
        """Another answer than the vendor's."""
        body, content_type = _payload(self.fault)
        await _answer(self.send, self.fault, body, content_type, 503)

    async def garbage(self) -> None:
        """A body that is not the JSON it claims to be."""
        body = self.fault.body.encode() if isinstance(self.fault.body, str) else os.urandom(self.fault.bytes or 64)
        await _answer(self.send, self.fault, body, b"application/json", 200)

    async def huge_body(self) -> None:
        """A body without end, nearly."""
        await _huge(self.send, self.fault, self.scope)

    async def truncate(self) -> None:
        """Less body than the headers promise."""
        await _truncate(self.fault, self.scope, self.receive)


_BY_KIND: dict[str, Callable[[Suffering], Awaitable[Any]]] = {
    "delay": Suffering.delay,
    "hang": Suffering.hang,
    "status": Suffering.status,
    "reset_before": Suffering.reset,
    "reset_after": Suffering.reset,
    "garbage": Suffering.garbage,
    "huge_body": Suffering.huge_body,
    "truncate": Suffering.truncate,
}
