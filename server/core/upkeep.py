"""What every replica does beside executing: its lease, take-over, probes, retention.

Each job runs in a loop of its own. A failing round is logged and tried again; none ends the server.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog
from google.protobuf.json_format import ParseDict

from server.contract.definitions import ActionDefinition
from server.core import outcomes, outputs
from server.core.execution import Executor
from server.core.gates import gate
from server.core.ports import Budgets, InvocationStore, UpkeepStore
from server.core.preparation import ConnectionSource
from server.core.records import EffectClass, Outcome, Record, State, repeatable
from server.core.refusals import Refusal
from server.core.registry import RegisteredAction, Registry
from server.core.running import Runner
from server.errors import DatabaseUnavailable
from server.sdk.context import Deadline, ProbeContext
from server.sdk.failures import ActionFailure, Effect
from server.sdk.masking import Masker
from server.sdk.scope import CallScope, entered, no_writes

_log = structlog.get_logger(__name__)
_PROBE_TRIES = 10
_PROBE_SECONDS = 30.0
_PRUNE_BATCH = 1_000
_TAKEN_AT_ONCE = 100
_LONG = [EffectClass.EFFECT_CLASS_NON_IDEMPOTENT, EffectClass.EFFECT_CLASS_OPAQUE]
_SHORT = [EffectClass.EFFECT_CLASS_READ, EffectClass.EFFECT_CLASS_IDEMPOTENT, EffectClass.EFFECT_CLASS_VENDOR_KEYED]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpkeepSettings:
    """Seconds, and how long records are kept (rule 15)."""

    lease_seconds: float = 15.0
    sweep_seconds: float = 2.0
    probe_seconds: float = 1.0
    prune_seconds: float = 600.0
    keep_payloads: timedelta = timedelta(days=7)
    keep_tombstones: timedelta = timedelta(days=30)
    keep_keyless_tombstones: timedelta = timedelta(days=400)


class Upkeep:
    """The jobs of one replica."""

    def __init__(
        self,
        registry: Registry,
        store: UpkeepStore,
        invocations: InvocationStore,
        connections: ConnectionSource,
        runner: Runner,
        executor: Executor,
        budgets: Budgets,
        *,
        owner: str,
        settings: UpkeepSettings,
        prunings: Sequence[Callable[[], Awaitable[object]]] = (),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._registry = registry
        self._store = store
        self._invocations = invocations
        self._connections = connections
        self._runner = runner
        self._executor = executor
        self._budgets = budgets
        self._owner = owner
        self._settings = settings
        self._prunings = prunings
        self._now = now
        self._lease: Deadline | None = None
        self._others_renew = Deadline.after(0.0)

    def jobs(self) -> list[Awaitable[None]]:
        """Returns the loops to run until the server stops."""
        settings = self._settings
        return [
            self._loop("lease", settings.lease_seconds / 3, self.renew),
            self._loop("sweep", settings.sweep_seconds, self.sweep),
            self._loop("probe", settings.probe_seconds, self.probe),
            self._loop("prune", settings.prune_seconds, self.prune),
        ]

    async def renew(self) -> None:
        """Renews the lease that covers everything this process runs (rule 13)."""
        seconds = self._settings.lease_seconds
        ran_out, renewed = self._lease_ran_out(), Deadline.after(seconds)
        await self._store.renew_lease(self._owner, seconds)
        self._lease = renewed
        if ran_out:
            self._others_renew = Deadline.after(seconds)

    def _lease_ran_out(self) -> bool:
        return self._lease is not None and not self._lease.remaining()

    async def sweep(self) -> None:
        """Records what became of executions whose owner is gone (rule 13).

        Not while our own lease is over: what kept us from renewing it, such as a database that was away, has kept the
        others as well, and they are given a lease's time to renew theirs.
        """
        if self._lease_ran_out() or self._others_renew.remaining():
            return
        await _until_done(self._take_over, _TAKEN_AT_ONCE)
        self._executor.claims.forget()

    async def _take_over(self) -> int:
        running = list(self._runner.running)
        taken = await self._store.take_over(self._owner, running, self._judge, _TAKEN_AT_ONCE)
        for record in taken:
            _log.warning("took over", execution=record.id, action=record.action, was_sent=record.sent_at is not None)
        return len(taken)

    async def probe(self) -> None:
        """Asks vendors what happened to executions of unknown outcome (rule 10)."""
        due = await self._store.to_probe(_PROBE_TRIES)
        await asyncio.gather(*(self._probe_one(record) for record in due))

    async def prune(self) -> None:
        """Drops payloads, then tombstones, that are older than they are kept (rule 15)."""
        now, settings = self._now(), self._settings
        await _until_done(lambda: self._store.drop_payloads(now - settings.keep_payloads, _PRUNE_BATCH))
        for classes, keep in ((_SHORT, settings.keep_tombstones), (_LONG, settings.keep_keyless_tombstones)):
            await _until_done(partial(self._store.delete_tombstones, now - keep, classes, _PRUNE_BATCH))
        await self._store.bury_leases()
        for prune in self._prunings:
            await prune()

    def _judge(self, record: Record) -> Outcome:
        action = self._action(record)
        window = action.definition.vendor_keyed_window if action else None
        sent = record.sent_at is not None and not self._executor.claims.given_up(record)
        again = repeatable(record.effect_class, window, record.first_sent_at, record.now)
        return outcomes.lost_owner(record.effect_class, sent=sent, again=again)

    async def _probe_one(self, record: Record) -> None:
        action = self._action(record)
        if action is None or action.probe is None:
            return
        try:
            outcome = await self._ask(action, record)
        except Exception as error:  # noqa: BLE001 - the next round tries again
            _log.warning("probe failed", execution=record.id, action=record.action, error=type(error).__name__)
            return
        if outcome is None:
            return
        told = {"source": "RESOLUTION_SOURCE_PROBE", "time": self._now().isoformat()}
        if await self._invocations.settle(record.tenant, record.id, outcome, told, fence=record.fence):
            _log.info("probe settled", execution=record.id, action=record.action, state=str(outcome.state))

    async def _ask(self, action: RegisteredAction, record: Record) -> Outcome | None:
        connection = None
        if action.module.definition.connection is not None:
            connection = await self._connections.client(record.tenant, action.module)
            if record.connection_id not in (None, connection.id):
                return None  # another connection cannot prove what happened over this one
        request = ParseDict(dict(record.input or {}), action.definition.input.message_class())
        scope = CallScope(
            deadline=Deadline.after(_PROBE_SECONDS),
            masker=Masker(connection.secrets if connection else ()),
            mark_sent=no_writes,
            budget=gate(
                self._budgets,
                action.definition,
                request,
                tenant=record.tenant,
                connection_id=connection.id if connection else None,
                interactive=True,
            ),
        )
        context = ProbeContext(
            client=connection.client if connection else None,
            tenant=record.tenant,
            execution_id=record.id,
            evidence=record.evidence,
            deadline=scope.deadline,
            log=_log.bind(tenant=record.tenant, action=record.action, execution=record.id),
        )
        assert action.probe is not None  # noqa: S101 - the caller has looked
        async with entered(scope), asyncio.timeout(_PROBE_SECONDS):
            try:
                output = await action.probe(request, context)
            except ActionFailure as failure:
                return _proved_failure(failure, action.definition, scope.masker)
        if output is None:
            return None
        kept = outputs.keep_later(output, scope.masker, record.input or {})
        return Outcome(state=State.SUCCEEDED, output=kept.stored, warnings=kept.warnings)

    def _action(self, record: Record) -> RegisteredAction | None:
        try:
            return self._registry.action(record.action, record.version)
        except Refusal:
            return None

    async def _loop(self, name: str, seconds: float, job: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await job()
            except DatabaseUnavailable:
                _log.warning("database away", job=name)
            except Exception as error:  # noqa: BLE001 - one bad round must not end the job
                _log.error("job failed", job=name, error=type(error).__name__)
            await asyncio.sleep(seconds)


def _proved_failure(failure: ActionFailure, action: ActionDefinition, masker: Masker) -> Outcome | None:
    """A failure to ask proves nothing. Proof is what only a probe can say: that the effect was applied, or one of the
    reasons that the action itself declares."""
    told = failure.failure
    declared = any(one.reason == told.reason for one in action.failures)
    if told.vendor_status or not (told.effect == Effect.EFFECT_APPLIED or declared):
        return None
    if told.effect == Effect.EFFECT_UNKNOWN:
        return None
    told.message, told.vendor_message = masker(told.message), masker(told.vendor_message)
    return outcomes.failed(told, action.effect)


async def _until_done(change: Callable[[], Awaitable[int]], batch: int = _PRUNE_BATCH) -> None:
    while await change() == batch:
        pass
