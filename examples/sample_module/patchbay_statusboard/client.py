"""Statusboard's endpoints, as a small library that knows nothing of actions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from server.sdk import ActionFailure, ConnectionScope, OutcomeUnknown
from server.sdk.http import HttpResponse

from patchbay_statusboard.gen.statusboard.v1 import statusboard_pb2 as pb


@dataclass(frozen=True, slots=True)
class Component:
    """A component. `status` is `operational`, `degraded` or `outage`."""

    id: str
    name: str
    status: str


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident. `opened_at` is by the server's clock."""

    id: str
    opened_at: datetime


class StatusboardClient:
    """One server, one token."""

    def __init__(self, scope: ConnectionScope[pb.StatusboardConnection]) -> None:
        headers = {"authorization": f"Bearer {scope.settings.token}"}
        self._http = scope.http.bind(base_url=scope.settings.instance_url, headers=headers, read_error=_read_error)

    async def check(self) -> None:
        """Proves the token. Raises ActionFailure CREDENTIALS_REFUSED."""
        await self._http.request("GET", "/api/me")

    async def components(self, *, query: str, status: str, limit: int) -> Sequence[Component]:
        """Returns components by name."""
        params = {"search": query or None, "status": status or None, "limit": limit}
        answer = await self._http.request("GET", "/api/components", params=params)
        try:
            return [Component(str(one["id"]), one["name"], one["status"]) for one in answer.json()["components"]]
        except (KeyError, TypeError):
            raise ActionFailure("VENDOR_ANSWER_INVALID", "Statusboard answered no list of components.") from None

    async def open_incident(self, component_id: str, title: str, message: str, *, reference: str) -> Incident:
        """Opens an incident. `reference` is kept beside it and can be asked for."""
        order = {"component": component_id, "title": title, "message": message, "reference": reference}
        answer = await self._http.request("POST", "/api/incidents", json=order)
        try:
            return _incident(answer.json())
        except (KeyError, TypeError, ValueError):
            raise OutcomeUnknown("Statusboard answered something else than an incident.") from None

    async def incident_of(self, reference: str) -> Incident | None:
        """Returns the incident with a reference."""
        answer = await self._http.request("GET", "/api/incidents", params={"reference": reference})
        found = answer.json()["incidents"]
        return _incident(found[0]) if found else None


def _incident(value: Any) -> Incident:
    return Incident(str(value["id"]), datetime.fromisoformat(value["opened_at"]))


def _read_error(response: HttpResponse) -> ActionFailure | None:
    """Reads what only Statusboard means; None leaves the rest to the framework."""
    if response.status == 409 and response.request_wrote:
        return ActionFailure("COMPONENT_RETIRED", "The component is retired.", vendor_status=409, field="component_id")
    return None
