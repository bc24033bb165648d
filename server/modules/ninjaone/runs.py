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

from server.gen.patchbay.modules.ninjaone.v1.ninjaone_pb2 import RunScriptRequest, RunScriptResponse
from server.modules.ninjaone.client import NinjaClient
from server.sdk import ActionFailure, Deadline, Effect, FailureCategory, ProbeContext
from server.sdk.polling import awaited
from server.sdk.reading import an_object, filled, moment, objects, told_at, whole

Row = Mapping[str, Any]
Mark = Mapping[str, str]
"""Where a device's activities stood before an order, by NinjaOne's clock, and what the order was: the evidence."""

_RAN: Final = frozenset({"SUCCESS", "FAILURE", "COMPLETED"})
_NOT_RUN: Final = frozenset({"UNSUPPORTED", "AGENT_OFFLINE"})
_ENDS: Final = frozenset({"COMPLETED", "CANCELLED", "BLOCKED"})
_TOLD: Final = {"result": "activityResult", "status": "statusCode", "result_data": "data"}
_WINDOW: Final = timedelta(seconds=60)  # between the order and the first line that tells of it, by NinjaOne's clock
_SMALLEST_PAGE: Final = 10


async def marked(client: NinjaClient, device_id: str, script: str, run_as: str) -> Mark:
    """Looks at the device's activities before an order."""
    response = await client.activities(device_id, pageSize=_SMALLEST_PAGE)
    newest = max(
        [whole(an_object(response).get("lastNodeActivityId")) or 0, *map(_id, objects(response, "activities"))]
    )
    asked_at = told_at(response).isoformat()
    return {"activity_before": str(newest), "asked_at": asked_at, "script": script, "run_as": run_as}


async def followed(client: NinjaClient, device_id: str, mark: Mark, answer: Any, limit: Deadline) -> Row | None:
    """Returns the line that tells the end of a run that NinjaOne took; None when none came within the limit."""
    hints = list(answer.values()) if isinstance(answer, dict) else [answer]

    async def look() -> Row | None:
        try:
            found = await _series(client, device_id, mark)
        except ActionFailure:
            return None  # a failure to read says nothing about the run
        return _end(next((rows for rows in found if rows[0].get("seriesUid") in hints), found[0] if found else []))

    return await awaited(look, limit, client.pauses())


async def probe_script_run(request: RunScriptRequest, ctx: ProbeContext[NinjaClient]) -> RunScriptResponse | None:
    """Looks for the run in the device's activities: a series that names the script and began when it was ordered.
    Several such series prove nothing, nor do activities that cannot be read."""
    mark = ctx.evidence
    if "activity_before" not in mark:
        return None
    try:
        found = [rows for rows in await _series(ctx.client, request.device_id, mark) if _timely(rows[0], mark)]
    except ActionFailure:
        return None
    if len(found) != 1:
        return None
    line = _end(found[0]) if request.wait_for_result else found[0][0]
    return None if line is None else told(request, mark, None, line)


def told(request: RunScriptRequest, mark: Mark, answer: Any, line: Row | None) -> RunScriptResponse:
    """Returns what came of a run, by the line that tells of it, if any.

    Raises:
        ActionFailure: SCRIPT_NOT_RUN or SCRIPT_NOT_COMPLETED, as the table above says.
    """
    known = {} if line is None else {"series_uid": line.get("seriesUid")}
    if line is not None and request.wait_for_result:
        _refuse(line)
        known |= {name: line.get(key) for name, key in _TOLD.items()}
    return filled(
        RunScriptResponse,
        known,
        run_requested=True,
        external_device_id=request.device_id,
        run_as=mark["run_as"],
        vendor_response=answer,
    )


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
            retryable=False,
            category=FailureCategory.FAILURE_CATEGORY_VENDOR,
        )


async def _series(client: NinjaClient, device_id: str, mark: Mark) -> list[list[Row]]:
    """Returns the newer series that name the script, each with its lines, the oldest first."""
    before = int(mark["activity_before"])
    found: dict[str, list[Row]] = {}
    for row in sorted(objects(await client.activities(device_id, newerThan=before), "activities"), key=_id):
        if _id(row) > before and row.get("sourceName") == mark["script"]:
            found.setdefault(str(row.get("seriesUid")), []).append(row)
    return list(found.values())


def _id(row: Row) -> int:
    return whole(row.get("id")) or 0


def _end(rows: Sequence[Row]) -> Row | None:
    return next((row for row in rows if row.get("activityResult") or row.get("statusCode") in _ENDS), None)


def _timely(row: Row, mark: Mark) -> bool:
    began = moment(row.get("activityTime"))
    return began is not None and abs(began - datetime.fromisoformat(mark["asked_at"])) <= _WINDOW
