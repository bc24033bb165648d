"""Whether a tenant can use each module now. Fails closed, asks rarely, lets no module delay another."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from time import monotonic
from typing import Any, Protocol
from weakref import WeakValueDictionary

import structlog

from server.core.registry import RegisteredModule, Registry
from server.errors import PatchbayError
from server.gen.patchbay.v1 import options_pb2
from server.sdk.availability import AvailabilityResolver, Integration, Verdict

CHECK_FAILED = "AVAILABILITY_CHECK_FAILED"

_log = structlog.get_logger(__name__)
_Items = tuple[tuple[str, Verdict], ...]


class IntegrationReader(Protocol):
    """Where a tenant's connections are looked up."""

    async def integrations(self, tenant: str) -> Mapping[str, Integration]:
        """Returns the tenant's integrations by provider, in one query."""


class Verdicts(Mapping[str, Verdict]):
    """A verdict for each group key. Immutable, hashable; tenants with equal verdicts share one object."""

    __slots__ = ("__weakref__", "_by_group", "_hash")

    def __init__(self, items: _Items) -> None:
        self._by_group = dict(items)
        self._hash = hash(items)

    def __getitem__(self, group_key: str) -> Verdict:
        return self._by_group[group_key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_group)

    def __len__(self) -> int:
        return len(self._by_group)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Verdicts) and self._by_group == other._by_group)

    @property
    def certain(self) -> bool:
        """False when a check failed, so that asking again soon is worth it."""
        return all(verdict.reason != CHECK_FAILED for verdict in self._by_group.values())

    def with_verdict(self, group_key: str, verdict: Verdict) -> "Verdicts":
        """Returns the same verdicts with one replaced."""
        return Verdicts(tuple({**self._by_group, group_key: verdict}.items()))


class Availabilities:
    """Answers from memory while fresh; else asks every resolver at once, each with its own time limit.

    Args:
        registry: The modules; read once, here.
        integrations: The tenant's connections; one query serves all resolvers of one check.
        fresh_for: Seconds that an answer is used, at most 5, so that a lost notification does little harm.
        time_limit: Seconds that one resolver may take.
        capacity: Tenants kept, the least recently used leave first.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        registry: Registry,
        integrations: IntegrationReader,
        *,
        fresh_for: float = 5.0,
        time_limit: float = 2.0,
        capacity: int = 20_000,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._modules = dict(registry.modules)
        self._integrations = integrations
        self._fresh_for = min(fresh_for, 5.0)
        self._time_limit = time_limit
        self._capacity = capacity
        self._clock = clock
        self._known: OrderedDict[str, tuple[Verdicts, float]] = OrderedDict()
        self._checks: dict[str, _Check] = {}
        self._shared: WeakValueDictionary[_Items, Verdicts] = WeakValueDictionary()

    async def of(self, tenant: str) -> Verdicts:
        """Returns a verdict for every module. Never raises for a resolver's sake; no I/O while fresh."""
        fresh = self._fresh(tenant)
        return fresh if fresh is not None else await asyncio.shield(self._check(tenant).verdicts)

    async def one(self, tenant: str, module: RegisteredModule) -> Verdict:
        """Returns the verdict for one module without waiting for the resolvers of others."""
        group_key = module.definition.group_key
        fresh = self._fresh(tenant)
        if fresh is not None:
            return fresh[group_key]
        return await asyncio.shield(self._check(tenant).judgements[group_key])

    def forget(self, tenant: str) -> None:
        """Makes the next question ask again; a check under way answers only those who wait for it already."""
        self._known.pop(tenant, None)
        self._checks.pop(tenant, None)

    def forget_all(self) -> None:
        """Forgets every tenant, as after a gap in the notifications."""
        self._known.clear()
        self._checks.clear()

    def _fresh(self, tenant: str) -> Verdicts | None:
        known = self._known.get(tenant)
        if known is None or known[1] <= self._clock():
            return None
        self._known.move_to_end(tenant)
        return known[0]

    def _check(self, tenant: str) -> "_Check":
        check = self._checks.get(tenant)
        if check is None:
            context = _Context(tenant, self._integrations)
            check = self._checks[tenant] = _Check(self._modules, context, self._time_limit, self._shared)
            check.verdicts.add_done_callback(lambda _: self._learn(tenant, check))
        return check

    def _learn(self, tenant: str, check: "_Check") -> None:
        if self._checks.get(tenant) is not check:
            return  # forgotten meanwhile: what it read may be older than the change
        del self._checks[tenant]
        if check.verdicts.cancelled() or check.verdicts.exception() is not None:
            return
        self._known[tenant] = (check.verdicts.result(), self._clock() + self._fresh_for)
        self._known.move_to_end(tenant)
        while len(self._known) > self._capacity:
            self._known.popitem(last=False)


class _Check:
    """One round of questions for one tenant, shared by everybody who asks meanwhile."""

    def __init__(
        self,
        modules: Mapping[str, RegisteredModule],
        context: "_Context",
        time_limit: float,
        shared: WeakValueDictionary[_Items, Verdicts],
    ) -> None:
        self._context = context
        self._time_limit = time_limit
        self._shared = shared
        self.judgements = {
            key: asyncio.create_task(self._judge(module), name=f"availability {key}") for key, module in modules.items()
        }
        self.verdicts = asyncio.create_task(self._gather(), name="availability")

    async def _gather(self) -> Verdicts:
        try:
            items = tuple([(key, await task) for key, task in self.judgements.items()])
            return self._shared.get(items) or self._shared.setdefault(items, Verdicts(items))
        finally:
            self._context.close()

    async def _judge(self, module: RegisteredModule) -> Verdict:
        resolver, label = module.module.availability, module.definition.label
        if resolver is None:
            if module.definition.tile_kind != options_pb2.TILE_KIND_APP:
                return Verdict()
            return _failed(f"{label} has no rule that says when it is available.")
        return await self._ask(resolver, label)

    async def _ask(self, resolver: AvailabilityResolver, label: str) -> Verdict:
        # wait() rather than timeout(): a resolver that swallows its cancellation must not hold the answer up.
        asked = asyncio.create_task(self._answer_of(resolver))
        try:
            await asyncio.wait({asked}, timeout=self._time_limit)
        finally:
            if not asked.done():
                asked.cancel()
                asked.add_done_callback(_retrieve)
        if not asked.done():
            return self._report(label, f"no answer within {self._time_limit:g} s")
        if asked.cancelled():
            return self._report(label, "the check was cancelled")
        if (error := asked.exception()) is not None:
            return self._report(label, _described(error))
        return asked.result()

    async def _answer_of(self, resolver: AvailabilityResolver) -> Verdict:
        answer: object = await resolver(self._context)
        if not isinstance(answer, Verdict):
            raise TypeError(f"a resolver answered {type(answer).__name__}, not a Verdict")
        return answer

    def _report(self, label: str, cause: str) -> Verdict:
        _log.warning("availability_check_failed", module=label, tenant=self._context.tenant, cause=cause)
        return _failed(f"Whether {label} is connected could not be found out.")


class _Context:
    """What the resolvers of one check look at; the tenant's connections are read at most once."""

    def __init__(self, tenant: str, integrations: IntegrationReader) -> None:
        self._tenant = tenant
        self._integrations = integrations
        self._rows: asyncio.Future[Mapping[str, Integration]] | None = None

    @property
    def tenant(self) -> str:
        return self._tenant

    async def integration(self, provider: str) -> Integration | None:
        if self._rows is None:
            self._rows = asyncio.ensure_future(self._integrations.integrations(self._tenant))
        return (await asyncio.shield(self._rows)).get(provider)

    def close(self) -> None:
        if self._rows is not None:
            self._rows.add_done_callback(_retrieve)
            self._rows.cancel()


def _failed(message: str) -> Verdict:
    return Verdict.unavailable(CHECK_FAILED, message)


def _described(error: BaseException) -> str:
    # Only our own errors promise to hold no secret; a driver's message may quote an address and its password.
    return f"{type(error).__name__}: {error}" if isinstance(error, PatchbayError) else type(error).__name__


def _retrieve(done: "asyncio.Future[Any]") -> None:
    if not done.cancelled():
        done.exception()
