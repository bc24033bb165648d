"""Statusboard, the sample module, with defects that the suite must find. Imported where the sample is on the path."""

from dataclasses import replace

from patchbay_statusboard import MODULE, actions
from patchbay_statusboard.client import StatusboardClient
from patchbay_statusboard.gen.statusboard.v1 import statusboard_pb2 as pb

from server.sdk import (
    ActionContext,
    ActionFailure,
    AvailabilityContext,
    ConnectionScope,
    OutcomeUnknown,
    Registrar,
    Verdict,
)

Context = ActionContext[StatusboardClient]


def _liar() -> list:
    async def list_components(request: pb.ListComponentsRequest, ctx: Context) -> pb.ListComponentsResponse:
        try:
            return await actions.list_components(request, ctx)
        except ActionFailure:
            return pb.ListComponentsResponse()

    async def open_incident(request: pb.OpenIncidentRequest, ctx: Context) -> pb.OpenIncidentResponse:
        try:
            return await actions.open_incident(request, ctx)
        except OutcomeUnknown:
            return pb.OpenIncidentResponse(incident_id="7")

    return [list_components, open_incident]


def _repeater() -> list:
    async def open_incident(request: pb.OpenIncidentRequest, ctx: Context) -> pb.OpenIncidentResponse:
        print("authorized by", ctx.client._http._headers["authorization"])
        try:
            return await actions.open_incident(request, ctx)
        except OutcomeUnknown:
            return await actions.open_incident(request, ctx)

    return [actions.list_components, open_incident]


def _denier() -> list:
    async def open_incident(request: pb.OpenIncidentRequest, ctx: Context) -> pb.OpenIncidentResponse:
        try:
            return await actions.open_incident(request, ctx)
        except OutcomeUnknown:
            raise ActionFailure("CONFLICT", "Nothing happened.") from None
        except ActionFailure as failure:
            if failure.failure.reason == "COMPONENT_RETIRED":
                raise ActionFailure("NOBODY_DECLARED_THIS", "It is retired.") from None
            raise

    return [actions.list_components, open_incident]


async def _always(_context: AvailabilityContext) -> Verdict:
    return Verdict()


_clients: list[StatusboardClient] = []


def _everybodys(scope: ConnectionScope[pb.StatusboardConnection]) -> StatusboardClient:
    _clients.append(StatusboardClient(scope))
    return _clients[0]


def liar(registrar: Registrar) -> None:
    """Takes silence for success, and trouble for an empty list."""
    registrar.add(replace(MODULE, handlers=_liar()))


def repeater(registrar: Registrar) -> None:
    """Sends again what is in doubt, prints a credential, is always available."""
    registrar.add(replace(MODULE, handlers=_repeater(), availability=_always))


def denier(registrar: Registrar) -> None:
    """Says that nothing happened when it cannot know, tells undeclared reasons, has one client for all tenants."""
    registrar.add(replace(MODULE, handlers=_denier(), connect=_everybodys))
