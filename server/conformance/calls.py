"""Calls of our services: made at once, awaited or not."""

from collections.abc import Mapping
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from server.gen.patchbay.v1 import executor_pb2

M = TypeVar("M", bound=Message)

SECONDS = 60.0
"""How long a call may take that nothing holds up."""


def struct(value: Mapping[str, Any]) -> Struct:
    """Returns a Struct."""
    made = Struct()
    made.update(value)
    return made


class Caller:
    """Calls one server.

    Args:
        target: Its address.
    """

    def __init__(self, target: str) -> None:
        # A pool of its own: gRPC else shares a connection with a server that is gone.
        self._channel = grpc.insecure_channel(target, options=[("grpc.use_local_subchannel_pool", 1)])

    def begin(self, rpc: str, request: Message, answer: type[M], *, seconds: float = SECONDS) -> "grpc.Future[M]":
        """Makes a call, such as `Identity/CreateTenant`, and returns its future."""
        call = self._channel.unary_unary(f"/patchbay.v1.{rpc}", type(request).SerializeToString, answer.FromString)
        return call.future(request, timeout=seconds)

    def call(self, rpc: str, request: Message, answer: type[M], *, seconds: float = SECONDS) -> M:
        """Makes a call and returns its answer; raises grpc.RpcError."""
        return self.begin(rpc, request, answer, seconds=seconds).result()

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()


class Asked:
    """An execution that was asked for.

    Args:
        future: The call's.
    """

    def __init__(self, future: "grpc.Future[executor_pb2.ExecuteActionResponse]") -> None:
        self._future = future

    @property
    def answered(self) -> bool:
        """Whether the answer is there."""
        return self._future.done()

    def execution(self) -> executor_pb2.Execution:
        """Waits for the answer; raises grpc.RpcError."""
        return self._future.result().execution

    def in_time(self) -> executor_pb2.Execution | None:
        """Waits as `execution` does; None when the caller's time is over before the answer is there."""
        try:
            return self.execution()
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.DEADLINE_EXCEEDED:
                raise
            return None
