"""Watching a tenant's availability.

A stream holds no queue. It remembers the verdicts that its client was told and compares them with the present
ones whenever it is woken: a client that reads slowly is told what differs when it reads again, however often
things changed meanwhile, and costs no memory for it.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from random import random

from server.core.availability import Availabilities, Verdicts
from server.core.catalog import Catalog, availability_change
from server.core.refusals import Refusal
from server.gen.patchbay.v1 import catalog_pb2

Event = catalog_pb2.WatchCatalogResponse


class Watches:
    """All open watches of this process.

    Args:
        catalog: Gives snapshots and revisions; a revision is the catalog's etag.
        availabilities: Gives the verdicts; forgets what a notification makes old.
        heartbeat: Seconds of silence after which a sign of life is sent.
        poll: Seconds after which a stream looks by itself, should a notification have been lost.
        retry: The same while a check has failed.
        spread: Seconds over which streams are woken after a gap, so that not all ask at once.
        lifetime: Seconds after which a stream ends, so that its caller is authenticated again.
        capacity: Streams open at once.
    """

    def __init__(
        self,
        catalog: Catalog,
        availabilities: Availabilities,
        *,
        heartbeat: float = 15.0,
        poll: float = 60.0,
        retry: float = 5.0,
        spread: float = 5.0,
        lifetime: float = 3600.0,
        capacity: int = 10_000,
    ) -> None:
        self._catalog = catalog
        self._availabilities = availabilities
        self._heartbeat = heartbeat
        self._poll = poll
        self._retry = retry
        self._spread = spread
        self._lifetime = lifetime
        self._capacity = capacity
        self._wakes: dict[str, set[asyncio.Event]] = {}
        self._open = 0
        self._draining = False

    @property
    def open(self) -> int:
        """How many streams are open."""
        return self._open

    def notify(self, tenant: str) -> None:
        """Takes a notification that the tenant's connections changed."""
        self._availabilities.forget(tenant)
        self._wake(tenant)

    def notify_gap(self) -> None:
        """Takes the news that notifications may have been lost: all look again, spread over a while."""
        self._availabilities.forget_all()
        loop = asyncio.get_running_loop()
        for tenant in list(self._wakes):
            loop.call_later(self._spread * random(), self._wake, tenant)  # noqa: S311 - spreads load

    def drain(self) -> None:
        """Ends every stream with Refusal DRAINING, and every later one."""
        self._draining = True
        for tenant in list(self._wakes):
            self._wake(tenant)

    async def watch(self, tenant: str, resume_from: str = "") -> AsyncGenerator[Event, None]:
        """Yields a snapshot, or a heartbeat when `resume_from` is the present revision, then what happens.

        Ends by itself after its lifetime. Close it (`aclosing`) when its client is gone.

        Raises:
            Refusal: DRAINING at shutdown, OVERLOADED when too many streams are open.
        """
        with self._opened(tenant) as wake:
            told = await self._look(tenant, wake)
            yield self._first(told, resume_from)
            pace = _Pace(heartbeat=self._heartbeat, poll=self._pause(told), lifetime=self._lifetime)
            while not pace.over:
                woken = await _wait(wake, pace.pause)
                if woken or pace.look_due:
                    present = await self._look(tenant, wake)
                    pace.looked(self._pause(present))
                    for event in self._changes(told, present):
                        yield event
                        pace.spoke()
                    told = present
                if pace.beat_due:
                    yield self._alive(told)
                    pace.spoke()

    @contextmanager
    def _opened(self, tenant: str) -> Iterator[asyncio.Event]:
        if self._open >= self._capacity:
            raise Refusal("OVERLOADED", "Too many catalog watches are open.", retry_after=self._retry)
        wake = asyncio.Event()
        streams = self._wakes.setdefault(tenant, set())
        streams.add(wake)
        self._open += 1
        try:
            yield wake
        finally:
            self._open -= 1
            streams.discard(wake)
            if not streams and self._wakes.get(tenant) is streams:
                del self._wakes[tenant]

    async def _look(self, tenant: str, wake: asyncio.Event) -> Verdicts:
        # Cleared before looking: a notification that comes while looking wakes the stream once more.
        wake.clear()
        if self._draining:
            raise Refusal("DRAINING", "The server is shutting down.")
        return await self._availabilities.of(tenant)

    def _pause(self, told: Verdicts) -> float:
        return self._poll if told.certain else self._retry

    def _first(self, present: Verdicts, resume_from: str) -> Event:
        revision = self._catalog.etag(present)
        if resume_from == revision:
            return self._alive(present)
        return Event(revision=revision, snapshot=self._catalog.snapshot(present))

    def _changes(self, told: Verdicts, present: Verdicts) -> Iterator[Event]:
        for key in present:
            if told[key] != present[key]:
                told = told.with_verdict(key, present[key])
                yield Event(revision=self._catalog.etag(told), change=availability_change(key, present[key]))

    def _alive(self, told: Verdicts) -> Event:
        event = Event(revision=self._catalog.etag(told))
        event.heartbeat.time.GetCurrentTime()
        return event

    def _wake(self, tenant: str) -> None:
        for wake in self._wakes.get(tenant, ()):
            wake.set()


class _Pace:
    """When one stream looks by itself, shows that it is alive, and ends.

    Looks and ends of streams that were opened together, as after a restart, are spread by chance.
    """

    def __init__(self, *, heartbeat: float, poll: float, lifetime: float) -> None:
        self._now = asyncio.get_running_loop().time
        self._heartbeat = heartbeat
        self._beat = self._now() + heartbeat
        self._look = self._now() + poll * random()  # noqa: S311 - spreads load
        self._end = self._now() + lifetime * (1 - random() / 4)  # noqa: S311 - spreads load

    @property
    def over(self) -> bool:
        return self._now() >= self._end

    @property
    def pause(self) -> float:
        return max(0.0, min(self._beat, self._look, self._end) - self._now())

    @property
    def look_due(self) -> bool:
        return self._now() >= self._look

    @property
    def beat_due(self) -> bool:
        return self._now() >= self._beat

    def looked(self, next_in: float) -> None:
        self._look = self._now() + next_in

    def spoke(self) -> None:
        self._beat = self._now() + self._heartbeat


async def _wait(wake: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await wake.wait()
    except TimeoutError:
        return False
