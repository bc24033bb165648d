"""One call of an action, in order.

1. The action is looked up, the caller's permission checked, then the key, then the input (`preparation`).
2. The module's availability and the tenant's connection are found. When that fails, a key that is known already is
   still answered from its record; a new one is refused with a failure and nothing is stored.
3. A READ action runs at once and is recorded afterwards, in a batch (rule 11).
4. Any other action claims its key. The claim is granted, or the key is known: then the call replays the record,
   follows the running execution, or takes over what another server left (`decisions`).
5. A granted claim runs on in the task that claimed it (`running`): budget, egress and send mark happen inside the HTTP
   client.
6. The caller waits for the outcome until its deadline, then gets the execution as RUNNING; it reads the result later
   by its key.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial

from server.contract.payload import fingerprint, masked_json
from server.core import answers
from server.core.answers import Execution, Times
from server.core.calls import Call, InFlight
from server.core.connections import ActiveConnection
from server.core.decisions import Decision, OwnClaims, decide
from server.core.handling import Handling
from server.core.ids import new_id
from server.core.ports import Stores
from server.core.preparation import Checked, Preparation
from server.core.records import Claimed, NewClaim, Outcome, ReadRecord, Record, State
from server.core.refusals import Refusal
from server.core.running import Ended, Run, Runner
from server.errors import DatabaseUnavailable
from server.sdk.context import Deadline
from server.sdk.failures import ActionFailure

_FIRST_POLL, _LONGEST_POLL = 0.05, 0.5
_CLAIM_PATIENCE = 5.0


class Executor:
    """Executes actions.

    Args:
        owner: The id of this process, under which it holds its lease.
        keyed_hash: Hashes a secret value for fingerprints (rule 2).
        max_running: Calls that this process works on at the same time; more are refused.
    """

    def __init__(
        self,
        preparation: Preparation,
        handling: Handling,
        runner: Runner,
        stores: Stores,
        *,
        owner: str,
        keyed_hash: Callable[[bytes], bytes],
        max_running: int,
    ) -> None:
        self._preparation = preparation
        self._handling = handling
        self._runner = runner
        self._stores = stores
        self._owner = owner
        self._keyed_hash = keyed_hash
        self._max_running = max_running
        self._active = 0
        self._tasks: set[asyncio.Task[Ended | None]] = set()
        self.draining = False
        self.claims = OwnClaims()

    @property
    def busy(self) -> bool:
        """True while a call is answered, a claim is on its way or an execution runs."""
        return bool(self._active or self._tasks)

    async def execute(self, call: Call) -> Execution:
        """Executes one call. Raises Refusal when the call itself is not processed."""
        if self.draining:
            raise Refusal("DRAINING", "The server is shutting down.")
        if (work := max(self._active, len(self._runner.running))) >= self._max_running:
            raise Refusal("OVERLOADED", f"The server works on {work} calls already.", retry_after=1.0)
        self._active += 1
        try:
            return await self._execute(self._preparation.check(call))
        finally:
            self._active -= 1

    async def _execute(self, checked: Checked) -> Execution:
        try:
            connection = await self._preparation.connect(checked)
        except ActionFailure as unready:
            return await self._unready(checked, unready)
        if checked.is_read:
            return await self._read(checked, connection)
        return await self._once(checked, connection)

    async def _unready(self, checked: Checked, unready: ActionFailure) -> Execution:
        """Answers from the record when the key is known, else with the failure; stores nothing (rule 6)."""
        call, claimed = checked.call, not checked.is_read
        known = await self._stores.invocations.find(call.tenant, call.key) if claimed and call.key else None
        if known is None:
            return answers.refused(call, checked.definition, unready.failure)
        decision = decide(known, self._new_claim(checked, known.connection_id), _window(checked))
        if decision is Decision.FOLLOW:
            known = await self._follow(checked, known, self._patience(checked)) or known
        elif decision is Decision.CLAIM_AGAIN:
            return answers.refused(call, checked.definition, unready.failure)
        return answers.recorded(known, checked.definition, replayed=True, typed=call.typed)

    async def _read(self, checked: Checked, connection: ActiveConnection | None) -> Execution:
        call, definition, id = checked.call, checked.definition, new_id()
        started = datetime.now(UTC)
        scope = self._handling.scope(checked, connection)
        result = await self._handling.handle(checked, connection, id, 1, scope)
        completed = datetime.now(UTC)
        await self._stores.reads.add(
            ReadRecord(
                tenant=call.tenant,
                id=id,
                action=definition.id,
                version=definition.version,
                state=result.outcome.state,
                connection_id=connection.id if connection else None,
                input=masked_json(checked.request),
                failure=result.outcome.failure,
                run_id=call.run.run_id,
                step_path=call.run.step_path,
                engine_attempt=call.run.attempt,
                caller=call.caller.name,
                actor=call.actor,
                budget_wait=result.outcome.budget_wait,
                started_at=started,
                completed_at=completed,
            )
        )
        times = Times(created=started, started=started, completed=completed)
        return answers.fresh(call, definition, id, 1, result.outcome, result.output, times)

    async def _once(self, checked: Checked, connection: ActiveConnection | None) -> Execution:
        patience = self._patience(checked)
        claim = self._new_claim(checked, connection.id if connection else None)
        while True:
            begun = await self._begun(checked, connection, claim)
            if isinstance(begun, Run):
                return await self._wait(begun, patience)
            known = begun
            if known.state is State.RUNNING:
                followed = await self._follow(checked, known, patience)
                if followed is None:
                    continue
                known = followed
            return answers.recorded(known, checked.definition, replayed=True, typed=checked.call.typed)

    async def _begun(self, checked: Checked, connection: ActiveConnection | None, claim: NewClaim) -> Run | Record:
        """Claims and starts, also when the caller leaves meanwhile: what was claimed is run (rule 9)."""
        begun: asyncio.Future[Run | Record] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._begin(checked, connection, claim, begun), name=f"execution {claim.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await begun

    async def _begin(
        self,
        checked: Checked,
        connection: ActiveConnection | None,
        claim: NewClaim,
        begun: "asyncio.Future[Run | Record]",
    ) -> Ended | None:
        """Claims and, when that is granted, runs. Tells `begun` what the caller has to wait for or to answer from."""
        try:
            granted, known = await self._claim(checked, claim)
        except asyncio.CancelledError:
            begun.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - it is the caller's
            if not begun.done():
                begun.set_exception(error)
            return None
        run = None if granted is None else self._runner.admit(checked, connection, granted, sent=claim.sent)
        first = run or known
        assert first is not None  # noqa: S101 - the store returns one of the two
        if not begun.done():
            begun.set_result(first)
        return None if run is None else await self._runner.carry_out(run, connection)

    async def _claim(self, checked: Checked, claim: NewClaim) -> tuple[Claimed | None, Record | None]:
        """Claims, again while the database is away: a grant whose answer was lost is recognized."""
        judge, limit = self.claims.judge(_window(checked)), Deadline.after(_CLAIM_PATIENCE)
        try:
            while True:
                try:
                    return await self._stores.invocations.claim(claim, judge)
                except DatabaseUnavailable:
                    if not limit.remaining():
                        self.claims.give_up(claim)
                        raise
                    await asyncio.sleep(_FIRST_POLL)
        finally:
            self.claims.heard(claim)

    def _new_claim(self, checked: Checked, connection_id: str | None) -> NewClaim:
        call, definition = checked.call, checked.definition
        algorithm, digest = fingerprint(
            definition.id, definition.version, connection_id, checked.request, self._keyed_hash
        )
        return NewClaim(
            tenant=call.tenant,
            id=new_id(),
            key=call.key,
            action=definition.id,
            version=definition.version,
            effect_class=definition.effect,
            owner=self._owner,
            fingerprint=digest,
            algorithm=algorithm,
            connection_id=connection_id,
            input=masked_json(checked.request),
            run_id=call.run.run_id,
            step_path=call.run.step_path,
            engine_attempt=call.run.attempt,
            caller=call.caller.name,
            actor=call.actor,
            peer=call.caller.peer,
            sent=_sends_at_once(checked),
        )

    def _patience(self, checked: Checked) -> Deadline:
        """Returns when to stop waiting: when the answer is due, else after the action's own time."""
        due = checked.remaining
        return Deadline.after(checked.definition.timeout + _LONGEST_POLL if due is None else due)

    async def _wait(self, run: Run, patience: Deadline) -> Execution:
        assert run.task is not None  # noqa: S101 - a started run has its task
        done, _ = await asyncio.wait({run.task}, timeout=patience.remaining())
        if not done:
            return _running(run)
        ended, claimed, checked = run.task.result(), run.claimed, run.checked
        assert ended is not None  # noqa: S101 - what was claimed comes to an end
        record = await self._stores.invocations.get(claimed.tenant, claimed.id) if ended.superseded else None
        if record is None:
            return _ended(ended)
        record = await self.outcome_of(record, patience)
        return answers.recorded(record, checked.definition, replayed=not run.scope.sent, typed=checked.call.typed)

    async def _follow(self, checked: Checked, known: Record, patience: Deadline) -> Record | None:
        """Waits for an execution that somebody runs (rule 7); None when it can be claimed again."""
        mode = checked.call.in_flight
        if mode == InFlight.IN_FLIGHT_MODE_FAIL:
            told = "An execution with this idempotency key is running."
            raise Refusal("EXECUTION_IN_FLIGHT", told, retry_after=1.0, execution=known.id)
        if mode == InFlight.IN_FLIGHT_MODE_RETURN:
            return known
        record = await self.outcome_of(known, patience)
        return None if record.state is State.RUNNING and not record.owner_alive else record

    async def outcome_of(self, record: Record, patience: Deadline, *, outlive: bool = False) -> Record:
        """Waits until an execution has ended or patience ends; returns its newest record.

        Unless told to outlive the owner, it also returns when the owner is gone.
        """
        pause = _FIRST_POLL
        get: Callable[[], Awaitable[Record | None]] = partial(self._stores.invocations.get, record.tenant, record.id)
        while record.state is State.RUNNING and (record.owner_alive or outlive) and patience.remaining():
            run = self._runner.running.get(record.id)
            if run is not None and run.task is not None:
                await asyncio.wait({run.task}, timeout=patience.remaining())
            else:
                await asyncio.sleep(patience.within(pause))
                pause = min(_LONGEST_POLL, pause * 1.5)
            record = await get() or record
        return record


def _window(checked: Checked) -> float | None:
    """Returns how long after its first send an attempt may begin, so that it also ends in the vendor's window."""
    window = checked.definition.vendor_keyed_window
    return None if window is None else window - checked.definition.timeout


def _sends_at_once(checked: Checked) -> bool:
    """Says whether the claim is also the send mark: nothing to wait for, and no facts to keep for a probe before."""
    action = checked.action
    return action.sends_at_once and action.definition.budget is None and action.probe is None


def _ended(ended: Ended) -> Execution:
    run = ended.run
    times = Times(
        created=run.claimed.created_at,
        started=run.claimed.started_at,
        sent=run.sent_at,
        completed=ended.completed_at,
    )
    checked = run.checked
    return answers.fresh(
        checked.call, checked.definition, run.claimed.id, run.claimed.attempt, ended.outcome, ended.output, times
    )


def _running(run: Run) -> Execution:
    times = Times(created=run.claimed.created_at, started=run.claimed.started_at, sent=run.sent_at)
    outcome = Outcome(state=State.RUNNING)
    checked = run.checked
    return answers.fresh(checked.call, checked.definition, run.claimed.id, run.claimed.attempt, outcome, None, times)
