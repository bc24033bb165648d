"""What can go wrong, as types.

PatchbayError
+-- InputNotJson            the input cannot be written as JSON (also a ValueError); nothing was sent
+-- CallRefused             the call itself was not processed
|   +-- Unauthenticated     no credentials, or none that the server trusts
|   +-- PermissionDenied    the caller lacks the permission or may not act for the tenant
|   +-- InvalidInput        fields at fault are in `violations`
|   +-- NotFound            no such action, version, tenant, execution, connection, key
|   +-- AlreadyExists       the name is taken
|   |   +-- KeyReused       the idempotency key belongs to another call, or was retired
|   +-- WrongState          the object is not in the state that the call needs
|   +-- InFlight            the key is in flight and the caller asked not to wait
|   +-- Overloaded          the server has more work than it accepts
|   +-- Unavailable         the server cannot be reached, is draining, or lacks its database
|   +-- DeadlineExceeded    no answer in time; a keyed call may go on and can be asked for again
|   +-- ServerDefect        the server failed, or speaks another release's contract
+-- ActionFailed            the action ran, or was stopped by its connection: see `failure`
|   +-- RetryableFailure    the same call with the same key may succeed later
|   +-- OutcomeUnknown      nobody can say yet whether it happened; never repeat it under a new key
+-- StillRunning            the caller's time is over, the execution goes on
+-- ConnectFailed           the vendor refused a connection's settings; nothing was stored
"""

from typing import TYPE_CHECKING

import grpc

from patchbay_client.details import Details, Violation
from patchbay_client.gen.patchbay import v1

if TYPE_CHECKING:
    from patchbay_client.execution import Execution


class PatchbayError(Exception):
    """Root of everything that this package raises on purpose."""


class InputNotJson(PatchbayError, ValueError):
    """A value cannot be written as JSON. `path` says which: `args[2]`; empty: the whole."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path or 'the input'} {problem}")
        self.path = path


class CallRefused(PatchbayError):
    """The call was not processed.

    Attributes:
        status: The gRPC status.
        message: What happened and what to do, for people.
        reason: `RefusalReason` without its prefix. Empty: the answer did not come from Patchbay itself.
        retry_after: Seconds to wait before calling again. None: no advice.
        violations: Request fields at fault.
        remedy: What a person can do. Empty: nothing is known to help.
    """

    def __init__(self, status: grpc.StatusCode, message: str, details: Details | None = None) -> None:
        super().__init__(message or status.name)
        details = details or Details()
        self.status = status
        self.message = message or status.name
        self.reason = details.reason
        self.retry_after = details.retry_after
        self.violations: tuple[Violation, ...] = details.violations
        self.remedy = details.facts.get("remedy", "")

    @property
    def passing(self) -> bool:
        """Whether the cause passes by itself, so that a call that may be repeated should be."""
        return False


class Unauthenticated(CallRefused):
    """The call has no credentials, or none that the server trusts."""


class PermissionDenied(CallRefused):
    """The caller lacks the permission, or may not act for the tenant."""


class InvalidInput(CallRefused):
    """The request breaks a rule; `violations` names the fields."""

    def __str__(self) -> str:
        lines = [f"{item.field}: {item.message}" if item.field else item.message for item in self.violations]
        return "; ".join(lines) if lines else self.message


class NotFound(CallRefused):
    """No such action, version, tenant, execution, connection or key; `reason` says which."""


class AlreadyExists(CallRefused):
    """The name is taken."""


class KeyReused(AlreadyExists):
    """The idempotency key was used for another call, or so long ago that its record is gone."""


class WrongState(CallRefused):
    """The object is not in the state that the call needs."""


class InFlight(CallRefused):
    """The key is in flight and the caller asked not to wait; see `retry_after`."""


class Overloaded(CallRefused):
    """The server has more work than it accepts, or the message is larger than the channel allows."""

    @property
    def passing(self) -> bool:
        """True when Patchbay itself said so; a message that is too large stays too large."""
        return bool(self.reason)


class Unavailable(CallRefused):
    """The server cannot be reached, is draining, lacks its database, or the connection broke."""

    @property
    def passing(self) -> bool:
        """Always true."""
        return True


class DeadlineExceeded(CallRefused):
    """No answer in time. A call with a key may go on at the server: the same call again finds it."""


class ServerDefect(CallRefused):
    """The server failed, or it speaks the contract of another release."""


class ActionFailed(PatchbayError):
    """The action did not succeed.

    Attributes:
        execution: The execution.
        failure: Why: `reason`, `category`, `message`, `effect`, `retryable`, `retry_after`, `remedy`.
    """

    def __init__(self, execution: "Execution", failure: v1.Failure) -> None:
        super().__init__(f"{failure.reason}: {failure.message}")
        self.execution = execution
        self.failure = failure

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait before the next attempt. None: no advice."""
        return None if self.failure.retry_after is None else self.failure.retry_after.total_seconds()


class RetryableFailure(ActionFailed):
    """The same call with the same key may succeed later, without anybody doing anything."""


class OutcomeUnknown(ActionFailed):
    """Nobody can say yet whether it happened. A probe, a late answer or a person settles it."""


class StillRunning(PatchbayError):
    """The caller's time is over and the execution goes on; the same call again waits on. See `execution`."""

    def __init__(self, execution: "Execution") -> None:
        super().__init__(f"execution {execution.id} is still running")
        self.execution = execution


class ConnectFailed(PatchbayError):
    """The vendor refused, or could not be asked.

    Attributes:
        failure: Why.
        connection: The stored connection after a test. None after `connect`: nothing was stored.
    """

    def __init__(self, failure: v1.Failure, connection: v1.Connection | None = None) -> None:
        super().__init__(f"{failure.reason}: {failure.message}")
        self.failure = failure
        self.connection = connection


_BY_STATUS: dict[grpc.StatusCode, type[CallRefused]] = {
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.INVALID_ARGUMENT: InvalidInput,
    grpc.StatusCode.OUT_OF_RANGE: InvalidInput,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: WrongState,
    grpc.StatusCode.ABORTED: InFlight,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Overloaded,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.CANCELLED: Unavailable,  # never by us: our own cancelling ends the plan, so a server gave up
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
}
_BROKEN_STREAM = ("RST_STREAM", "Stream removed", "Connection reset", "Socket closed")


def refusal(status: grpc.StatusCode, message: str, details: Details) -> CallRefused:
    """Returns the typed error for a gRPC status with its details."""
    if status is grpc.StatusCode.ALREADY_EXISTS and details.reason.startswith("IDEMPOTENCY_KEY_"):
        return KeyReused(status, message, details)
    if not details.reason and any(sign in message for sign in _BROKEN_STREAM):
        return Unavailable(status, message, details)  # the transport reports a lost connection in many statuses
    return _BY_STATUS.get(status, ServerDefect)(status, message, details)
