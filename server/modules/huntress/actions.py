"""What a tenant can do with Huntress."""

from server.gen.patchbay.modules.huntress.v1 import huntress_pb2 as pb
from server.modules.huntress.client import HuntressClient
from server.sdk import ActionContext, ActionFailure, FailureCategory, ProbeContext
from server.sdk.listing import filters_in, listed, named
from server.sdk.paging import Row
from server.sdk.reading import filled, inner, text

Context = ActionContext[HuntressClient]

_NOT_READY = frozenset({409, 422})


async def find_incidents(request: pb.FindIncidentsRequest, ctx: Context) -> pb.FindIncidentsResponse:
    """Finds incident reports."""
    newest = {"sort_field": "updated_at", "sort_direction": "desc"}
    found = await ctx.client.many("/incident_reports", {**filters_in(request), **newest}, request.limit)
    return listed(pb.FindIncidentsResponse, found, incident_id="id")


async def get_incident(request: pb.GetIncidentRequest, ctx: Context) -> pb.GetIncidentResponse:
    """Reads one incident report."""
    report = await ctx.client.one("incident_report", request.incident_id, about="incident_id")
    incident = filled(pb.Incident, report, incident_id=request.incident_id)
    return filled(pb.GetIncidentResponse, report, incident=incident)


async def resolve_incident(request: pb.ResolveIncidentRequest, ctx: Context) -> pb.ResolveIncidentResponse:
    """Closes an incident report; when it is refused, the report tells whether it is closed already or not ready."""
    try:
        report = await ctx.client.resolve(request.incident_id)
        return _resolved(request, report, already=False)
    except ActionFailure as refusal:
        if refusal.failure.vendor_status not in _NOT_READY:
            raise
        report = await ctx.client.one("incident_report", request.incident_id, about="incident_id")
        if report.get("status") != "closed":
            raise await _not_ready(request, report, refusal, ctx.client) from None
        return _resolved(request, report, already=True)


async def probe_resolve_incident(
    request: pb.ResolveIncidentRequest, ctx: ProbeContext[HuntressClient]
) -> pb.ResolveIncidentResponse | None:
    """A closed report is what was asked for, whoever closed it. One that is open proves nothing: the request may still
    be on its way."""
    report = await ctx.client.one("incident_report", request.incident_id, about="incident_id")
    return _resolved(request, report, already=None) if report.get("status") == "closed" else None


async def list_organizations(request: pb.ListOrganizationsRequest, ctx: Context) -> pb.ListOrganizationsResponse:
    """Lists organizations; the text is looked for before the limit cuts."""
    by_name = {"sort_field": "name", "sort_direction": "asc"}
    found = await ctx.client.many("/organizations", by_name, request.limit, named(request.query))
    return listed(pb.ListOrganizationsResponse, found, organization_id="id")


async def get_agent(request: pb.GetAgentRequest, ctx: Context) -> pb.GetAgentResponse:
    """Reads one agent."""
    agent = await ctx.client.one("agent", request.agent_id, about="agent_id")
    return pb.GetAgentResponse(agent=filled(pb.Agent, agent, agent_id=request.agent_id))


async def get_account(_request: pb.GetAccountRequest, ctx: Context) -> pb.GetAccountResponse:
    """Reads the account, and whose key it is."""
    account, actor = await ctx.client.one("account"), await ctx.client.one("actor")
    email = inner(actor, "user").get("email")
    return filled(pb.GetAccountResponse, account, account_id=account.get("id"), key_user_email=email)


def _resolved(request: pb.ResolveIncidentRequest, report: Row, *, already: bool | None) -> pb.ResolveIncidentResponse:
    return pb.ResolveIncidentResponse(
        resolved=True,
        incident_id=request.incident_id,
        status=text(report.get("status")) or "closed",
        already_resolved=already,
    )


async def _not_ready(
    request: pb.ResolveIncidentRequest, report: Row, refusal: ActionFailure, client: HuntressClient
) -> ActionFailure:
    path = f"/incident_reports/{request.incident_id}/remediations"
    waiting = len(await client.many(path, {"statuses[]": "unapproved"}, 500))
    return ActionFailure(
        "INCIDENT_NOT_READY",
        "Only an open report (`sent`) whose remediations are all approved can be resolved; this one stands at "
        f"`{text(report.get('status'))}`, {waiting} of its remediations are not approved.",
        category=FailureCategory.FAILURE_CATEGORY_CONFLICT,
        told=refusal,
        field="incident_id",
    )
