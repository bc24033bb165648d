"""Named locks across replicas: leases in table `named_locks`, by PostgreSQL's clock.

A holder renews its lease in the background. If PostgreSQL cannot be reached for a whole lease, another replica may take
the lock while the old holder still works: what must never happen twice is fenced by the execution's claim, not by this.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from random import uniform
from typing import Final
from uuid import UUID, uuid4

import structlog

from server.errors import DatabaseUnavailable
from server.sdk.context import Deadline
from server.sdk.failures import ActionFailure
from server.store.database import Database
from server.store.listen import Listener
from server.store.text import storable
from server.store.turns import TurnMissedError, Turns

CHANNEL: Final = "patchbay_locks"
_LEASE_SECONDS: Final = 30.0
_FIRST_NAP: Final = 0.02
_LONGEST_NAP: Final = 0.5
_LONGEST_NAME: Final = 200

_TAKE: Final = """
    INSERT INTO named_locks AS l (tenant, name, owner, expires_at) VALUES ($1, $2, $3, clock_timestamp() + $4::interval)
    ON CONFLICT (tenant, name) DO UPDATE SET owner = EXCLUDED.owner, expires_at = clock_timestamp() + $4::interval
    WHERE l.expires_at < clock_timestamp() OR l.owner = EXCLUDED.owner
    RETURNING true
"""
_RENEW: Final = """
    UPDATE named_locks SET expires_at = clock_timestamp() + $4::interval
    WHERE tenant = $1 AND name = $2 AND owner = $3 RETURNING true
"""
_RELEASE: Final = """
    WITH released AS (
        DELETE FROM named_locks WHERE tenant = $1 AND name = $2 AND owner = $3 RETURNING tenant || ' ' || name AS key)
    SELECT pg_notify($4, key) FROM released
"""
_PRUNE: Final = "DELETE FROM named_locks WHERE expires_at < clock_timestamp() - interval '1 hour'"

_log = structlog.get_logger(__name__)


class Locks:
    """The locks of all tenants.

    Args:
        database: Where they are.
        listener: Wakes waiters as soon as a lock is released; must not be started yet. Without one they look again
            every 0.02 to 0.5 s.
        lease: Seconds after which a lock that nobody renews is free.
    """

    def __init__(self, database: Database, listener: Listener | None = None, *, lease: float = _LEASE_SECONDS) -> None:
        self._database = database
        self._lease = lease
        self._turns = Turns()
        self._waiting: dict[str, asyncio.Event] = {}
        self._releases: set[asyncio.Task[None]] = set()
        if listener is not None:
            listener.on(CHANNEL, self._wake)

    @asynccontextmanager
    async def hold(self, tenant: str, name: str, deadline: Deadline) -> AsyncIterator[None]:
        """Holds a lock for the block; in one process first come, first served.

        Args:
            tenant: Tenants never share a lock.
            name: What is locked.
            deadline: Until when to wait.

        Raises:
            ActionFailure: TIMED_OUT with effect NONE, when the lock is not free before the deadline.
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        claim = _Claim(tenant, _stored_name(name), uuid4())
        try:
            async with self._turns.take(tenant, claim.name, deadline):
                try:
                    await self._take(claim, deadline)
                    async with self._kept(claim):
                        yield
                finally:
                    await self._release(claim)
        except TurnMissedError:
            raise ActionFailure("TIMED_OUT", f"Another execution holds `{name}` and did not finish in time.") from None

    async def prune(self) -> None:
        """Removes locks of holders that died long ago."""
        async with self._database.system() as connection:
            await connection.execute(_PRUNE)

    async def _take(self, claim: "_Claim", deadline: Deadline) -> None:
        nap = _FIRST_NAP
        while not await self._try(_TAKE, claim):
            if deadline.remaining() == 0:
                raise TurnMissedError
            await self._nap(claim, deadline.within(uniform(nap / 2, nap)))  # noqa: S311 - jitter, no secret
            nap = min(nap * 2, _LONGEST_NAP)

    async def _try(self, statement: str, claim: "_Claim") -> bool:
        async with self._database.tenant(claim.tenant) as connection:
            done = await connection.fetchval(
                statement, claim.tenant, claim.name, claim.owner, timedelta(seconds=self._lease)
            )
        return bool(done)

    async def _nap(self, claim: "_Claim", seconds: float) -> None:
        released = self._waiting.setdefault(claim.key, asyncio.Event())
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(released.wait(), seconds)
        finally:
            self._waiting.pop(claim.key, None)

    def _wake(self, key: str) -> None:
        if key in self._waiting:
            self._waiting[key].set()

    @asynccontextmanager
    async def _kept(self, claim: "_Claim") -> AsyncIterator[None]:
        renewing = asyncio.create_task(self._renew(claim), name=f"lock {claim.name}")
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.wait([renewing])

    async def _renew(self, claim: "_Claim") -> None:
        while True:
            await asyncio.sleep(self._lease / 3)
            try:
                if not await self._try(_RENEW, claim):
                    _log.warning("lock_lost", tenant=claim.tenant)
                    return
            except DatabaseUnavailable:
                _log.warning("lock_not_renewed", tenant=claim.tenant)

    async def _release(self, claim: "_Claim") -> None:
        # In a task of its own: a cancelled holder must not leave the others waiting for the end of the lease.
        release = asyncio.create_task(self._release_now(claim))
        self._releases.add(release)
        release.add_done_callback(self._releases.discard)
        await asyncio.shield(release)

    async def _release_now(self, claim: "_Claim") -> None:
        try:
            async with self._database.tenant(claim.tenant) as connection:
                await connection.execute(_RELEASE, claim.tenant, claim.name, claim.owner, CHANNEL)
        except DatabaseUnavailable:
            _log.warning("lock_not_released", tenant=claim.tenant, free_in=self._lease)


@dataclass(frozen=True, slots=True)
class _Claim:
    """One try to hold a lock; `owner` is new each time."""

    tenant: str
    name: str
    owner: UUID

    @property
    def key(self) -> str:
        """How news names the lock."""
        return f"{self.tenant} {self.name}"


def _stored_name(name: str) -> str:
    text = storable(name)
    if len(text) <= _LONGEST_NAME:
        return text
    return f"{text[: _LONGEST_NAME - 33]}#{sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"
