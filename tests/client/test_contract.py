"""The client's method table and messages against the server's descriptors."""

import datetime as dt

import pytest
from google.protobuf import struct_pb2
from google.protobuf.descriptor_pb2 import MethodOptions
from patchbay_client.calls import METHODS, Method
from patchbay_client.gen.patchbay import v1
from patchbay_client.values import from_struct, to_json, to_struct

from server.gen.patchbay.v1 import executor_pb2, failure_pb2
from tests.client.playing import SERVICES

DESCRIBED = {
    f"/{service.full_name}/{method.name}": method for service in SERVICES.values() for method in service.methods
}


def test_table_has_every_method() -> None:
    """The table names exactly the rpcs that the protos declare."""
    assert {method.path for method in METHODS} == set(DESCRIBED)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.path)
def test_table_row(method: Method) -> None:
    """Each row has the messages and the kind of its rpc, and is repeatable only when the rpc says so."""
    described = DESCRIBED[method.path]
    assert method.request.__name__ == described.input_type.name
    assert method.response.__name__ == described.output_type.name
    assert method.streaming == described.server_streaming
    unset = MethodOptions.IDEMPOTENCY_UNKNOWN
    assert method.repeatable == (described.GetOptions().idempotency_level != unset)


EVERYTHING = {
    "null": None,
    "empty list": [],
    "empty object": {},
    "zero": 0,
    "false": False,
    "empty text": "",
    "text": "Grüße \U0001f50c",
    "nested": [None, 0, "", [], {}, {"x": [None, {"y": 1.5}]}],
    "number": -2.25,
    "large": 2**53,
    "true": True,
}


def test_struct_to_google() -> None:
    """A Struct written here is read by google's protobuf as the same JSON."""
    read = struct_pb2.Struct()
    read.ParseFromString(bytes(to_struct(EVERYTHING)))
    expected = struct_pb2.Struct()
    expected.update(EVERYTHING)
    assert read == expected


def test_struct_round_trip() -> None:
    """A Struct comes back as the same JSON, whole numbers as int, after a trip through google's protobuf."""
    read = struct_pb2.Struct()
    read.ParseFromString(bytes(to_struct(EVERYTHING)))
    back = from_struct(type(to_struct({})).parse(read.SerializeToString()))
    assert back == EVERYTHING
    assert type(back["zero"]) is int
    assert type(back["false"]) is bool


@pytest.mark.parametrize("seconds", [0.000001, 0.1, 1.1, 59.999999, 3600.3, 123456.789012])
def test_duration(seconds: float) -> None:
    """A span is written and read to the microsecond."""
    span = dt.timedelta(seconds=seconds)
    read = failure_pb2.Failure.FromString(bytes(v1.Failure(retry_after=span)))
    assert read.retry_after.ToTimedelta() == span
    assert v1.Failure.parse(read.SerializeToString()).retry_after == span


def test_optional_and_oneof() -> None:
    """An empty value that is set is told apart from one that is not."""
    read = executor_pb2.GetExecutionRequest.FromString(bytes(v1.GetExecutionRequest(id="", wait=dt.timedelta(0))))
    assert read.WhichOneof("name") == "id"
    assert read.HasField("wait")
    empty = executor_pb2.ExecuteActionRequest(input=executor_pb2.Payload(proto=b""))
    parsed = v1.ExecuteActionRequest.parse(empty.SerializeToString())
    assert parsed.input is not None
    assert (parsed.input.proto, parsed.input.json) == (b"", None)


def test_unknown_enum_and_field_survive() -> None:
    """A newer server's state and fields neither break the client nor get lost."""
    sent = executor_pb2.Execution(id="a", state=99).SerializeToString() + b"\xf2\x07\x03new"
    parsed = v1.Execution.parse(sent)
    assert parsed.state == 99
    assert to_json(parsed)["state"] == 99
    assert bytes(parsed).endswith(b"\xf2\x07\x03new")


def test_to_json() -> None:
    """Messages are shown in protobuf's JSON mapping: names, times, spans, payloads as plain objects."""
    execution = v1.Execution(
        id="a",
        state=v1.ExecutionState.SUCCEEDED,
        output=v1.Payload(json=to_struct({"exit_code": 3})),
        create_time=dt.datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=dt.UTC),
        budget_wait=dt.timedelta(seconds=1.5),
    )
    shown = to_json(execution)
    assert shown["state"] == "EXECUTION_STATE_SUCCEEDED"
    assert shown["output"] == {"exit_code": 3}
    assert shown["create_time"] == "2026-01-02T03:04:05.678000Z"
    assert shown["budget_wait"] == "1.5s"
    assert shown["failure"] is None
    assert to_json(v1.Payload(proto=b"\x00\xff"))["proto"] == "AP8="
