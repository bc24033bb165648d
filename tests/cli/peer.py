"""The other end of the wire for the command line: a gRPC server that answers what a test tells it to."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.message import Message

from server.gen.patchbay.v1 import executor_pb2
from tests.client.playing import SERVICES, trailers

ID = "11111111-1111-4111-8111-111111111111"
Answer = Callable[[Any, grpc.ServicerContext], Message]


class Refuses:
    """Ends a call with a status and details."""

    def __init__(self, code: grpc.StatusCode, message: str, *details: Message) -> None:
        self._found = code, message, trailers(code, message, *details)

    def __call__(self, _request: Any, context: grpc.ServicerContext) -> Message:
        """Ends the call."""
        code, message, found = self._found
        context.set_trailing_metadata(found)
        context.abort(code, message)
        raise AssertionError("abort raises")


class Peer(grpc.GenericRpcHandler):
    """Answers by method name. `calls` holds what was asked: name, request, metadata."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.calls: list[tuple[str, Any, dict[str, str]]] = []
        self.target = ""
        self.arrived = threading.Event()

    def tell(self, name: str, answer: Message | Answer) -> None:
        """Sets the answer of a method."""
        if isinstance(answer, Message):
            self.answers[name] = lambda _request, _context: answer
        else:
            self.answers[name] = answer

    def asked(self, name: str) -> list[Any]:
        """The requests of one method."""
        return [request for called, request, _ in self.calls if called == name]

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """Finds the handler of a call."""
        _, service, name = details.method.split("/")
        kind = message_factory.GetMessageClass(SERVICES[service].methods_by_name[name].input_type)

        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            parsed = kind.FromString(request)
            self.calls.append((name, parsed, dict(context.invocation_metadata())))
            self.arrived.set()
            return self.answers[name](parsed, context).SerializeToString()

        return grpc.unary_unary_rpc_method_handler(answer)


def execution(state: str, **fields: Any) -> executor_pb2.ExecuteActionResponse:
    """An answer to ExecuteAction."""
    told = executor_pb2.Execution(id=ID, state=f"EXECUTION_STATE_{state}", attempt=1, **fields)
    return executor_pb2.ExecuteActionResponse(execution=told)


@contextmanager
def peering() -> Iterator[Peer]:
    """A peer on a free loopback port."""
    peer = Peer()
    server = grpc.server(ThreadPoolExecutor(max_workers=4), handlers=(peer,))
    peer.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield peer
    finally:
        server.stop(None).wait()
