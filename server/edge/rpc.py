"""One way for every rpc: authenticate, check the request message, call the servicer, translate errors, audit.

A servicer is a plain class; its methods are named like the rpcs in snake_case and take the request message and a
CallInfo. A unary method returns its answer, or bytes when it has serialized it already; a streaming one yields.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

import grpc
import structlog
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import DecodeError, Message

from server.contract.payload import violations_of
from server.core.caller import Caller
from server.core.refusals import FieldViolation, Refusal
from server.edge.status import status_of
from server.errors import DatabaseUnavailable
from server.sdk.context import Deadline

_log = structlog.get_logger(__name__)
_PAYLOADS = frozenset({"Struct", "Payload"})
_QUESTIONS_KEPT, _SHORT_QUESTION = 1024, 256
Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(slots=True)
class CallInfo:
    """One call as servicers see it. `tenant`, `action`, `execution` and `outcome` are for the audit row."""

    caller: Caller
    operation: str
    metadata: Mapping[str, str]
    deadline: Deadline | None
    tenant: str = ""
    action: str = ""
    version: int = 0
    execution: str = ""
    outcome: str = "OK"
    reason: str = ""
    actor: str = ""
    run: tuple[str, str] = field(default=("", ""))

    @property
    def peer(self) -> str:
        """The caller's address."""
        return self.caller.peer

    def remaining(self) -> float | None:
        """Returns the seconds until the caller's deadline, None without one."""
        return None if self.deadline is None else self.deadline.remaining()


class Authenticator(Protocol):
    """Who calls."""

    async def authenticate(self, metadata: Mapping[str, str], peer: str) -> Caller:
        """Returns the caller; raises Refusal."""


Audit = Callable[[CallInfo], Awaitable[None]]


class Gatekeeper:
    """What happens around every servicer method."""

    def __init__(self, authenticator: Authenticator, audit: Audit) -> None:
        self._authenticator = authenticator
        self._audit = audit

    async def open(self, operation: str, context: Context) -> CallInfo:
        """Authenticates a call."""
        metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        caller = await self._authenticator.authenticate(metadata, context.peer() or "")
        left = context.time_remaining()
        return CallInfo(caller, operation, metadata, None if left is None else Deadline.after(left))

    async def left(self, call: CallInfo | None) -> None:
        """Writes the audit row of a call whose client has left."""
        if call is not None:
            call.outcome = "LEFT"
            await asyncio.shield(self._audit(call))

    async def close(self, call: CallInfo | None, error: Exception | None, context: Context) -> None:
        """Writes the audit row; ends the call with a status when it failed."""
        if call is not None:
            if isinstance(error, Refusal):
                call.outcome, call.reason = "REFUSED", error.reason
            elif error is not None:
                call.outcome, call.reason = "ERROR", type(error).__name__
            await self._audit(call)
        if error is not None:
            if not isinstance(error, Refusal | DatabaseUnavailable):
                _log.error(
                    "rpc failed", operation=call.operation if call else "", error=type(error).__name__, exc_info=error
                )
            await context.abort_with_status(status_of(error))


def handlers(service: ServiceDescriptor, servicer: object, gate: Gatekeeper) -> grpc.GenericRpcHandler:
    """Returns the gRPC handlers of a service."""
    methods = {method.name: _method(method, servicer, gate) for method in service.methods}
    return grpc.method_handlers_generic_handler(service.full_name, methods)


def _method(method: MethodDescriptor, servicer: object, gate: Gatekeeper) -> grpc.RpcMethodHandler[Any, Any]:
    function = getattr(servicer, snake_case(method.name))
    operation = f"{method.containing_service.full_name}/{method.name}"
    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(
            _streaming(operation, function, gate, _reader(method)), None, _bytes
        )
    return grpc.unary_unary_rpc_method_handler(_unary(operation, function, gate, _reader(method)), None, _bytes)


Read = Callable[[bytes], Message]


def _reader(method: MethodDescriptor) -> Read:
    """Returns what parses and checks a request; raises Refusal.

    Short questions that are asked again and again, in the same bytes, are read once: no servicer changes a request.
    What may hold an input, with its secrets, is not kept.
    """
    kind = message_factory.GetMessageClass(method.input_type)

    def read(data: bytes) -> Message:
        try:
            request = kind.FromString(data)
        except DecodeError:
            raise Refusal("INPUT_INVALID", f"The request is no serialized {method.input_type.full_name}.") from None
        check(request)
        return request

    asks = method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS
    if not asks or any(field.message_type is not None for field in method.input_type.fields):
        return read
    known = lru_cache(maxsize=_QUESTIONS_KEPT)(read)
    return lambda data: known(data) if len(data) <= _SHORT_QUESTION else read(data)


def _unary(
    operation: str, function: Callable[[Any, CallInfo], Awaitable[Message | bytes]], gate: Gatekeeper, read: Read
) -> Callable[[bytes, Context], Awaitable[Message | bytes | None]]:
    async def serve(data: bytes, context: Context) -> Message | bytes | None:
        call: CallInfo | None = None
        try:
            call = await gate.open(operation, context)
            answer = await function(read(data), call)
        except asyncio.CancelledError:  # the client has left; what it began goes on
            await gate.left(call)
            raise
        except Exception as error:  # noqa: BLE001 - everything becomes a status
            await gate.close(call, error, context)
            return None
        await gate.close(call, None, context)
        return answer

    return serve


def _streaming(
    operation: str, function: Callable[[Any, CallInfo], AsyncGenerator[Message, None]], gate: Gatekeeper, read: Read
) -> Callable[[bytes, Context], AsyncIterator[Message]]:
    async def serve(data: bytes, context: Context) -> AsyncIterator[Message]:
        call: CallInfo | None = None
        try:
            call = await gate.open(operation, context)
            async with aclosing(function(read(data), call)) as answers:
                async for answer in answers:
                    yield answer
        except (asyncio.CancelledError, GeneratorExit):  # the usual end
            await gate.left(call)
            raise
        except Exception as error:  # noqa: BLE001 - everything becomes a status
            await gate.close(call, error, context)
            return
        await gate.close(call, None, context)

    return serve


class Parts:
    """A servicer made of several, each with some of the methods."""

    def __init__(self, *parts: object) -> None:
        self._parts = parts

    def __getattr__(self, name: str) -> Any:
        """Returns the method of the part that has it; raises AttributeError."""
        for part in self._parts:
            if hasattr(part, name):
                return getattr(part, name)
        raise AttributeError(name)


def check(request: Message) -> None:
    """Raises Refusal INPUT_INVALID when a request message breaks its own rules."""
    found = [FieldViolation(one.field, one.message, one.rule) for one in violations_of(request)]
    found += [FieldViolation(field, "must not hold a zero byte", "text") for field in _with_zero_byte(request)]
    if found:
        told = "; ".join(f"{one.field}: {one.message}" for one in found[:5])
        raise Refusal("INPUT_INVALID", f"The request is not valid. {told}", violations=found)


def _with_zero_byte(message: Message, prefix: str = "") -> Iterator[str]:
    """Names the texts that PostgreSQL could not hold. Payloads are not looked into: they are stored as JSON."""
    for found, value in message.ListFields():
        path = prefix + found.name
        if found.type == found.TYPE_STRING:
            if any("\0" in text for text in (value if found.is_repeated else (value,))):
                yield path
        elif found.message_type is not None and found.message_type.name not in _PAYLOADS:
            inner = {f"{path}[{at}]": each for at, each in enumerate(value)} if found.is_repeated else {path: value}
            for place, each in inner.items():
                if isinstance(each, Message):  # of a map these are its keys
                    yield from _with_zero_byte(each, f"{place}.")


def snake_case(name: str) -> str:
    """Returns an rpc's name as a Python name."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _bytes(answer: Message | bytes) -> bytes:
    return answer if isinstance(answer, bytes) else answer.SerializeToString()


__all__: Sequence[str] = ["CallInfo", "Context", "Gatekeeper", "Parts", "check", "handlers", "snake_case"]
