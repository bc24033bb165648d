"""An event on its way to a connection: what the dispatcher takes, records and tells. When it is tried again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from server.gen.patchbay.v1 import failure_pb2
from server.sdk.events import Event
from server.sdk.failures import Effect, FailureCategory

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 900.0
_DOUBLINGS: Final = 10  # more reach the longest pause anyway
_EGRESS: Final = "EGRESS_REFUSED"  # the address is wrong: what waited for it should not go to the next one


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableEvent:
    """An event whose row cannot be read.

    Attributes:
        id: Its id.
        why: What is wrong with the row, in words that hold none of its values.
    """

    id: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One try that this process has been given.

    Attributes:
        tenant: The tenant's id.
        connection_id: The connection whose module consumes the event.
        consumer: Provider of the connection.
        event: What is told; an unreadable one ends as a dead letter.
        attempt: Number of the try, from 1.
        lease: Until when nobody else takes it; it tells this try from others.
    """

    tenant: str
    connection_id: str
    consumer: str
    event: Event | UnreadableEvent
    attempt: int
    lease: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRecord:
    """A delivery as operators see it.

    Attributes:
        event_id: Id of the event.
        type: Its type.
        entry_id: The entry that it is about.
        sequence: Its number among the events of the entry.
        consumer: Provider of the connection.
        state: `pending`, `delivered` or `dead`.
        attempts: Tries so far.
        next_try_at: When it is tried next. None: it is not.
        last_failure: What went wrong last. None: nothing.
        event_at: When the event happened.
        ended_at: When it was delivered or given up. None: it is pending.
    """

    event_id: str
    type: str
    entry_id: str
    sequence: int
    consumer: str
    state: str
    attempts: int
    next_try_at: datetime | None
    last_failure: failure_pb2.Failure | None
    event_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownEvent:
    """An event in a person's calendar that stands for an entry. `sequence`: the event of ours that it shows."""

    user_id: str
    provider: str
    external_id: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Sync:
    """Where the events of an entry have arrived. `sequence`: number of the last one."""

    sequence: int
    deliveries: Sequence[DeliveryRecord]
    calendar_events: Sequence[ShownEvent]


class OutboxStore(Protocol):
    """Events and their deliveries; see server/store/outbox.py."""

    async def take(
        self, consumers: Sequence[str], *, room: int, room_each: int, lease_seconds: float
    ) -> Sequence[Delivery]:
        """Takes deliveries that are due: of one entry and connection the first only."""

    async def arrived(self, delivery: Delivery) -> None:
        """Records that it was delivered."""

    async def put_off(
        self, delivery: Delivery, failure: failure_pb2.Failure, seconds: float, *, counts: bool = True
    ) -> None:
        """Has it tried again later. `counts`: whether this was a try."""

    async def bury(self, delivery: Delivery, failure: failure_pb2.Failure) -> None:
        """Gives it up; later events of the entry go on."""

    async def prune(self, before: datetime, limit: int) -> int:
        """Deletes events that happened before a time, unless they are still to be delivered; returns how many."""

    async def sync(self, tenant: str, entry_id: str) -> Sync | None:
        """Returns where an entry's events have arrived; None when there is no such entry."""

    async def dead_letters(self, tenant: str, limit: int) -> Sequence[DeliveryRecord]:
        """Returns deliveries that were given up, newest first."""

    async def revive(self, tenant: str, event_id: str, consumer: str) -> DeliveryRecord | None:
        """Has a delivery that was given up tried from anew; returns it as it is then. None: there is none."""


def is_hopeless(failure: failure_pb2.Failure) -> bool:
    """Says whether another try cannot go better: the failure is not retryable, its effect is known, and it is not one
    of the connection, such as a secret that has expired, which people put right while events wait."""
    if failure.retryable or failure.effect == Effect.EFFECT_UNKNOWN:
        return False
    return failure.category != FailureCategory.FAILURE_CATEGORY_CONNECTION or failure.reason == _EGRESS


def pause_after(attempt: int, failure: failure_pb2.Failure, draw: Callable[[], float]) -> float:
    """Returns the seconds until the next try: 1 s, doubled each time up to 15 min, half of it by chance; never less
    than the consumer asked for.

    Args:
        attempt: Number of the try that failed, from 1.
        failure: How it failed.
        draw: Returns a number from 0 to 1.
    """
    step = min(_FIRST_PAUSE * 2.0 ** min(attempt - 1, _DOUBLINGS), _LONGEST_PAUSE)
    asked = failure.retry_after.ToMilliseconds() / 1000 if failure.HasField("retry_after") else 0.0
    return max(step * (0.5 + draw() / 2), asked)
