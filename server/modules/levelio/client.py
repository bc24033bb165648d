"""The endpoints of Level that Patchbay uses, as a small library.

Facts: the public API, version 2, as its users and the vendor's own n8n node call it. The key goes bare into
Authorization; with `Bearer` in front it is refused. Ids are opaque and may hold `/` and `+`. What can be sent again is
the courier's knowledge: nothing here repeats.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from server.gen.patchbay.modules.levelio.v1.levelio_pb2 import LevelIoConnection, WebhookTrigger
from server.sdk import ActionFailure, Alert, ConnectionScope, Device, DeviceFilter
from server.sdk.addresses import address_or
from server.sdk.alert_book import ACTIVE, RESOLVED
from server.sdk.http import HttpResponse
from server.sdk.listing import Listing
from server.sdk.paging import Row, walked
from server.sdk.polling import doubling
from server.sdk.reading import an_object, filled, flag, inner, moment, objects, text

instance_url: Final = address_or("https://api.level.io")

_PAGE = 100
_PARTS: Final = {"include_operating_system": True, "include_security": True}
_ONLINE: Final = {True: "online", False: "offline", None: None}
_FACTS: Final = ("nickname", "serial_number", "security_score", "role", "tags", "maintenance_mode")
_STATES: Final = ("last_logged_in_user", "last_reboot_time", "operating_system", "security")


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

    def __init__(self, scope: ConnectionScope[LevelIoConnection]) -> None:
        base, headers = f"{instance_url(scope.settings)}/v2", {"authorization": scope.settings.api_key}
        self._http = scope.http.bind(base_url=base, headers=headers, read_error=_read_error)
        self._triggers = scope.http.bind(
            base_url=f"{base}/automations/webhooks", headers=headers, read_error=_read_trigger_error
        )

    async def check(self) -> None:
        """Proves the key by the cheapest list. Raises ActionFailure when it is not accepted."""
        objects(await self._http.request("GET", "/groups", params={"limit": 1}), "data")

    def pauses(self) -> Iterator[float]:
        """Yields the seconds between two looks at a run: 2, 4, 8, then every 15."""
        return doubling(2, 15)

    async def devices(self, wanted: DeviceFilter) -> Listing[Device]:
        """Returns all devices, or those directly in a group."""
        found = await self._walk("/devices", {**_PARTS, "group_id": wanted.organization_id or None})
        devices = [_device(row) for row in found.items if row.get("id")]
        return Listing(devices, complete=found.complete and not wanted.organization_id)

    async def device(self, device_id: str) -> Device:
        """Returns one device."""
        return _device({"id": device_id, **await self._one("devices", device_id, "device_id", _PARTS)})

    async def active_alerts(self, device_id: str) -> Listing[Alert]:
        """Returns active alerts, all or those of a device."""
        found = await self._walk("/alerts", {"status": "active", "device_id": device_id or None})
        return Listing([_alert(row) for row in found.items if row.get("id")], found.complete and not device_id)

    async def resolve(self, alert_id: str) -> Alert:
        """Resolves an alert and returns it; one that is resolved is answered as it stands."""
        path = f"/alerts/{quote(alert_id, '')}/resolve"
        return _alert({"id": alert_id, **an_object(await self._http.request("POST", path, about="alert_id"))})

    async def updates(self, most: int, filters: Mapping[str, str]) -> Sequence[Row]:
        """Returns updates as Level tells them. Filters: `device_id`, `status`, `category`."""
        return (await self._walk("/updates", filters, most)).items

    async def automations(self) -> Sequence[Row]:
        """Returns automations as Level tells them."""
        return (await self._walk("/automations", {})).items

    async def webhooks(self) -> Listing[Webhook]:
        """Returns webhook triggers; their tokens are masked in whatever the running execution tells. They have no ids,
        so Level offers no way to more than the first hundred."""
        found = await self._walk("/automations/webhooks", {})
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
        """Returns a run as Level tells it."""
        return await self._one("automation-runs", run_id, "run_id", {"include_steps": steps or None})

    async def _one(self, kind: str, id: str, field: str, params: Mapping[str, Any]) -> dict[str, Any]:
        return an_object(await self._http.request("GET", f"/{kind}/{quote(id, '')}", params=params, about=field))

    async def _walk(self, path: str, params: Mapping[str, Any], most: int = 0) -> Listing[Row]:
        """Walks a list; it is complete when Level says so. Rows without an id cannot be walked past a page."""
        more, most = False, most or self.most

        async def page(cursor: str | None) -> tuple[list[dict[str, Any]], str | None]:
            nonlocal more
            asked = {**params, "limit": min(_PAGE, most), "starting_after": cursor}
            response = await self._http.request("GET", path, params=asked)
            rows, body = objects(response, "data"), response.json()
            more = bool(rows) and isinstance(body, dict) and body.get("has_more") is True
            return rows, text(rows[-1].get("id")) if more else None

        rows = await walked(page, most)
        return Listing(rows, complete=not more)


def _read_error(response: HttpResponse) -> ActionFailure | None:
    if response.status != 403:
        return None
    remedy = "Connect with a key that may read and write, of the account that has the object."
    return ActionFailure("VENDOR_PERMISSION_DENIED", "Level does not permit this to the key.", remedy=remedy)


def _read_trigger_error(response: HttpResponse) -> ActionFailure | None:
    if response.status != 404:
        return _read_error(response)
    return trigger_missing("Level knows no webhook trigger with this token.")


def trigger_missing(message: str) -> ActionFailure:
    """Returns the failure of an automation that cannot be started."""
    return ActionFailure("WEBHOOK_TRIGGER_MISSING", f"{message} A webhook trigger must be configured in Level.")


def _device(row: Row) -> Device:
    return Device(
        device_id=text(row["id"]) or "",
        name=text(row.get("hostname")),
        organization_id=text(row.get("group_id")),
        organization_name=text(row.get("group_name")),
        platform=text(row.get("platform")),
        os_name=text(inner(row, "operating_system").get("full_operating_system")),
        status=_ONLINE[flag(row.get("online"))],
        last_seen_at=moment(row.get("last_seen_at")),
        details={name: row.get(name) for name in (*_FACTS, *_STATES)},
    )


def _alert(row: Row) -> Alert:
    return Alert(
        external_alert_id=text(row["id"]) or "",
        status=RESOLVED if row.get("is_resolved") is True else ACTIVE,
        severity=text(row.get("severity")),
        title=text(row.get("name")),
        message=text(row.get("description")),
        device_id=text(row.get("device_id")),
        created_at=moment(row.get("started_at")),
        details={name: row.get(name) for name in ("device_hostname", "is_resolved", "resolved_at")},
    )


def _webhook(row: Row) -> Webhook:
    """The token is told as the last part of an address."""
    token = (text(row.get("url")) or "").rpartition("/")[2]
    return Webhook(token, text(row.get("automation_id")) or "", filled(WebhookTrigger, row))
