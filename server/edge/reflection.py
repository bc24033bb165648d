"""Reflection v1alpha and v1, so that tools such as grpcurl need no proto files.

grpcio-reflection serves v1alpha only, and Python's descriptor pool does not find methods by name. v1 has the same
messages under another package, so one servicer answers both.
"""

from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from grpc_reflection.v1alpha import reflection, reflection_pb2

_V1 = "grpc.reflection.v1.ServerReflection"


class _Pool:
    """The default pool, which also finds the file of a method."""

    def __init__(self) -> None:
        self._pool = descriptor_pool.Default()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:  # noqa: N802 - the pool's own name
        """Returns the file that declares a message, enum, service, extension or method; raises KeyError."""
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            service, _, method = symbol.rpartition(".")
            descriptor = self._pool.FindServiceByName(service)
            if method not in descriptor.methods_by_name:
                raise
            return descriptor.file


def add_reflection(server: grpc.aio.Server, services: list[str]) -> None:
    """Serves both versions for the services named and for itself."""
    _register_v1()
    names = [*services, reflection.SERVICE_NAME, _V1]
    servicer: Any = reflection.aio.ReflectionServicer(names, _Pool())
    method = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    handlers = [
        grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": method})
        for name in (reflection.SERVICE_NAME, _V1)
    ]
    server.add_generic_rpc_handlers(handlers)


def _register_v1() -> None:
    """Adds the v1 file to the pool, made from the v1alpha one, so that the service can describe itself."""
    file = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    file.name, file.package = "grpc/reflection/v1/reflection.proto", "grpc.reflection.v1"
    for message in file.message_type:
        for field in message.field:
            if field.type_name:
                field.type_name = field.type_name.replace("v1alpha", "v1")
    for service in file.service:
        for method in service.method:
            method.input_type = method.input_type.replace("v1alpha", "v1")
            method.output_type = method.output_type.replace("v1alpha", "v1")
    file.options.Clear()
    descriptor_pool.Default().AddSerializedFile(file.SerializeToString(deterministic=True))
