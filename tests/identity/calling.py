"""Serving one service on loopback and calling it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from server.core.identity import Authenticator
from server.edge.rpc import CallInfo, Gatekeeper, handlers


class Caller:
    """Calls the methods of a service by name, with a key or without."""

    def __init__(self, channel: grpc.aio.Channel, service: ServiceDescriptor, token: str = "") -> None:
        self._channel = channel
        self._service = service
        self._token = token

    def using(self, token: str) -> "Caller":
        """Returns a caller that presents the key."""
        return Caller(self._channel, self._service, token)

    async def __call__(self, method: str, request: Message | None = None) -> Any:
        """Calls a method; without a request the empty one is sent."""
        described = self._service.methods_by_name[method]
        call: Any = self._channel.unary_unary(
            f"/{self._service.full_name}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=message_factory.GetMessageClass(described.output_type).FromString,
        )
        metadata = [("authorization", f"Bearer {self._token}")] if self._token else []
        message = message_factory.GetMessageClass(described.input_type)() if request is None else request
        return await call(message, metadata=metadata, timeout=30)

    async def refusal(self, method: str, request: Message | None = None) -> grpc.aio.AioRpcError:
        """Returns the error of a call that must fail."""
        try:
            answer = await self(method, request)
        except grpc.aio.AioRpcError as error:
            return error
        raise AssertionError(f"{method} was answered: {answer}")

    async def reason(self, method: str, request: Message | None = None) -> tuple[grpc.StatusCode, str]:
        """Returns status and reason of a call that must fail."""
        error = await self.refusal(method, request)
        info = error_details_pb2.ErrorInfo()
        found = [info.reason for detail in _details(error) if detail.Unpack(info)]
        return error.code(), found[0] if found else ""

    async def violations(self, method: str, request: Message | None = None) -> list[str]:
        """Returns the fields at fault of a call that must fail."""
        bad = error_details_pb2.BadRequest()
        details = _details(await self.refusal(method, request))
        return [one.field for detail in details if detail.Unpack(bad) for one in bad.field_violations]


@asynccontextmanager
async def served(service: ServiceDescriptor, servicer: object, authenticator: Authenticator) -> AsyncIterator[Caller]:
    """Serves a service on a free loopback port for the block."""

    async def audit(_call: CallInfo) -> None:
        """The audit log has its own tests."""

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handlers(service, servicer, Gatekeeper(authenticator, audit)),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Caller(channel, service)
    finally:
        await server.stop(None)


def _details(error: grpc.aio.AioRpcError) -> list[Any]:
    metadata = dict(error.trailing_metadata() or ())
    return list(status_pb2.Status.FromString(metadata["grpc-status-details-bin"]).details)
