"""One run of a script: ordered once, found again in the agent's history, understood.

The server gives a run no id and its answer has no exit code. But it writes a history row before it calls the agent,
and the agent fills that row when the script ends. So: note the newest row, order the run, and wait for the one newer
row of that script to be filled. The caller holds a lock on agent and script, which makes the row unique among ours.

    answer to the order      row filled        row stays empty
    output                   by exit code      success without exit code
    "timeout"                by exit code      agent long gone and silent: AGENT_OFFLINE, else unknown
    "natsdown"               by exit code      VENDOR_UNAVAILABLE, nothing was sent
    order taken (not waited) by exit code      unknown
    500                      by exit code      as "timeout"; no row at all: failed before the agent was called
    none, 502, 504           by exit code      as "timeout"

Silence alone proves nothing: an overloaded agent answers no ping and still runs the script, and a script may take its
own machine down. "Long gone" is an agent that the server had not heard of for minutes when the order was given.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Literal

from server.gen.patchbay.modules.tacticalrmm.v1.tacticalrmm_pb2 import RunScriptRequest, RunScriptResponse
from server.modules.tacticalrmm.client import History, HistoryRow, RunResult, TacticalClient
from server.modules.tacticalrmm.connection import NATS_DOWN, TIMEOUT, bus_down
from server.sdk import ActionFailure, Deadline, Device, Effect, FailureCategory, OutcomeUnknown, ProbeContext
from server.sdk.polling import awaited

KILLED = 98

_KILL_WORDS = "timed out after"
_CUT = 400  # characters of a script's output in a failure
_ANSWER = 4000  # characters of the server's answer that are kept beside the output
_WINDOW = timedelta(seconds=30)

Mode = Literal["wait", "watch", "forget"]
"""wait: the server answers with the output; watch: order, then poll the history; forget: order only."""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a run: the server's words, the history row. Either may be missing, not both."""

    said: str | None
    row: HistoryRow | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Where the history stood before the order, by the server's clock, and whether the agent was long gone then."""

    before: int
    asked_at: datetime
    gone: bool

    def evidence(self, order: RunScriptRequest) -> Mapping[str, str]:
        """Returns what the probe needs."""
        return {
            "history_before": str(self.before),
            "asked_at": self.asked_at.isoformat(),
            "gone": str(self.gone),
            "script_id": order.script_id,
            "timeout": str(order.timeout),
        }

    def candidates(self, history: History, script_id: str, username: str) -> list[HistoryRow]:
        """Returns the rows that can be this run's."""
        return [
            row
            for row in history.rows
            if row.id > self.before and row.script_id == script_id and username in {"", row.username}
        ]


class ScriptRun:
    """Carries out one order and finds out what came of it.

    Args:
        client: The server.
        order: What to run.
        mark: Made before, under the lock.
        deadline: The execution's.
    """

    def __init__(self, client: TacticalClient, order: RunScriptRequest, mark: Mark, deadline: Deadline) -> None:
        self._client = client
        self._order = order
        self._mark = mark
        self._deadline = deadline
        self._pace = client.pace
        self._end = Deadline.after(order.timeout + self._pace.grace)
        self._seen: int | None = None
        self._row: HistoryRow | None = None

    async def carry_out(self, mode: Mode) -> Report:
        """Orders the run, once, and returns what came of it; raises ActionFailure as the table above says."""
        try:
            said = await self._client.run_script(self._order, wait=mode == "wait")
        except ActionFailure as lost:
            if lost.failure.effect != Effect.EFFECT_UNKNOWN:
                raise
            return await self._recover(lost, mode)
        if mode == "forget":
            return Report(said)
        if mode == "watch":
            return Report(said, await self._awaited(OutcomeUnknown(self._silence(), vendor_message=said)))
        return await self._understood(said)

    async def _understood(self, said: str) -> Report:
        if said == TIMEOUT:
            unknown = OutcomeUnknown(self._silence(), vendor_status=200, vendor_message=said)
            return Report(said, await self._awaited(unknown))
        row = await self._filled(self._soon(), said)
        if row is None and said == NATS_DOWN:
            raise bus_down()
        return Report(said, row or self._row)

    async def _recover(self, lost: ActionFailure, mode: Mode) -> Report:
        """The order may have arrived, its answer did not."""
        if mode == "forget":
            await self._filled(self._soon())
            if self._row is not None:
                return Report(None, self._row)
        if lost.failure.vendor_status == 500:
            await self._filled(self._soon())
            if self._seen == 0:
                raise ActionFailure(
                    "VENDOR_ERROR",
                    "Tactical RMM failed before it called the agent.",
                    vendor_status=500,
                    vendor_message=lost.failure.vendor_message,
                )
        return Report(None, await self._awaited(lost))

    async def _awaited(self, otherwise: ActionFailure) -> HistoryRow:
        """Returns the row once it is filled. Else raises AGENT_OFFLINE when that is certain, or `otherwise`."""
        if self._mark.gone:
            row = await self._filled(self._soon())
            if row is not None:
                return row
            if self._row is not None and await silent(self._client, self._order.agent_id):
                raise agent_offline(otherwise.failure.vendor_status, otherwise.failure.vendor_message)
        row = await self._filled(self._end)
        if row is None:
            raise otherwise
        return row

    async def _filled(self, until: Deadline, said: str | None = None) -> HistoryRow | None:
        """Looks until the row is filled or time is over."""
        limit = self._deadline.part(until.remaining())
        return await awaited(partial(self._look, said), limit, self._pace.pauses(), self._pace.sleep)

    async def _look(self, said: str | None) -> HistoryRow | None:
        """Reads the history and returns the row when it is filled. A failure to read says nothing about the run, so it
        is only another look without news."""
        try:
            history = await self._client.history(self._order.agent_id)
        except ActionFailure:
            return None
        rows = self._mark.candidates(history, self._order.script_id, self._client.username)
        self._seen = len(rows)
        if self._row is not None:
            rows = [row for row in rows if row.id == self._row.id]
        self._row = _own(rows, said)
        return self._row if self._row is not None and self._row.result is not None else None

    def _soon(self) -> Deadline:
        return Deadline.after(self._pace.settle)

    def _silence(self) -> str:
        return (
            f"The script was ordered, but the agent reported no end of it within its {self._order.timeout} s and "
            f"{self._pace.grace:g} s more."
        )


def _own(rows: list[HistoryRow], said: str | None) -> HistoryRow | None:
    """Returns the one row that can be meant. People may run the same script meanwhile; the output then tells."""
    if len(rows) > 1 and said is not None:
        rows = [row for row in rows if row.result and row.result.stdout + row.result.stderr == said]
    return rows[0] if len(rows) == 1 else None


def long_gone(agent: Device) -> bool:
    """Says whether the server had not heard of the agent for minutes (4 unless set otherwise) when it told this."""
    return agent.status in {"offline", "overdue"}


async def silent(client: TacticalClient, agent_id: str) -> bool:
    """Says whether the agent is proved not to answer now; False also when that cannot be found out."""
    try:
        return not await client.online(agent_id)
    except ActionFailure:
        return False


def agent_offline(vendor_status: int = 0, vendor_message: str = "") -> ActionFailure:
    """The agent does not answer and got nothing."""
    return ActionFailure(
        "AGENT_OFFLINE",
        "The agent is offline; nothing was delivered to it.",
        retryable=True,
        category=FailureCategory.FAILURE_CATEGORY_UNAVAILABLE,
        vendor_status=vendor_status,
        vendor_message=vendor_message,
    )


def told(
    agent_id: str, report: Report, *, waited: bool, client: TacticalClient, quiet: bool = False
) -> RunScriptResponse:
    """Returns the output for a run that was ordered; with `quiet` without what the script printed.

    Raises:
        ActionFailure: SCRIPT_TIMED_OUT, when the agent stopped the script.
    """
    response = RunScriptResponse(run_requested=True, agent_id=agent_id)
    if report.said is not None:
        response.vendor_response.string_value = report.said[:_ANSWER]
    if report.row is not None:
        response.history_id = str(report.row.id)
    if waited and report.row is not None and report.row.result is not None:
        _tell_end(response, report.row.result, client, quiet=quiet)
    elif waited:
        response.output = report.said or ""
    return response


def _tell_end(response: RunScriptResponse, result: RunResult, client: TacticalClient, *, quiet: bool) -> None:
    printed = "" if quiet else result.stdout
    if result.exit_code == KILLED and _KILL_WORDS in (result.stdout + result.stderr).lower():
        raise _stopped(client.mask(printed), "" if quiet else client.mask(result.stderr))
    response.exit_code = result.exit_code
    response.execution_time.FromTimedelta(timedelta(seconds=result.seconds))
    if not quiet:
        response.output = result.stdout + result.stderr
        response.stdout, response.stderr = result.stdout, result.stderr


def _stopped(printed: str, said: str) -> ActionFailure:
    """Exit code 98 with its own words in standard error is how the agent reports that it stopped a script."""
    message = "The agent stopped the script at its time limit."
    if printed:
        message += f" Until then it had printed: {'…' if len(printed) > _CUT else ''}{printed[-_CUT:]}"
    return ActionFailure(
        "SCRIPT_TIMED_OUT",
        message,
        effect=Effect.EFFECT_APPLIED,
        retryable=False,
        category=FailureCategory.FAILURE_CATEGORY_TIMEOUT,
        vendor_message=said[-_CUT:],
    )


async def probe_script_run(request: RunScriptRequest, ctx: ProbeContext[TacticalClient]) -> RunScriptResponse | None:
    """Looks for the run in the agent's history: a row newer than the one noted before, of that script, from the moment
    of the order. Several such rows prove nothing, nor does a history that cannot be read."""
    mark, client = _marked(ctx.evidence), ctx.client
    if mark is None:
        return None
    try:
        history = await client.history(request.agent_id)
    except ActionFailure:
        return None
    rows = [row for row in mark.candidates(history, request.script_id, client.username) if _timely(row, mark)]
    if len(rows) != 1:
        return None
    waited = request.wait_for_output
    if rows[0].result is not None or not waited:
        # The values of variables are not known any more, so they could not be masked in what the script printed.
        quiet = bool(request.env_vars)
        return told(request.agent_id, Report(None, rows[0]), waited=waited, client=client, quiet=quiet)
    over = mark.asked_at + timedelta(seconds=int(ctx.evidence["timeout"]) + client.pace.grace)
    if history.told_at > over and mark.gone and await silent(client, request.agent_id):
        raise agent_offline()
    return None


def _marked(evidence: Mapping[str, str]) -> Mark | None:
    if "history_before" not in evidence:
        return None
    return Mark(
        before=int(evidence["history_before"]),
        asked_at=datetime.fromisoformat(evidence["asked_at"]),
        gone=evidence["gone"] == str(True),
    )


def _timely(row: HistoryRow, mark: Mark) -> bool:
    """Whether the row was made when the order was given, by the server's own clock on both sides."""
    return row.time is not None and abs(row.time.astimezone(UTC) - mark.asked_at) <= _WINDOW
