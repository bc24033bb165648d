"""The endpoints that are simulated, each in the order in which it refuses."""

import json
from collections.abc import Callable
from typing import Any, get_args

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.huntress.models import IncidentReport, Key, Status
from sandbox.huntress.wire import Refused, number, one_of, page, shown
from sandbox.huntress.world import World

Handler = Callable[[World, Key, Request], Response]

_TIMES = ("id", "created_at", "updated_at")
_PLATFORMS = ("windows", "darwin", "microsoft_365", "google", "linux", "email_security", "other")
_INDICATORS = (
    "footholds",
    "monitored_files",
    "ransomware_canaries",
    "antivirus_detections",
    "process_detections",
    "managed_identity",
    "mde_detections",
    "siem_detections",
    "favicon_detections",
    "behavioral_detections",
    "email_security_detections",
    "app_control",
    "ai_misuse",
)


def account(world: World, key: Key, _request: Request) -> Response:
    """The account of the key."""
    told = shown(world.tables["accounts"][key.account_id])
    return JSONResponse({"account": told} if world.settings.wrap_account else told)


def actor(world: World, key: Key, _request: Request) -> Response:
    """Whom the key belongs to; `user` is there only for keys of users."""
    owner = shown(world.tables["accounts"][key.account_id])
    told = {"account": {name: owner[name] for name in ("id", "name", "subdomain", "status")}}
    told |= {"user": key.user} if key.user else {}
    return JSONResponse({"actor": told} if world.settings.wrap_actor else told)


def organizations(world: World, key: Key, request: Request) -> Response:
    """The account's organizations; `name` and `key` are exact."""
    rows = _filtered(world, key, request, "organizations", ("name", "key"))
    return page(world, request, "organizations", rows, (*_TIMES, "name", "key"))


def organization(world: World, key: Key, request: Request) -> Response:
    """One organization."""
    return JSONResponse({"organization": {**shown(_one(world, key, request, "organizations")), "actual_usages": {}}})


def agents(world: World, key: Key, request: Request) -> Response:
    """The account's agents."""
    one_of(request, "platform", ("windows", "darwin", "linux"))
    number(request, "organization_id")
    names = ("organization_id", "platform", "hostname", "os", "version")
    return page(world, request, "agents", _filtered(world, key, request, "agents", names), _TIMES)


def agent(world: World, key: Key, request: Request) -> Response:
    """One agent."""
    return JSONResponse({"agent": shown(_one(world, key, request, "agents"))})


def incident_reports(world: World, key: Key, request: Request) -> Response:
    """The account's incident reports."""
    one_of(request, "status", get_args(Status))
    one_of(request, "severity", ("low", "high", "critical"))
    one_of(request, "platform", _PLATFORMS)
    wanted = one_of(request, "indicator_type", _INDICATORS)
    for name in ("organization_id", "agent_id"):
        number(request, name)
    names = ("status", "severity", "platform", "organization_id", "agent_id")
    rows = _filtered(world, key, request, "incident_reports", names)
    rows = [row for row in rows if wanted is None or wanted in row.indicator_types]
    return page(world, request, "incident_reports", rows, _TIMES)


def incident_report(world: World, key: Key, request: Request) -> Response:
    """One incident report."""
    return JSONResponse({"incident_report": shown(_one(world, key, request, "incident_reports"))})


def resolve(world: World, key: Key, request: Request) -> Response:
    """Close a report; its remediations must be approved and its status `sent`."""
    report = _one(world, key, request, "incident_reports")
    if report.status != "sent":
        raise Refused(world.settings.wrong_status, "Incident report is not in a state that allows this")
    if any(one.status == "unapproved" for one in report.remediations):
        raise Refused(409, "All remediations must be approved first")
    _become(world, report, "closed")
    report.closed_at = world.stamp()
    world.effects.record("resolve", str(report.id), {"key": key.name})
    return JSONResponse({"incident_report": shown(report)}, 201)


def approve(world: World, key: Key, request: Request) -> Response:
    """Approve all open remediations; the assisted ones start at once."""
    report = _sent(world, key, request)
    for one in report.remediations:
        if one.status == "unapproved":
            one.status, one.approved_at, one.approved_by = "approved", world.stamp(), key.user
    world.effects.record("approve", str(report.id), {"key": key.name})
    return JSONResponse({"incident_report": shown(report)}, 201)


def remediations(world: World, key: Key, request: Request) -> Response:
    """The remediations of a report."""
    report = _one(world, key, request, "incident_reports")
    kinds, statuses = (_listed(request, name) for name in ("types[]", "statuses[]"))
    rows = [
        one
        for one in report.remediations
        if (not kinds or one.type in kinds) and (not statuses or one.status in statuses)
    ]
    return page(world, request, "remediations", rows, _TIMES)


def reject(world: World, key: Key, request: Request) -> Response:
    """Send a report back to the analysts."""
    report = _sent(world, key, request)
    _need(request, comment=str, useful=bool)
    _become(world, report, world.settings.rejected)
    world.effects.record("reject", str(report.id), {"key": key.name})
    return Response(status_code=201)


def _filtered(world: World, key: Key, request: Request, table: str, names: tuple[str, ...]) -> list[Any]:
    wanted = {name: request.query_params[name] for name in names if name in request.query_params}
    return [
        row
        for row in world.tables[table].values()
        if row.account_id == key.account_id and all(str(getattr(row, name)) == value for name, value in wanted.items())
    ]


def _one(world: World, key: Key, request: Request, table: str) -> Any:
    """A row of the key's account; the 404 is the same for what is missing and for what is another's."""
    row = world.tables[table].get(request.path_params["id"])
    if row is None or row.account_id != key.account_id:
        raise Refused(404, "Not found")
    return row


def _sent(world: World, key: Key, request: Request) -> IncidentReport:
    report: IncidentReport = _one(world, key, request, "incident_reports")
    if report.status != "sent":
        raise Refused(409, "Incident report is not in a state that allows this")
    return report


def _become(world: World, report: IncidentReport, status: Status) -> None:
    report.status = status
    report.status_updated_at = report.updated_at = world.stamp()


def _listed(request: Request, name: str) -> set[str]:
    return {one for value in request.query_params.getlist(name) for one in value.split(",") if one}


def _need(request: Request, **types: type) -> None:
    """Raise the 400 of a JSON body that lacks a field."""
    try:
        body = json.loads(request.state.body)
    except ValueError:
        body = None
    for name, kind in types.items():
        if not isinstance(body, dict) or not isinstance(body.get(name), kind):
            raise Refused(400, f"{name} is missing")


ENDPOINTS: list[tuple[str, str, Handler]] = [
    ("GET", "/v1/account", account),
    ("GET", "/v1/actor", actor),
    ("GET", "/v1/organizations", organizations),
    ("GET", "/v1/organizations/{id:int}", organization),
    ("GET", "/v1/agents", agents),
    ("GET", "/v1/agents/{id:int}", agent),
    ("GET", "/v1/incident_reports", incident_reports),
    ("GET", "/v1/incident_reports/{id:int}", incident_report),
    ("POST", "/v1/incident_reports/{id:int}/resolution", resolve),
    ("GET", "/v1/incident_reports/{id:int}/remediations", remediations),
    ("POST", "/v1/incident_reports/{id:int}/remediations/bulk_approval", approve),
    ("POST", "/v1/incident_reports/{id:int}/remediations/bulk_rejection", reject),
]
