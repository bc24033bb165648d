"""Refusals and defects as gRPC statuses with `google.rpc` details."""

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from server.core.refusals import FieldViolation, Refusal, refusal_facts
from server.errors import DatabaseUnavailable
from server.gen.patchbay.v1 import failure_pb2

_DOMAIN = "patchbay"
_VIOLATION_BYTES = 3000  # a status travels in trailers, for which peers take 8 KB by default


def status_of(error: Exception) -> grpc.Status:
    """Returns the status for whatever ended a call."""
    return _to_grpc(_status(_refusal(error)))


def failure_status(failure: failure_pb2.Failure) -> grpc.Status:
    """Returns the status that tells a typed caller of a module's own rpc about a failure; the Failure is a detail."""
    status = status_pb2.Status(code=_code_of(failure), message=failure.message)
    info = error_details_pb2.ErrorInfo(reason=failure.reason, domain=_DOMAIN)
    _add(status, info)
    _add(status, failure)
    if failure.HasField("retry_after"):
        _add(status, error_details_pb2.RetryInfo(retry_delay=failure.retry_after))
    return _to_grpc(status)


def _to_grpc(status: status_pb2.Status) -> grpc.Status:
    converted: grpc.Status = rpc_status.to_status(status)
    return converted


def _refusal(error: Exception) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if isinstance(error, DatabaseUnavailable):
        return Refusal("DATABASE_UNAVAILABLE", "The database does not answer.", retry_after=1.0)
    return Refusal("INTERNAL", "Patchbay failed; the log tells more.")


def _status(refusal: Refusal) -> status_pb2.Status:
    facts = refusal_facts(refusal.reason)
    message = f"{refusal.message} {facts.remedy}".strip()
    status = status_pb2.Status(code=facts.status, message=message)
    _add(status, error_details_pb2.ErrorInfo(reason=refusal.reason, domain=_DOMAIN, metadata=refusal.details))
    if refusal.violations:
        _add(status, _bad_request(refusal.violations))
    if refusal.retry_after is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(round(refusal.retry_after * 1000))
        _add(status, retry)
    return status


def _bad_request(violations: tuple[FieldViolation, ...]) -> error_details_pb2.BadRequest:
    """Returns the first violations, as many as a status can carry."""
    found = error_details_pb2.BadRequest()
    for one in violations:
        violation = found.field_violations.add(field=one.field, description=one.message, reason=one.rule)
        if len(found.field_violations) > 1 and found.ByteSize() > _VIOLATION_BYTES:
            found.field_violations.remove(violation)
            break
    return found


def _add(status: status_pb2.Status, detail: object) -> None:
    packed = any_pb2.Any()
    packed.Pack(detail)  # type: ignore[arg-type] # every detail is a message
    status.details.append(packed)


_CODES = {
    failure_pb2.FAILURE_CATEGORY_INVALID: code_pb2.FAILED_PRECONDITION,
    failure_pb2.FAILURE_CATEGORY_CONNECTION: code_pb2.FAILED_PRECONDITION,
    failure_pb2.FAILURE_CATEGORY_PERMISSION: code_pb2.FAILED_PRECONDITION,
    failure_pb2.FAILURE_CATEGORY_NOT_FOUND: code_pb2.NOT_FOUND,
    failure_pb2.FAILURE_CATEGORY_CONFLICT: code_pb2.FAILED_PRECONDITION,
    failure_pb2.FAILURE_CATEGORY_RATE_LIMITED: code_pb2.RESOURCE_EXHAUSTED,
    failure_pb2.FAILURE_CATEGORY_UNAVAILABLE: code_pb2.UNAVAILABLE,
    failure_pb2.FAILURE_CATEGORY_TIMEOUT: code_pb2.DEADLINE_EXCEEDED,
    failure_pb2.FAILURE_CATEGORY_UNKNOWN_OUTCOME: code_pb2.UNKNOWN,
    failure_pb2.FAILURE_CATEGORY_CANCELLED: code_pb2.CANCELLED,
}


def _code_of(failure: failure_pb2.Failure) -> int:
    return int(_CODES.get(failure.category, code_pb2.INTERNAL))
