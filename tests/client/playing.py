"""Playing the server on grpcio-testing's fake channel.

The fake passes message objects through, so this module puts the wire in between: requests are read, and
answers written, as google protobuf messages: a second implementation that the client has to agree with.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import grpc_testing
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from patchbay_client import Patchbay
from patchbay_client.calls import METHODS
from patchbay_client.plans import Session

from server.gen.patchbay.v1 import catalog_pb2, connections_pb2, dispatch_pb2, executor_pb2, identity_pb2

SERVICES = {
    service.full_name: service
    for file in (catalog_pb2, connections_pb2, dispatch_pb2, executor_pb2, identity_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
}
RESPONSES = {method.path: method.response for method in METHODS}


def descriptor(path: str) -> MethodDescriptor:
    """The method's descriptor for a path without its leading package, such as `Catalog/GetCatalog`."""
    service, method = path.split("/")
    return SERVICES[f"patchbay.v1.{service}"].methods_by_name[method]


class Received:
    """One call that the client made."""

    def __init__(self, path: str, taken: tuple[Any, Any, Any]) -> None:
        metadata, request, self.rpc = taken
        self.path = path
        self.metadata = dict(metadata or ())
        method = descriptor(path)
        self.request: Any = _class(method.input_type)()
        self.request.ParseFromString(bytes(request))

    def answer(self, response: Message) -> None:
        """Ends the call with a response."""
        self.rpc.terminate(self._written(response), (), grpc.StatusCode.OK, "")

    def send(self, response: Message) -> None:
        """Sends one message of a stream."""
        self.rpc.send_response(self._written(response))

    def refuse(self, code: grpc.StatusCode, message: str = "refused", *details: Message) -> None:
        """Ends a unary call with a status."""
        self.rpc.terminate(None, trailers(code, message, *details), code, message)

    def end(self, code: grpc.StatusCode = grpc.StatusCode.OK, message: str = "", *details: Message) -> None:
        """Ends a stream."""
        self.rpc.terminate(trailers(code, message, *details), code, message)

    def _written(self, response: Message) -> Any:
        return RESPONSES[f"/patchbay.v1.{self.path}"].parse(response.SerializeToString())


def _class(described: Any) -> type[Message]:
    from google.protobuf import message_factory  # noqa: PLC0415 - only here, and heavy

    return message_factory.GetMessageClass(described)


def trailers(code: grpc.StatusCode, message: str, *details: Message) -> tuple[tuple[str, bytes], ...]:
    """The trailing metadata that carries details; none when there are none."""
    if not details:
        return ()
    status = status_pb2.Status(code=code.value[0], message=message)
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return (("grpc-status-details-bin", status.SerializeToString()),)


def because(reason: str, **facts: str) -> error_details_pb2.ErrorInfo:
    """The detail that names a refusal."""
    return error_details_pb2.ErrorInfo(reason=reason, domain="patchbay", metadata=facts)


def after(seconds: float) -> error_details_pb2.RetryInfo:
    """The detail that advises when to call again."""
    delay = duration_pb2.Duration()
    delay.FromMilliseconds(int(seconds * 1000))
    return error_details_pb2.RetryInfo(retry_delay=delay)


class Clock:
    """Time that passes only by pausing, so that no test waits or measures."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    def time(self) -> float:
        """Seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Lets time pass."""
        self.pauses.append(seconds)
        self.now += seconds


class Stage:
    """A client on a fake channel, its calls made in a thread so that the test can play the server."""

    def __init__(self, pool: ThreadPoolExecutor, **options: Any) -> None:
        self.channel = grpc_testing.channel(list(SERVICES.values()), grpc_testing.strict_real_time())
        self.clock = Clock()
        self.client = Patchbay(channel=self.channel, **options)
        runner = self.client._runner
        defaults = {"tenant": options.get("tenant", ""), "outage": options.get("outage", 20.0)}
        runner.session = Session(**defaults, clock=self.clock.time, jitter=lambda: 1.0)
        runner.sleep = self.clock.sleep
        self._pool = pool

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> "Future[Any]":
        """Starts a call of the client."""
        return self._pool.submit(function, *args, **kwargs)

    def take(self, path: str) -> Received:
        """Waits for the client's next call of a method."""
        method = descriptor(path)
        if RESPONSES[f"/patchbay.v1.{path}"].__name__ == "WatchCatalogResponse":
            return Received(path, self.channel.take_unary_stream(method))
        return Received(path, self.channel.take_unary_unary(method))


@contextmanager
def stage(**options: Any) -> Iterator[Stage]:
    """A stage whose thread has ended afterwards."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        yield Stage(pool, **options)
