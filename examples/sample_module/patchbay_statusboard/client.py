"""Statusboard's endpoints, as a small library that knows nothing of actions."""

from collections.abc import Sequence
from typing import Final

from server.sdk import ConnectionScope
from server.sdk.addresses import address_or
from server.sdk.meanings import Meaning, meanings
from server.sdk.paging import Row
from server.sdk.reading import an_object, objects, text

from patchbay_statusboard.gen.statusboard.v1 import statusboard_pb2 as pb

_read_error: Final = meanings(
    Meaning("COMPONENT_RETIRED", "The component is retired.", status=409, wrote=True, field="component_id")
)


class StatusboardClient:
    """One server, one token."""

    instance_url = staticmethod(address_or())

    def __init__(self, scope: ConnectionScope[pb.StatusboardConnection]) -> None:
        base, headers = self.instance_url(scope.settings), {"authorization": f"Bearer {scope.settings.token}"}
        self._http = scope.http.bind(base_url=base, headers=headers, read_error=_read_error)

    async def check(self) -> None:
        """Proves the token. Raises ActionFailure CREDENTIALS_REFUSED."""
        await self._http.request("GET", "/api/me")

    async def components(self, *, query: str, status: str, limit: int) -> Sequence[Row]:
        """Returns components by name: `id`, `name`, `status`."""
        params = {"search": query or None, "status": status or None, "limit": limit}
        return objects(await self._http.request("GET", "/api/components", params=params), "components")

    async def open_incident(self, component_id: str, title: str, message: str, *, reference: str) -> Row:
        """Opens an incident and returns it: `id`, `opened_at`. `reference` is kept beside it and can be asked for."""
        order = {"component": component_id, "title": title, "message": message, "reference": reference}
        answer = await self._http.request("POST", "/api/incidents", json=order)
        incident = an_object(answer)
        if text(incident.get("id")) is None:
            raise answer.invalid("Statusboard answered something else than an incident.")
        return incident

    async def incident_of(self, reference: str) -> Row | None:
        """Returns the incident with a reference."""
        answer = await self._http.request("GET", "/api/incidents", params={"reference": reference})
        return next(iter(objects(answer, "incidents")), None)
