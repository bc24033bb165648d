"""What a handler is given beside its request."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from time import monotonic
from typing import Any, Generic, Protocol, TypeVar

from structlog.typing import FilteringBoundLogger

from server.sdk.accounts import AccountBook
from server.sdk.alert_book import AlertBook
from server.sdk.conversations import ConversationBook
from server.sdk.inventory import Inventory
from server.sdk.schedule.book import ScheduleBook

C = TypeVar("C")

_TO_TELL = 5.0  # seconds


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point in monotonic time."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """Returns the deadline that many seconds from now."""
        return cls(monotonic() + seconds)

    def remaining(self) -> float:
        """Returns the seconds left, never below 0."""
        return max(0.0, self.at - monotonic())

    def within(self, seconds: float) -> float:
        """Returns `seconds`, or what is left when that is less."""
        return min(seconds, self.remaining())

    def part(self, seconds: float) -> "Deadline":
        """Returns the deadline of a wait: that many seconds from now, and early enough to tell afterwards what is
        known."""
        return Deadline(min(monotonic() + seconds, self.at - _TO_TELL))


class LocalTransaction(Protocol):
    """The transaction that also completes the execution; given to handlers marked `transactional`."""

    async def execute(self, sql: str, *arguments: Any) -> str:
        """Runs one statement and returns PostgreSQL's command tag."""

    async def fetch(self, sql: str, *arguments: Any) -> Sequence[Mapping[str, Any]]:
        """Runs one query and returns its rows."""


@dataclass(frozen=True, kw_only=True)
class ActionContext(Generic[C]):
    """One execution as its handler sees it. `client` is the module's vendor client, made by its `connect`."""

    client: C
    tenant: str
    action: str
    execution_id: str
    idempotency_key: str
    attempt: int
    deadline: Deadline
    actor: str
    log: FilteringBoundLogger
    inventory: Inventory
    alerts: AlertBook
    accounts: AccountBook
    conversations: ConversationBook
    schedule: ScheduleBook
    lock: Callable[..., AbstractAsyncContextManager[None]]
    """`async with ctx.lock("script", agent_id):` one holder per tenant and name, across replicas. Waits within the
    deadline, else raises ActionFailure TIMED_OUT with effect NONE."""
    remember: Callable[[Mapping[str, str]], None]
    """Keeps facts for the probe. They are stored together with the send mark, before the first byte of a write;
    facts remembered after that are stored with the outcome."""
    warn: Callable[[str, str, str], None]
    """`warn(reason, message, vendor_answer)`: adds a warning to a success. `vendor_answer` may be empty."""
    transaction: LocalTransaction | None = None


@dataclass(frozen=True, kw_only=True)
class ProbeContext(Generic[C]):
    """An execution of unknown outcome as its probe sees it. `evidence` is what the handler remembered."""

    client: C
    tenant: str
    execution_id: str
    evidence: Mapping[str, str]
    deadline: Deadline
    log: FilteringBoundLogger


Sleep = Callable[[float], Awaitable[None]]
