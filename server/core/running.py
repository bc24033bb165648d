"""Running a claimed execution to its recorded outcome.

A claimed execution runs on in the task that claimed it, under the server's deadline: a caller that leaves changes
nothing (rule 9). The send mark is recorded before the first byte of a write (state machine). The outcome is recorded
where owner and fence are still ours; otherwise it is kept as late evidence (rule 4).
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog
from google.protobuf.message import Message

from server.core import outcomes
from server.core.connections import ActiveConnection
from server.core.handling import Handling, Result
from server.core.persistence import persist
from server.core.ports import InvocationStore
from server.core.preparation import Checked
from server.core.records import Claimed, Outcome, Record, State
from server.errors import DatabaseUnavailable
from server.sdk.context import LocalTransaction
from server.sdk.failures import ActionFailure, LeaseLost
from server.sdk.scope import CallScope

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Run:
    """One execution that this process runs."""

    checked: Checked
    claimed: Claimed
    scope: CallScope
    sent_at: datetime | None
    cancelled: bool = False
    interrupted: bool = False
    work: "asyncio.Future[Any] | None" = None
    """The part that may be stopped while nothing was sent; recording is never stopped."""
    task: "asyncio.Task[Ended | None] | None" = field(default=None)
    """Where it runs. Comes to how it ended."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended. `output` is None unless it succeeded."""

    run: Run
    outcome: Outcome
    output: Message | None
    completed_at: datetime | None
    superseded: bool = False
    """The claim was lost: what the record says counts, not this."""


class Runner:
    """The executions of this process."""

    def __init__(self, store: InvocationStore, handling: Handling) -> None:
        self._store = store
        self._handling = handling
        self._runs: dict[str, Run] = {}

    @property
    def running(self) -> Mapping[str, Run]:
        """Runs by execution id."""
        return self._runs

    def admit(self, checked: Checked, connection: ActiveConnection | None, claimed: Claimed, *, sent: bool) -> Run:
        """Registers a claimed execution, to be run in the current task. `sent`: the claim carries the send mark."""
        scope = self._handling.scope(checked, connection, sent=sent)
        run = Run(checked, claimed, scope, claimed.started_at if sent else None)

        async def mark_sent(evidence: Mapping[str, str]) -> None:
            await self._mark_sent(run, evidence)

        scope.mark_sent = mark_sent
        self._runs[claimed.id] = run
        run.task = asyncio.current_task()
        assert run.task is not None  # noqa: S101 - an executor runs in tasks
        run.task.add_done_callback(lambda _: self._ended(run))
        return run

    def _ended(self, run: Run) -> None:
        # The next attempt may have been claimed here before this one had heard that it is recorded.
        if self._runs.get(run.claimed.id) is run:
            del self._runs[run.claimed.id]

    def cancel(self, id: str) -> None:
        """Stops a run that has sent nothing; what was sent is finished and recorded."""
        run = self._runs.get(id)
        if run is not None and not run.scope.sent:
            run.cancelled = True
            self.interrupt(run)

    @staticmethod
    def interrupt(run: Run) -> None:
        """Stops a run that has sent nothing, because the server stops; one that has sent is left to others."""
        if run.work is not None and not run.scope.sent:
            run.interrupted = True
            run.work.cancel()

    async def carry_out(self, run: Run, connection: ActiveConnection | None) -> Ended:
        """Runs what was admitted to its recorded outcome."""
        if run.cancelled:
            return await self._record(run, _interrupted(run))
        if run.checked.action.transactional:
            return await self._run_local(run, connection)
        return await self._record(run, await self._handled(run, connection))

    async def _handled(self, run: Run, connection: ActiveConnection | None) -> Result:
        claimed, task = run.claimed, asyncio.current_task()
        assert task is not None  # noqa: S101 - an executor runs in tasks
        run.work = task
        try:
            result = await self._handling.handle(run.checked, connection, claimed.id, claimed.attempt, run.scope)
        except asyncio.CancelledError:
            result = _interrupted(run)
        run.work = None
        if task.cancelling() and not run.interrupted:
            raise asyncio.CancelledError  # the whole process is taken down, not this execution
        while task.cancelling():
            task.uncancel()
        return result

    async def _run_local(self, run: Run, connection: ActiveConnection | None) -> Ended:
        """Effect, record and completion in one transaction (rule 16)."""
        claimed, results = run.claimed, list[Result]()

        async def work(transaction: LocalTransaction) -> Outcome:
            handle = self._handling.handle
            result = await handle(run.checked, connection, claimed.id, claimed.attempt, run.scope, transaction)
            results.append(result)
            if result.outcome.state is not State.SUCCEEDED:
                raise _RolledBack
            return result.outcome

        run.work = transacting = asyncio.ensure_future(self._store.transact(claimed, work))
        await asyncio.wait({transacting})
        if transacting.cancelled():
            return await self._record(run, _interrupted(run))
        if isinstance(error := transacting.exception(), DatabaseUnavailable):
            return await self._after_lost_commit(run, results)
        if isinstance(error, _RolledBack):
            return await self._record(run, results[-1])
        if error is not None:
            return await self._record(run, _undone(run, error))
        outcome = transacting.result()
        if outcome is None:
            return await self._late(run, _interrupted(run))
        return Ended(run, outcome, results[-1].output, outcome.completed_at)

    async def _after_lost_commit(self, run: Run, results: list[Result]) -> Ended:
        """Finds out whether the transaction was committed before the connection broke."""
        record = await persist(lambda: self._store.get(run.claimed.tenant, run.claimed.id))
        if record is not None and record.state is State.SUCCEEDED and results:
            return Ended(run, results[-1].outcome, results[-1].output, record.completed_at)
        return await self._record(run, _interrupted(run))

    async def _mark_sent(self, run: Run, evidence: Mapping[str, str]) -> None:
        try:
            run.sent_at = await self._store.mark_sent(run.claimed, evidence)
        except DatabaseUnavailable:
            raise ActionFailure("INTERRUPTED", "The database went away before anything was sent.") from None
        if run.sent_at is None:
            raise LeaseLost(f"execution {run.claimed.id} was cancelled or is run by another server")

    async def _record(self, run: Run, result: Result) -> Ended:
        """Records an outcome, however long the database is away."""
        try:
            completed_at = await persist(lambda: self._store.complete(run.claimed, result.outcome))
        except Exception as error:  # noqa: BLE001 - whatever its content provokes, the state must not be lost
            _log.error("outcome not stored whole", execution=run.claimed.id, error=type(error).__name__)
            result = Result(outcomes.bare(result.outcome), result.output)
            completed_at = await persist(lambda: self._store.complete(run.claimed, result.outcome))
        if completed_at is None:
            return await self._late(run, result)
        return Ended(run, result.outcome, result.output, completed_at)

    async def _late(self, run: Run, result: Result) -> Ended:
        """Keeps an answer that came after the claim was lost. It may settle an UNKNOWN, nothing else (rule 4)."""
        claimed, store = run.claimed, self._store
        record = await persist(lambda: store.get(claimed.tenant, claimed.id))
        if record is None or _is_ours(record, claimed, result):  # our own completion, whose answer was lost
            return Ended(run, result.outcome, result.output, record.completed_at if record else None)
        _log.warning("late answer", execution=claimed.id, state=str(result.outcome.state), found=str(record.state))
        await persist(lambda: store.keep_late(claimed, result.outcome))
        if record.state is State.UNKNOWN and result.outcome.state is not State.UNKNOWN:
            told = {"source": "RESOLUTION_SOURCE_LATE_ANSWER", "time": record.now.isoformat()}
            await persist(lambda: store.settle(claimed.tenant, claimed.id, result.outcome, told, fence=claimed.fence))
        return Ended(run, result.outcome, result.output, record.completed_at, superseded=True)


class _RolledBack(Exception):
    """Undoes the transaction of a local action that failed."""


def _interrupted(run: Run) -> Result:
    reason, told = ("CANCELLED", "It was cancelled") if run.cancelled else ("INTERRUPTED", "The server stopped")
    failure = ActionFailure(reason, f"{told} before anything was sent.").failure
    return Result(outcomes.failed(failure, run.checked.definition.effect, budget_wait=run.scope.budget_wait))


def _undone(run: Run, error: BaseException) -> Result:
    """What it means that the database refused to commit a local effect."""
    _log.error("not committed", execution=run.claimed.id, error=type(error).__name__)
    failure = outcomes.failure_of(error, sent=False, execution_id=run.claimed.id)
    return Result(outcomes.failed(failure, run.checked.definition.effect, budget_wait=run.scope.budget_wait))


def _is_ours(record: Record, claimed: Claimed, result: Result) -> bool:
    mine = (claimed.owner, claimed.fence, result.outcome.state)
    return (record.owner, record.fence, record.state) == mine
