"""The endpoints of NinjaOne that Patchbay uses, as a small library.

Lists are bare arrays with neither cursor nor link: the next page is asked for by the last id, until nothing new comes.
Times are seconds. Only detailed rows have the operating system. Free text is no device filter and has an endpoint of
its own. Facts: NinjaOne's OpenAPI document (2.0.9-draft); what that leaves open is said where it matters.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from server.gen.patchbay.modules.ninjaone.v1.ninjaone_pb2 import NinjaOneConnection
from server.modules.ninjaone.connection import app_of, instance_url, read_error
from server.sdk import ActionFailure, ConnectionScope, DeviceFilter, OutcomeUnknown
from server.sdk.http import HttpResponse
from server.sdk.listing import Listing
from server.sdk.oauth import AccessTokens, grant_of
from server.sdk.paging import Row, walked
from server.sdk.polling import doubling
from server.sdk.reading import an_object, objects, text, whole
from server.sdk.recent import Recent
from server.sdk.rows import joined

_PAGE: Final = 500
_MAX_BYTES: Final = 32 * 1024 * 1024  # a page of detailed rows; alerts are not paged


class NinjaClient:
    """One instance, and for whom we act.

    Args:
        scope: The connection; sends nothing yet.

    Attributes:
        acts_for_user: Whether its tokens have user context, without which NinjaOne runs no script.
        pauses: Pauses between two looks at a device's activities.
    """

    instance_url = staticmethod(instance_url)

    def __init__(self, scope: ConnectionScope[NinjaOneConnection]) -> None:
        settings = scope.settings
        self.acts_for_user = not settings.client_credentials
        self.pauses: Callable[[], Iterator[float]] = partial(doubling, 1.0, 15.0)
        self._http = scope.http.bind(base_url=instance_url(settings), read_error=read_error, max_bytes=_MAX_BYTES)
        self._tokens = AccessTokens(scope, self._http, app_of(settings), grant_of(settings))
        self._names: Recent[Mapping[str | None, str | None]] = Recent(self._organization_names, {})

    async def check(self) -> None:
        """Proves the credentials by the cheapest read of devices, which every action needs."""
        await self._get("/v2/devices", pageSize=1)

    async def devices(self, wanted: DeviceFilter) -> Listing[Row]:
        """Returns the devices that NinjaOne's own search finds, without operating system, or all approved ones."""
        names = await self._names.get()
        if not wanted.query:
            return Listing(_named(await self._paged("/v2/devices-detailed"), names))
        found = objects(await self._get("/v2/devices/search", q=wanted.query, limit=wanted.limit), "devices")
        return Listing(_named(found, names), complete=False, searched=True)

    async def device(self, device_id: str) -> Row:
        """Returns one device."""
        row = an_object(await self._get(f"/v2/device/{device_id}", about="device_id"))
        return _named([row], await self._names.get())[0]

    async def reboot(self, device_id: str, mode: str, reason: str) -> None:
        """Orders a reboot."""
        body = {"reason": reason} if reason else {}
        await self._post(f"/v2/device/{device_id}/reboot/{mode}", body, about="device_id")

    async def scripting_options(self, device_id: str) -> Mapping[str, Any]:
        """Returns what may run on a device, and as whom."""
        return an_object(await self._get(f"/v2/device/{device_id}/scripting/options", about="device_id"))

    async def run_script(self, device_id: str, order: Mapping[str, Any]) -> Any:
        """Orders a run and returns the answer, usually none. Its properties are strict: `scriptId` is a 400."""
        return await self._post(f"/v2/device/{device_id}/script/run", order, about="device_id")

    async def activities(self, device_id: str, **query: str | int | None) -> HttpResponse:
        """Returns a page of a device's activities, newest first."""
        return await self._get(f"/v2/device/{device_id}/activities", about="device_id", **query)

    async def active_alerts(self, device_id: str) -> Listing[Row]:
        """Returns all active alerts, or those of a device."""
        path = f"/v2/device/{device_id}/alerts" if device_id else "/v2/alerts"
        return Listing(objects(await self._get(path, about="device_id")), complete=not device_id)

    async def reset(self, uid: str) -> None:
        """Clears an alert; raises NOT_FOUND for one that is gone."""
        await self._post(f"/v2/alert/{uid}/reset", None, about="alert_uid")

    async def _organization_names(self) -> Mapping[str | None, str | None]:
        rows = await self._paged("/v2/organizations")
        return {text(row.get("id")): text(row.get("name")) for row in rows}

    async def _paged(self, path: str) -> list[Row]:
        """Walks to a page without new ids: a short one proves nothing, NinjaOne may make them shorter than asked."""

        async def page(after: str | None) -> tuple[list[Row], str | None]:
            told = objects(await self._get(path, pageSize=_PAGE, after=after))
            new = {number: row for row in told if (number := whole(row.get("id")) or 0) > int(after or 0)}
            return list(new.values()), str(max(new)) if new else None

        return await walked(page)

    async def _get(self, path: str, *, about: str = "", **query: str | int | None) -> HttpResponse:
        response = await self._tokens.send(self._http, "GET", path, params=query, about=about)
        if _page(response):
            raise ActionFailure(
                "RATE_LIMITED", "NinjaOne answered with a page, as it does to too many requests.", vendor_status=200
            )
        return response

    async def _post(self, path: str, body: Mapping[str, Any] | None, *, about: str) -> Any:
        response = await self._tokens.send(self._http, "POST", path, json=body, about=about)
        if _page(response):
            raise OutcomeUnknown("NinjaOne answered an order with a page.", vendor_status=response.status)
        try:
            return response.json()
        except ActionFailure:
            return text(response.text)  # every 2xx means accepted


def _page(response: HttpResponse) -> bool:
    return response.content.lstrip()[:1] == b"<"


def _named(devices: Sequence[Row], names: Mapping[str | None, str | None]) -> list[Row]:
    """Devices are told with the organization's id only."""
    return joined(devices, "organizationName", "organizationId", names)
