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

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Literal

from server.gen.patchbay.modules.tacticalrmm.v1.tacticalrmm_pb2 import RunScriptRequest, RunScriptResponse, Script
from server.modules.tacticalrmm.client import History, HistoryRow, RunResult, TacticalClient
from server.modules.tacticalrmm.connection import NATS_DOWN, TIMEOUT, agent_offline, bus_down, long_gone
from server.sdk import (
    ActionContext,
    ActionFailure,
    Deadline,
    Device,
    Effect,
    FailureCategory,
    OutcomeUnknown,
    ProbeContext,
)
from server.sdk.following import Mark, proved, unless_failed
from server.sdk.polling import awaited

KILLED = 98

_KILL_WORDS = "timed out after"
_CUT = 400  # characters of a script's output in a failure
_ANSWER = 4000  # characters of the server's answer that are kept beside the output
_WINDOW = timedelta(seconds=30)

_Mode = Literal["wait", "watch", "forget"]
"""wait: the server answers with the output; watch: order, then poll the history; forget: order only."""


async def run_script(request: RunScriptRequest, ctx: ActionContext[TacticalClient]) -> RunScriptResponse:
    """Runs a stored script and finds its end in the agent's history."""
    client = ctx.client
    _refuse_templates(request, client)
    agent, script = await client.agent(request.agent_id), await client.script(request.script_id)
    _refuse_platform(script, agent)
    mode = _mode(request, client)
    async with ctx.lock("run_script", request.agent_id, request.script_id):
        if mode != "wait" and not await client.online(request.agent_id):
            raise agent_offline()  # the order would be taken without a word about it
        history = await client.history(request.agent_id)
        mark, gone = Mark(history.newest, history.told_at), mode == "wait" and long_gone(agent)
        ctx.remember(mark.evidence(gone=str(gone), script_id=request.script_id, timeout=str(request.timeout)))
        report = await _ScriptRun(client, request, mark, ctx.deadline, gone=gone).carry_out(mode)
    if mode != "forget" and (report.row is None or report.row.result is None):
        ctx.warn("EXIT_CODE_UNKNOWN", "The run was not found in the agent's history.", "")
    return _told(request.agent_id, report, waited=mode != "forget", client=client)


async def probe_run_script(request: RunScriptRequest, ctx: ProbeContext[TacticalClient]) -> RunScriptResponse | None:
    """Looks for the run in the agent's history: a row newer than the one noted before, of that script, from the moment
    of the order, by the server's own clock on both sides."""
    mark, client = Mark.of(ctx.evidence), ctx.client
    if mark is None:
        return None
    history = await unless_failed(client.history(request.agent_id))
    if history is None:
        return None
    row = proved(_candidates(history, request, mark, client), mark, lambda row: row.time, _WINDOW)
    if row is None:
        return None
    waited = request.wait_for_output
    if row.result is not None or not waited:
        # The values of variables are not known any more, so they could not be masked in what the script printed.
        quiet = bool(request.env_vars)
        return _told(request.agent_id, _Report(None, row), waited=waited, client=client, quiet=quiet)
    over = mark.asked_at + timedelta(seconds=int(ctx.evidence["timeout"]) + client.pace.grace)
    gone = history.told_at > over and ctx.evidence["gone"] == str(True)
    if gone and await client.silent(request.agent_id):
        raise agent_offline()
    return None


@dataclass(frozen=True, slots=True)
class _Report:
    """What came of a run: the server's words, the history row. Either may be missing, not both."""

    said: str | None
    row: HistoryRow | None = None


class _ScriptRun:
    """Carries out one order and finds out what came of it.

    Args:
        client: The server.
        order: What to run.
        mark: Made before, under the lock.
        deadline: The execution's.
        gone: Whether the agent was long gone then.
    """

    def __init__(
        self, client: TacticalClient, order: RunScriptRequest, mark: Mark, deadline: Deadline, *, gone: bool
    ) -> None:
        self._client = client
        self._order = order
        self._mark = mark
        self._gone = gone
        self._deadline = deadline
        self._pace = client.pace
        self._end = Deadline.after(order.timeout + self._pace.grace)
        self._seen: int | None = None
        self._row: HistoryRow | None = None

    async def carry_out(self, mode: _Mode) -> _Report:
        """Orders the run, once, and returns what came of it; raises ActionFailure as the table above says."""
        try:
            said = await self._client.run_script(self._order, wait=mode == "wait")
        except ActionFailure as lost:
            if lost.failure.effect != Effect.EFFECT_UNKNOWN:
                raise
            return await self._recover(lost, mode)
        if mode == "forget":
            return _Report(said)
        if mode == "watch":
            return _Report(said, await self._awaited(OutcomeUnknown(self._silence(), vendor_message=said)))
        return await self._understood(said)

    async def _understood(self, said: str) -> _Report:
        if said == TIMEOUT:
            unknown = OutcomeUnknown(self._silence(), vendor_status=200, vendor_message=said)
            return _Report(said, await self._awaited(unknown))
        row = await self._filled(self._soon(), said)
        if row is None and said == NATS_DOWN:
            raise bus_down()
        return _Report(said, row or self._row)

    async def _recover(self, lost: ActionFailure, mode: _Mode) -> _Report:
        """The order may have arrived, its answer did not."""
        if mode == "forget":
            await self._filled(self._soon())
            if self._row is not None:
                return _Report(None, self._row)
        if lost.failure.vendor_status == 500:
            await self._filled(self._soon())
            if self._seen == 0:
                raise ActionFailure("VENDOR_ERROR", "Tactical RMM failed before it called the agent.", told=lost)
        return _Report(None, await self._awaited(lost))

    async def _awaited(self, otherwise: ActionFailure) -> HistoryRow:
        """Returns the row once it is filled. Else raises AGENT_OFFLINE when that is certain, or `otherwise`."""
        if self._gone:
            row = await self._filled(self._soon())
            if row is not None:
                return row
            if self._row is not None and await self._client.silent(self._order.agent_id):
                raise agent_offline(otherwise)
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
        history = await unless_failed(self._client.history(self._order.agent_id))
        if history is None:
            return None
        rows = _candidates(history, self._order, self._mark, self._client)
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


def _told(
    agent_id: str, report: _Report, *, waited: bool, client: TacticalClient, quiet: bool = False
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


def _candidates(history: History, order: RunScriptRequest, mark: Mark, client: TacticalClient) -> list[HistoryRow]:
    """Returns the rows that can be this run's."""
    own = [row for row in history.rows if row.id > mark.newest and row.script_id == order.script_id]
    return [row for row in own if client.username in {"", row.username}]


def _refuse_templates(request: RunScriptRequest, client: TacticalClient) -> None:
    for name, texts in (("args", request.args), ("env_vars", request.env_vars)):
        for index, text in enumerate(texts):
            if "{{" in text and not client.allow_templates:
                raise ActionFailure(
                    "TEMPLATE_REFUSED",
                    "The text holds `{{`: Tactical RMM would expand it and may put stored secrets on the agent.",
                    field=f"{name}[{index}]",
                )


def _refuse_platform(script: Script, agent: Device) -> None:
    if script.supported_platforms and agent.platform and agent.platform not in script.supported_platforms:
        raise ActionFailure(
            "PLATFORM_NOT_SUPPORTED",
            f"The script is for {', '.join(script.supported_platforms)}; the agent runs {agent.platform}.",
            field="script_id",
        )


def _mode(request: RunScriptRequest, client: TacticalClient) -> _Mode:
    if not request.wait_for_output:
        return "forget"
    return "wait" if request.timeout + 3 <= client.max_wait else "watch"
