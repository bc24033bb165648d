"""The execution that is running in this task: what the HTTP client must obey. Not for modules."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol

from server.sdk.context import Deadline
from server.sdk.failures import ActionFailure, Effect
from server.sdk.masking import Masker


class Gate(Protocol):
    """A vendor budget as one call sees it."""

    async def spend(self, deadline: Deadline) -> float:
        """Waits for a slot and returns the seconds waited.

        Raises ActionFailure BUDGET_EXHAUSTED with `retry_after` when no slot comes free before the deadline.
        """


async def _nothing_to_mark(_evidence: Mapping[str, str]) -> None:
    """Connection tests have no send mark."""


async def no_writes(_evidence: Mapping[str, str]) -> None:
    """The send mark of reads and probes: a write of theirs is a defect of the module, and is never sent."""
    raise RuntimeError("an action or probe that only reads tried to write")


@dataclass(slots=True)
class CallScope:
    """Limits and hooks of one execution.

    Attributes:
        deadline: No request outlives it.
        masker: Removes the secrets of connection and input from vendor texts.
        repeatable: Whether a request that may have arrived can be sent again (READ, IDEMPOTENT, VENDOR_KEYED).
        attempts: How often a request is made at most. 1: whoever runs this tries all of it again.
        mark_sent: Records the send mark with the evidence; called before the first byte of the first write of this
            execution. Raises LeaseLost when another replica owns the execution; nothing may be sent then.
        budget: None when the action spends none.
        sent: Whether a write may have left.
        wrote: Whether a write was answered as done; later failures then cannot claim that nothing happened.
        budget_wait: Seconds waited for the budget so far.
        evidence: What the handler remembered.
    """

    deadline: Deadline
    masker: Masker = field(default_factory=Masker)
    repeatable: bool = True
    attempts: int = 3
    mark_sent: Callable[[Mapping[str, str]], Awaitable[None]] = _nothing_to_mark
    budget: Gate | None = None
    sent: bool = False
    wrote: bool = False
    budget_wait: float = 0.0
    evidence: dict[str, str] = field(default_factory=dict)

    async def before_write(self) -> None:
        """Makes sure that the send mark is recorded before a write leaves."""
        if not self.sent:
            await self.mark_sent(self.evidence)
            self.sent = True

    async def before_request(self) -> None:
        """Waits for the vendor budget."""
        if self.budget is not None:
            self.budget_wait += await self.budget.spend(self.deadline)

    def after_writes(self, failure: ActionFailure) -> ActionFailure:
        """Returns a failure as it counts here: when a write was done before it, part of the action has happened."""
        if not self.wrote or self.repeatable or failure.failure.effect != Effect.EFFECT_NONE:
            return failure
        partial = ActionFailure.of(failure.failure)
        partial.failure.effect, partial.failure.retryable = Effect.EFFECT_APPLIED, False
        partial.failure.ClearField("retry_after")
        return partial


_current: ContextVar[CallScope] = ContextVar("patchbay_call_scope")


def current() -> CallScope:
    """Returns the scope of the running task; raises LookupError outside of one."""
    return _current.get()


def aside(seconds: float, secrets: Iterable[str], before: Callable[[], Awaitable[None]] | None) -> CallScope:
    """Returns the scope of a request that is no part of the running execution, such as a sign-in.

    It spends no budget and leaves the execution's send mark alone; it is not repeated once it may have arrived. The
    execution's deadline holds, if there is one, and what its masker knows is masked.

    Args:
        seconds: Time for the request.
        secrets: Further secrets to mask.
        before: Called before the first byte leaves; what it raises keeps the request from being sent.
    """

    async def mark(_evidence: Mapping[str, str]) -> None:
        if before is not None:
            await before()

    around = running()
    masker = around.masker if around else Masker()
    masker.add(secrets)
    deadline = Deadline.after(around.deadline.within(seconds) if around else seconds)
    made = CallScope(deadline, masker, repeatable=False, mark_sent=mark)
    if around is not None:
        made.attempts = around.attempts
    return made


def running() -> CallScope | None:
    """Returns the scope of the running task, None outside of one."""
    return _current.get(None)


@asynccontextmanager
async def entered(scope: CallScope) -> AsyncIterator[CallScope]:
    """Runs the block inside a scope."""
    token = _current.set(scope)
    try:
        yield scope
    finally:
        _current.reset(token)
