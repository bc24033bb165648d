"""What a tenant can do with Statusboard."""

from server.sdk import ActionContext, ProbeContext
from server.sdk.listing import listed
from server.sdk.paging import Row
from server.sdk.reading import filled

from patchbay_statusboard.client import StatusboardClient
from patchbay_statusboard.gen.statusboard.v1 import statusboard_pb2 as pb

Context = ActionContext[StatusboardClient]


async def list_components(request: pb.ListComponentsRequest, ctx: Context) -> pb.ListComponentsResponse:
    """Lists components."""
    found = await ctx.client.components(query=request.query, status=request.status, limit=request.limit)
    return listed(pb.ListComponentsResponse, found)


async def open_incident(request: pb.OpenIncidentRequest, ctx: Context) -> pb.OpenIncidentResponse:
    """Opens an incident; the execution's id goes along as a reference, for the probe."""
    incident = await ctx.client.open_incident(
        request.component_id, request.title, request.message, reference=ctx.execution_id
    )
    return _opened(incident)


async def probe_open_incident(
    _request: pb.OpenIncidentRequest, ctx: ProbeContext[StatusboardClient]
) -> pb.OpenIncidentResponse | None:
    """Looks for the reference. None when it is not there: the order may still be on its way."""
    incident = await ctx.client.incident_of(ctx.execution_id)
    return _opened(incident) if incident else None


def _opened(incident: Row) -> pb.OpenIncidentResponse:
    return filled(pb.OpenIncidentResponse, incident, incident_id=incident.get("id"))
