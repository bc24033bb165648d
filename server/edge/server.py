"""The gRPC server: our services, the modules' own, health, reflection."""

from collections.abc import Mapping, Sequence

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from server.edge.direct import DirectHandlers
from server.edge.reflection import add_reflection
from server.edge.rpc import Gatekeeper, handlers
from server.edge.tls import PortTls

_ROOM = 1 << 20
_GRACE = 2.0


class Door:
    """One gRPC port.

    Args:
        servicers: Our services.
        direct: The modules' own services.
        modules: Full names of the modules' services.
        gate: What happens around every call.
        largest: Bytes of the largest payload.
        with_reflection: Whether the reflection services answer.
        shared_port: Whether several processes listen on the same port.
        tls: What is shown in handshakes. None: there are none.
    """

    def __init__(
        self,
        servicers: Mapping[ServiceDescriptor, object],
        direct: DirectHandlers,
        modules: Sequence[str],
        gate: Gatekeeper,
        *,
        largest: int,
        with_reflection: bool,
        shared_port: bool,
        tls: PortTls | None,
    ) -> None:
        self._tls = tls
        self._health = health.aio.HealthServicer()
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", largest + _ROOM),
                ("grpc.max_send_message_length", 2 * largest + _ROOM),
                ("grpc.so_reuseport", int(shared_port)),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
            ]
        )
        generic = [handlers(descriptor, servicer, gate) for descriptor, servicer in servicers.items()]
        self._server.add_generic_rpc_handlers([*generic, direct])
        self._services = [descriptor.full_name for descriptor in servicers] + list(modules)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if with_reflection:
            add_reflection(self._server, [*self._services, health.SERVICE_NAME])

    async def open(self, listen: str) -> str:
        """Starts answering; returns the address with the real port. Raises OSError when the port is taken."""
        try:
            port = self._add_port(listen)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {listen}") from error
        await self._server.start()
        for name in ("", *self._services):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        return f"{listen.rpartition(':')[0]}:{port}"

    def _add_port(self, listen: str) -> int:
        if self._tls is None:
            return self._server.add_insecure_port(listen)
        return self._server.add_secure_port(listen, self._tls.credentials())

    async def drain(self) -> None:
        """Tells health checks that this server leaves."""
        await self._health.enter_graceful_shutdown()

    async def stop(self) -> None:
        """Stops answering; calls that are being answered have a moment to end."""
        await self._server.stop(_GRACE)
