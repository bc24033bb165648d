"""One run of a script: ordered once, found again in the device's activities, understood.

An order gets no reliable id and no output. But the device's activities tell of it: all lines of one run share a series,
name the script, and end with a verdict. So: note the newest line, order the run, and look for a newer series that names
the script. A uid in the answer is a hint that counts only when a series has it (third parties' word, not the vendor's).

    last line of the series        outcome
    SUCCESS, FAILURE               the script ran; the verdict is told
    COMPLETED without a verdict    the script ran
    UNSUPPORTED, AGENT_OFFLINE     SCRIPT_NOT_RUN
    any other end                  SCRIPT_NOT_COMPLETED
    no end, no series              unknown; the probe looks again later
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from server.gen.patchbay.modules.ninjaone.v1.ninjaone_pb2 import RunAs, RunScriptRequest, RunScriptResponse
from server.modules.ninjaone.client import NinjaClient
from server.sdk import ActionContext, ActionFailure, Deadline, Effect, FailureCategory, OutcomeUnknown, ProbeContext
from server.sdk.following import Mark, proved, unless_failed
from server.sdk.paging import Row
from server.sdk.polling import awaited
from server.sdk.reading import an_object, filled, inner, inner_rows, moment, objects, text, told_at, whole

Series = Sequence[Row]

_RAN: Final = frozenset({"SUCCESS", "FAILURE", "COMPLETED"})
_NOT_RUN: Final = frozenset({"UNSUPPORTED", "AGENT_OFFLINE"})
_ENDS: Final = frozenset({"COMPLETED", "CANCELLED", "BLOCKED"})
_TOLD: Final = {"result": "activityResult", "status": "statusCode", "result_data": "data"}
_WINDOW: Final = timedelta(seconds=60)  # between the order and the first line that tells of it, by NinjaOne's clock
_SMALLEST_PAGE: Final = 10


async def run_script(request: RunScriptRequest, ctx: ActionContext[NinjaClient]) -> RunScriptResponse:
    """Orders a run, once, and follows it through the device's activities when asked to."""
    client, device_id = ctx.client, request.device_id
    if not client.acts_for_user:
        raise ActionFailure(
            "USER_SIGN_IN_REQUIRED",
            "The connection has client credentials; NinjaOne runs scripts only for a user who has signed in.",
            category=FailureCategory.FAILURE_CATEGORY_CONNECTION,
        )
    options = await client.scripting_options(device_id)
    order, run_as = _runnable(request, options), _role(request.run_as, run_as_choices(options))
    name = order.pop("name")
    if request.parameters:
        order["parameters"] = request.parameters
    async with ctx.lock("run_script", device_id, name):
        mark = await _marked(client, device_id)
        ctx.remember(mark.evidence(script=name, run_as=run_as))
        answer = await client.run_script(device_id, {**order, "runAs": run_as})
        if not request.wait_for_result:
            return _told(request, run_as, answer, None)
        end = await _followed(client, device_id, name, mark, answer, ctx.deadline.part(request.timeout))
    if end is None:
        raise OutcomeUnknown(f"NinjaOne took the order and told no end of it within {request.timeout} s.")
    return _told(request, run_as, answer, end)


async def _marked(client: NinjaClient, device_id: str) -> Mark:
    """Looks at the device's activities before an order."""
    response = await client.activities(device_id, pageSize=_SMALLEST_PAGE)
    newest = whole(an_object(response).get("lastNodeActivityId")) or 0
    return Mark(max([newest, *map(_id, objects(response, "activities"))]), told_at(response))


async def _followed(
    client: NinjaClient, device_id: str, script: str, mark: Mark, answer: Any, limit: Deadline
) -> Row | None:
    """Returns the line that tells the end of a run that NinjaOne took; None when none came within the limit."""
    hints = list(answer.values()) if isinstance(answer, dict) else [answer]

    async def look() -> Row | None:
        found = await unless_failed(_series(client, device_id, script, mark)) or []
        hinted = [lines for lines in found if lines[0].get("seriesUid") in hints]
        return _end(next(iter(hinted or found), ()))

    return await awaited(look, limit, client.pauses())


async def probe_run_script(request: RunScriptRequest, ctx: ProbeContext[NinjaClient]) -> RunScriptResponse | None:
    """Looks for the run in the device's activities: a series that names the script and began when it was ordered."""
    mark = Mark.of(ctx.evidence)
    if mark is None:
        return None
    found = await unless_failed(_series(ctx.client, request.device_id, ctx.evidence["script"], mark))
    lines = proved(found, mark, _began, _WINDOW) or ()
    line = _end(lines) if request.wait_for_result else next(iter(lines), None)
    return None if line is None else _told(request, ctx.evidence["run_as"], None, line)


def _told(request: RunScriptRequest, run_as: str, answer: Any, line: Row | None) -> RunScriptResponse:
    """Returns what came of a run, by the line that tells of it, if any.

    Raises:
        ActionFailure: SCRIPT_NOT_RUN or SCRIPT_NOT_COMPLETED, as the table above says.
    """
    known = {"run_requested": True, "external_device_id": request.device_id, "run_as": run_as}
    if line is not None:
        known["series_uid"] = line.get("seriesUid")
    if line is not None and request.wait_for_result:
        _refuse(line)
        known |= {name: line.get(key) for name, key in _TOLD.items()}
    return filled(RunScriptResponse, known, vendor_response=answer)


def _refuse(line: Row) -> None:
    verdict = str(line.get("activityResult") or line.get("statusCode"))
    if verdict in _NOT_RUN:
        raise ActionFailure(
            "SCRIPT_NOT_RUN",
            f"NinjaOne told that the script did not run: {verdict}.",
            retryable=verdict == "AGENT_OFFLINE",
            category=FailureCategory.FAILURE_CATEGORY_UNAVAILABLE,
        )
    if verdict not in _RAN:
        raise ActionFailure(
            "SCRIPT_NOT_COMPLETED",
            f"NinjaOne told that the run ended before the script did: {verdict}.",
            effect=Effect.EFFECT_APPLIED,
            category=FailureCategory.FAILURE_CATEGORY_VENDOR,
        )


async def _series(client: NinjaClient, device_id: str, script: str, mark: Mark) -> list[Series]:
    """Returns the newer series that name the script, each with its lines, the oldest first."""
    found: dict[str, list[Row]] = {}
    for row in sorted(objects(await client.activities(device_id, newerThan=mark.newest), "activities"), key=_id):
        if _id(row) > mark.newest and row.get("sourceName") == script:
            found.setdefault(str(row.get("seriesUid")), []).append(row)
    return list(found.values())


def _id(row: Row) -> int:
    return whole(row.get("id")) or 0


def _began(lines: Series) -> datetime | None:
    return moment(lines[0].get("activityTime"))


def _end(lines: Series) -> Row | None:
    return next((row for row in lines if row.get("activityResult") or row.get("statusCode") in _ENDS), None)


def run_as_choices(options: Row) -> list[RunAs]:
    """Returns as whom scripts may run: roles, and stored credentials."""
    known = inner(options, "credentials")
    roles = [role for role in known.get("roles") or () if isinstance(role, str)]
    stored = [filled(RunAs, row, value=row.get("id")) for row in inner_rows(known, "credentials")]
    return [*(RunAs(value=role, name=role, type="ROLE") for role in roles), *stored]


def _runnable(request: RunScriptRequest, options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what the order says about the script: its type is what the item itself says."""
    field = request.WhichOneof("runnable") or ""
    key = "id" if field == "script_id" else "uid"
    wanted = getattr(request, field)
    for row in inner_rows(options, "scripts"):
        if text(row.get(key)) == wanted.lower():
            if request.type not in {"", row.get("type")}:
                raise ActionFailure("SCRIPT_NOT_AVAILABLE", f"The item is no {request.type}.", field="type")
            return {"type": row.get("type"), key: row[key], "name": text(row.get("name")) or ""}
    raise ActionFailure("SCRIPT_NOT_AVAILABLE", "The device has no such script or action to run.", field=field)


def _role(wanted: str, choices: Sequence[RunAs]) -> str:
    values = [one.value for one in choices] or ["system"]
    if wanted and wanted not in values:
        known = ", ".join(values)
        raise ActionFailure("RUN_AS_NOT_AVAILABLE", f"The device knows {known} to run as.", field="run_as")
    return wanted or ("system" if "system" in values else values[0])
