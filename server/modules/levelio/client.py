"""The endpoints of Level that Patchbay uses, as a small library.

Facts: the public API, version 2, as its users and the vendor's own n8n node call it. The key goes bare into
Authorization; with `Bearer` in front it is refused. Ids are opaque and may hold `/` and `+`. What can be sent again is
the courier's knowledge: nothing here repeats.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from server.gen.patchbay.modules.levelio.v1.levelio_pb2 import LevelIoConnection, WebhookTrigger
from server.sdk import ConnectionScope, DeviceFilter
from server.sdk.addresses import address_or
from server.sdk.listing import Listing
from server.sdk.meanings import Meaning, meanings
from server.sdk.paging import Row, walked
from server.sdk.polling import doubling
from server.sdk.reading import an_object, filled, objects, text

_PAGE = 100
_PARTS: Final = {"include_operating_system": True, "include_security": True}
_FORBIDDEN: Final = Meaning(
    "VENDOR_PERMISSION_DENIED",
    "Level does not permit this to the key.",
    status=403,
    remedy="Connect with a key that may read and write, of the account that has the object.",
)
_NO_TRIGGER: Final = Meaning(
    "WEBHOOK_TRIGGER_MISSING",
    "Level knows no webhook trigger with this token. A webhook trigger must be configured in Level.",
    status=404,
)


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook trigger of an automation. Its token can start the automation without any key."""

    token: str = field(repr=False)
    automation_id: str
    shown: WebhookTrigger


class LevelClient:
    """One account with one key.

    Args:
        scope: The connection; sends nothing yet.

    Attributes:
        most: How many rows of a list are read at most.
    """

    most = 20_000
    instance_url = staticmethod(address_or("https://api.level.io"))

    def __init__(self, scope: ConnectionScope[LevelIoConnection]) -> None:
        base, headers = f"{self.instance_url(scope.settings)}/v2", {"authorization": scope.settings.api_key}
        self._http = scope.http.bind(base_url=base, headers=headers, read_error=meanings(_FORBIDDEN))
        self._triggers = scope.http.bind(
            base_url=f"{base}/automations/webhooks", headers=headers, read_error=meanings(_FORBIDDEN, _NO_TRIGGER)
        )

    async def check(self) -> None:
        """Proves the key by the cheapest list. Raises ActionFailure when it is not accepted."""
        objects(await self._http.request("GET", "/groups", params={"limit": 1}), "data")

    def pauses(self) -> Iterator[float]:
        """Yields the seconds between two looks at a run: 2, 4, 8, then every 15."""
        return doubling(2, 15)

    async def devices(self, wanted: DeviceFilter) -> Listing[Row]:
        """Returns all devices, or those directly in a group."""
        return await self.many("/devices", {"group_id": wanted.organization_id}, **_PARTS)

    async def device(self, device_id: str) -> Row:
        """Returns one device."""
        return await self.one(f"/devices/{quote(device_id, '')}", "device_id", **_PARTS)

    async def active_alerts(self, device_id: str) -> Listing[Row]:
        """Returns active alerts, all or those of a device."""
        return await self.many("/alerts", {"device_id": device_id}, status="active")

    async def resolve(self, alert_id: str) -> Row:
        """Resolves an alert and returns it; one that is resolved is answered as it stands."""
        path = f"/alerts/{quote(alert_id, '')}/resolve"
        return an_object(await self._http.request("POST", path, about="alert_id"))

    async def webhooks(self) -> Listing[Webhook]:
        """Returns webhook triggers; their tokens are masked in whatever the running execution tells. They have no ids,
        so Level offers no way to more than the first hundred."""
        found = await self.many("/automations/webhooks", {})
        webhooks = [_webhook(row) for row in found.items]
        for one in webhooks:
            self._http.learn_secret(one.token)
        return Listing([one for one in webhooks if one.token], found.complete)

    async def trigger(self, token: str, order: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """Starts an automation; returns its runs, None when Level did not tell them.

        Raises:
            OutcomeUnknown: The order went out and no usable answer came.
        """
        response = await self._triggers.request("POST", f"/{quote(token, '')}", json=order)
        if response.content.strip() in {b"", b"null"}:
            return None
        return None if an_object(response).get("runs") is None else objects(response, "runs")

    async def run(self, run_id: str, *, steps: bool) -> Row:
        """Returns a run."""
        return await self.one(f"/automation-runs/{quote(run_id, '')}", "run_id", include_steps=steps or None)

    async def one(self, path: str, about: str, **params: bool | None) -> Row:
        """Returns one thing; `about` is the input field that names it."""
        return an_object(await self._http.request("GET", path, params=params, about=about))

    async def many(self, path: str, filters: Mapping[str, str], most: int = 0, **params: bool | str) -> Listing[Row]:
        """Walks a list; it is complete when nothing was filtered and Level says so. Rows without an id cannot be walked
        past a page."""
        more, most = False, most or self.most
        asked = {**params, **{name: value or None for name, value in filters.items()}, "limit": min(_PAGE, most)}

        async def page(cursor: str | None) -> tuple[list[dict[str, Any]], str | None]:
            nonlocal more
            response = await self._http.request("GET", path, params={**asked, "starting_after": cursor})
            rows, body = objects(response, "data"), response.json()
            more = bool(rows) and isinstance(body, dict) and body.get("has_more") is True
            return rows, text(rows[-1].get("id")) if more else None

        rows = await walked(page, most)
        return Listing(rows, complete=not more and not any(filters.values()))


def _webhook(row: Row) -> Webhook:
    """The token is told as the last part of an address."""
    token = (text(row.get("url")) or "").rpartition("/")[2]
    return Webhook(token, text(row.get("automation_id")) or "", filled(WebhookTrigger, row))
