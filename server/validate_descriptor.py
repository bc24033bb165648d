"""Registers `buf/validate/validate.proto` with the protobuf runtime.

The protovalidate package carries that file's descriptor for its own protobuf runtime only. Generated code and the
derivation of schemas need it in google's default pool; generated files import this module in place of a
`validate_pb2`.
"""

from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    field_mask_pb2,
    message_factory,
    timestamp_pb2,
)
from google.protobuf.descriptor import FileDescriptor
from protovalidate._gen.buf.validate import validate_pb

# The imports above register what validate.proto itself imports.
_DEPENDENCIES = (descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2)


def serialized_file() -> bytes:
    """Returns the serialized FileDescriptorProto of `buf/validate/validate.proto`."""
    return validate_pb.desc().proto.to_binary()


def _register() -> FileDescriptor:
    pool = descriptor_pool.Default()
    try:
        return pool.FindFileByName("buf/validate/validate.proto")
    except KeyError:
        return pool.AddSerializedFile(serialized_file())


DESCRIPTOR: FileDescriptor = _register()

FieldRules = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["FieldRules"])
MessageRules = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["MessageRules"])

field = DESCRIPTOR.extensions_by_name["field"]
message = DESCRIPTOR.extensions_by_name["message"]
oneof = DESCRIPTOR.extensions_by_name["oneof"]
