"""The dispatcher of one replica: has modules told the events of the board.

Deliveries that are due are taken under a lease from the database, which keeps their order, and each is worked on in a
task of its own. What a replica that died had taken is due again when the lease is over.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import random
from typing import Any, Final

import structlog

from server.core.connection_checks import masked
from server.core.deliveries import Delivery, OutboxStore, UnreadableEvent, is_hopeless, pause_after
from server.core.handling import where
from server.core.ports import Stores
from server.core.preparation import ConnectionSource
from server.core.registry import RegisteredModule, Registry
from server.core.vendor_clients import ActiveConnection
from server.errors import DatabaseUnavailable
from server.gen.patchbay.v1 import failure_pb2
from server.sdk.context import Deadline
from server.sdk.events import CalendarBook, ConsumerContext
from server.sdk.failures import ActionFailure
from server.sdk.masking import Masker
from server.sdk.scope import CallScope, Gate, entered

NOTIFY_CHANNEL: Final = "patchbay_outbox"
"""PostgreSQL notifies here when deliveries were added."""

_SLACK: Final = 5.0  # seconds by which a lease is longer than the try: for recording, and for clocks
_UNUSABLE_PAUSE: Final = 60.0  # until a connection that cannot be used is looked at again
_RECORD_TRIES, _RECORD_PAUSE = 8, 0.5
_PRUNED_AT_ONCE: Final = 1_000

_log = structlog.get_logger(__name__)


class _ConnectionUnusable(Exception):
    """The connection cannot be used now, so nothing was tried."""

    def __init__(self, failure: failure_pb2.Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchSettings:
    """How events are delivered.

    Attributes:
        try_seconds: Time for one try.
        tries: After so many a delivery is given up.
        at_once: Deliveries that this process works on at the same time.
        at_once_each: The same for one connection, by all replicas, so that a slow one leaves room for others.
        poll_seconds: How often is looked for what no notification has told.
        keep: How long events are kept.
    """

    try_seconds: float = 30.0
    tries: int = 100
    at_once: int = 128
    at_once_each: int = 4
    poll_seconds: float = 1.0
    keep: timedelta = timedelta(days=30)


class Dispatcher:
    """Delivers events until it is stopped.

    Args:
        registry: The modules.
        store: The outbox.
        connections: Their vendor clients.
        stores: Accounts and budgets.
        calendars: Opens the calendars of a tenant at a provider.
        settings: How events are delivered.
        draw: Returns a number from 0 to 1, for pauses.
    """

    def __init__(
        self,
        registry: Registry,
        store: OutboxStore,
        connections: ConnectionSource,
        stores: Stores,
        calendars: Callable[[str, str], CalendarBook],
        settings: DispatchSettings,
        *,
        draw: Callable[[], float] = random,
    ) -> None:
        self._modules = {provider: registry.provider(provider) for provider in registry.consumers}
        self._store = store
        self._connections = connections
        self._stores = stores
        self._calendars = calendars
        self._settings = settings
        self._draw = draw
        self._wake = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._stopping = False

    def wake(self, _news: str = "") -> None:
        """Looks for deliveries at once; for notifications on the channel of the outbox."""
        self._wake.set()

    async def run(self) -> None:
        """Delivers until the task is cancelled or `stop` was called."""
        while self._modules and not self._stopping:
            self._wake.clear()
            try:
                await self._take()
            except DatabaseUnavailable:
                _log.warning("database away", job="outbox")
            except Exception as error:  # noqa: BLE001 - one bad round must not end the job
                _log.error("job failed", job="outbox", error=type(error).__name__)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._settings.poll_seconds)

    async def stop(self, seconds: float) -> None:
        """Takes nothing more, and lets tries that are under way end; what takes longer is handed to others."""
        self._stopping = True
        self._wake.set()
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)
        left = list(self._running)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _take(self) -> None:
        settings = self._settings
        room = settings.at_once - len(self._running)
        if room <= 0:
            return
        deadline = Deadline.after(settings.try_seconds)
        taken = await self._store.take(
            list(self._modules),
            room=room,
            room_each=settings.at_once_each,
            lease_seconds=settings.try_seconds + _SLACK,
        )
        for delivery in taken:
            task = asyncio.create_task(self._work(delivery, deadline), name="delivery")
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        self._wake.set()  # the next one of the entry may be due, and there is room

    async def _work(self, delivery: Delivery, deadline: Deadline) -> None:
        """Never raises, except when it is cancelled."""
        try:
            await self._tell(delivery, deadline)
        except _ConnectionUnusable as unusable:
            await self._record(delivery, self._store.put_off, unusable.failure, _UNUSABLE_PAUSE, counts=False)
        except asyncio.CancelledError:
            stopped = ActionFailure("INTERRUPTED", "The server stopped while the event was delivered.").failure
            await self._record(delivery, self._store.put_off, stopped, 0.0)
            raise
        except Exception as error:  # noqa: BLE001 - whatever a consumer raises is a failed try
            await self._failed(delivery, _failure_of(error, delivery))
        else:
            await self._record(delivery, self._store.arrived)

    async def _tell(self, delivery: Delivery, deadline: Deadline) -> None:
        """Has the module consume the event.

        Raises:
            _ConnectionUnusable: Nothing was tried.
            ActionFailure: What went wrong, without secrets.
        """
        event = delivery.event
        if isinstance(event, UnreadableEvent):
            raise ActionFailure("INTERNAL", f"What is stored of the event cannot be read: {event.why}.")
        module = self._modules[delivery.consumer]
        assert module is not None  # noqa: S101 - the registry names consumers by their providers
        async with asyncio.timeout(deadline.remaining()):
            connection = await self._connection(delivery, module)
            gate = self._gate(delivery, module)
            scope = CallScope(deadline, Masker(connection.secrets), attempts=1, budget=gate)
            context = self._context(delivery, connection, deadline)
            assert module.module.consume is not None  # noqa: S101 - as above
            try:
                async with entered(scope):
                    await module.module.consume(event, context)
            except ActionFailure as failure:
                raise ActionFailure.of(masked(failure.failure, scope.masker)) from None

    async def _connection(self, delivery: Delivery, module: RegisteredModule) -> ActiveConnection:
        try:
            return await self._connections.client(delivery.tenant, module)
        except ActionFailure as failure:
            raise _ConnectionUnusable(failure.failure) from None

    def _gate(self, delivery: Delivery, module: RegisteredModule) -> Gate | None:
        budget = next(iter(module.definition.budgets), None)
        if budget is None:
            return None
        group = module.definition.group_key
        budgets = self._stores.budgets
        return budgets.gate(delivery.tenant, delivery.connection_id, group, budget, "", interactive=False)

    def _context(self, delivery: Delivery, connection: ActiveConnection, deadline: Deadline) -> ConsumerContext[Any]:
        tenant = delivery.tenant
        return ConsumerContext(
            client=connection.client,
            tenant=tenant,
            attempt=delivery.attempt,
            deadline=deadline,
            accounts=self._stores.accounts(tenant),
            calendars=lambda provider: self._calendars(tenant, provider),
            log=_log.bind(tenant=tenant, consumer=delivery.consumer, event_id=delivery.event.id),
        )

    async def _failed(self, delivery: Delivery, failure: failure_pb2.Failure) -> None:
        if is_hopeless(failure) or delivery.attempt >= self._settings.tries:
            _log.warning("event given up", **_facts(delivery), reason=failure.reason, attempts=delivery.attempt)
            await self._record(delivery, self._store.bury, failure)
            return
        pause = pause_after(delivery.attempt, failure, self._draw)
        _log.info("event not delivered", **_facts(delivery), reason=failure.reason, again_in=round(pause, 1))
        await self._record(delivery, self._store.put_off, failure, pause)

    async def _record(self, delivery: Delivery, write: Callable[..., Awaitable[None]], *what: Any, **more: Any) -> None:
        """Records how a try has ended, again while the database is away; else it is due again after its lease."""
        for _ in range(_RECORD_TRIES):
            with suppress(DatabaseUnavailable):
                await write(delivery, *what, **more)
                return
            await asyncio.sleep(_RECORD_PAUSE)
        _log.warning("end of a try not recorded", **_facts(delivery))

    async def prune(self) -> None:
        """Deletes events that are older than they are kept."""
        before = datetime.now(UTC) - self._settings.keep
        while await self._store.prune(before, _PRUNED_AT_ONCE) == _PRUNED_AT_ONCE:
            pass


def _failure_of(error: Exception, delivery: Delivery) -> failure_pb2.Failure:
    if isinstance(error, ActionFailure):
        return error.failure
    if isinstance(error, TimeoutError):
        return ActionFailure("TIMED_OUT", "The event was not delivered in time.").failure
    if isinstance(error, DatabaseUnavailable):
        return ActionFailure("INTERRUPTED", "The database went away while the event was delivered.").failure
    _log.error("consumer failed", **_facts(delivery), error=type(error).__name__, trace=where(error))
    return ActionFailure("INTERNAL", "Patchbay failed while it delivered the event.", retryable=True).failure


def _facts(delivery: Delivery) -> dict[str, Any]:
    return {"event_id": delivery.event.id, "tenant": delivery.tenant, "consumer": delivery.consumer}
