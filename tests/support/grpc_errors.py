"""Expecting refusals."""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status


@contextmanager
def refused(reason: str, code: grpc.StatusCode, field: str = "") -> Iterator[None]:
    """Expects a gRPC status with an ErrorInfo of that reason, and a BadRequest naming the field when one is given."""
    with pytest.raises(grpc.RpcError) as caught:
        yield
    error = caught.value
    assert error.code() == code, f"{error.code()}: {error.details()}"
    found = reasons(error)
    assert found == [reason], f"{found}: {error.details()}"
    if field:
        assert field in fields(error), f"{fields(error)}: {error.details()}"


def reasons(error: grpc.RpcError) -> list[str]:
    """Returns the reasons of every ErrorInfo."""
    return [info.reason for info in _details(error, error_details_pb2.ErrorInfo)]


def fields(error: grpc.RpcError) -> list[str]:
    """Returns the fields that BadRequest names."""
    found = _details(error, error_details_pb2.BadRequest)
    return [one.field for bad in found for one in bad.field_violations]


def _details(error: grpc.RpcError, kind: type) -> list:
    status = rpc_status.from_call(error)
    assert status is not None, error
    found = []
    for detail in status.details:
        message = kind()
        if detail.Unpack(message):
            found.append(message)
    return found
