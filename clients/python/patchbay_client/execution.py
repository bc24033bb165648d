"""An execution as its caller sees it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from patchbay_client import errors
from patchbay_client.gen.patchbay import v1
from patchbay_client.values import payload_value, to_json

State = v1.ExecutionState


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution of an action. Everything that the server told is in `message`."""

    message: v1.Execution

    @property
    def id(self) -> str:
        """Id (UUID), given by the server."""
        return self.message.id

    @property
    def state(self) -> State:
        """Where it stands."""
        return self.message.state

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.message.state == State.RUNNING

    @property
    def succeeded(self) -> bool:
        """Whether it was done."""
        return self.message.state == State.SUCCEEDED

    @property
    def replayed(self) -> bool:
        """Whether the answer comes from the record and nothing was dispatched for this call."""
        return self.message.replayed

    @property
    def key(self) -> str:
        """The idempotency key. Empty: a READ action without one."""
        return self.message.idempotency_key

    @property
    def output(self) -> dict[str, Any]:
        """The output as a JSON object; empty while there is none, or when the input was given as bytes."""
        value = payload_value(self.message.output)
        return value if isinstance(value, dict) else {}

    @property
    def output_bytes(self) -> bytes:
        """The output as the serialized typed message, when the input was given as bytes; else empty."""
        value = payload_value(self.message.output)
        return value if isinstance(value, bytes) else b""

    @property
    def failure(self) -> v1.Failure | None:
        """Why it did not succeed."""
        return self.message.failure

    @property
    def warnings(self) -> Sequence[v1.Warning]:
        """Things worth knowing that did not prevent success."""
        found: Sequence[Any] = self.message.warnings  # mypy takes the generated name for the built-in one
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """Returns all of it as a JSON object with the proto's field names."""
        return to_json(self.message)

    def raise_for_failure(self) -> None:
        """Raises the typed failure of an execution that ended without success.

        Raises:
            OutcomeUnknown: Nobody can say yet whether it happened.
            RetryableFailure: The same call with the same key may succeed later.
            ActionFailed: Any other failure.
        """
        if self.state not in {State.FAILED, State.UNKNOWN}:
            return
        failure = self.failure or v1.Failure(reason="INTERNAL", message="the server told no failure")
        if self.state == State.UNKNOWN:
            raise errors.OutcomeUnknown(self, failure)
        raise (errors.RetryableFailure if failure.retryable else errors.ActionFailed)(self, failure)


@dataclass(frozen=True, slots=True)
class ExecutionPage:
    """A page of executions, newest first. `next_page_token` is empty on the last page."""

    executions: tuple[Execution, ...]
    next_page_token: str
