"""The one way in which modules of RMM tools list alerts: from the book while it is fresh, else from the vendor."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from google.protobuf.message import Message

from server.sdk import scope
from server.sdk.alert_book import Alert
from server.sdk.context import ActionContext
from server.sdk.failures import ActionFailure
from server.sdk.listing import Listing
from server.sdk.paging import Row
from server.sdk.records import LOCAL, Records

M = TypeVar("M", bound=Message)


class AlertSource(Protocol):
    """A vendor client that knows alerts, as the vendor's rows."""

    async def active_alerts(self, device_id: str) -> Listing[Row]:
        """Returns all active alerts, or those of a device where the vendor can choose them."""


class AlertWish(Protocol):
    """A request for active alerts."""

    @property
    def device_id(self) -> str:
        """Of which device. Empty: of all."""

    @property
    def live(self) -> bool:
        """Whether the vendor is to be asked."""

    @property
    def limit(self) -> int:
        """How many at most."""


Source = TypeVar("Source", bound=AlertSource)


class Alerts(Records[M, Alert]):
    """How a module tells alerts.

    Args:
        kind: The module's message for an alert; see Records for what fills it, and how.
        provider: The provider.
        **renamed: Attributes of `Alert` by the field of `kind` that has another name.
    """

    def __init__(self, kind: type[M], provider: str, **renamed: str) -> None:
        super().__init__(kind, Alert, provider, renamed)

    async def active(self, request: AlertWish, ctx: ActionContext[Source]) -> list[M]:
        """Returns active alerts, newest first: from the book when that is at most a minute old, never with `live`, else
        from the vendor."""
        device_id, limit = request.device_id, request.limit
        if not request.live and await ctx.alerts.fresh():
            return [self.told(one, LOCAL) for one in await ctx.alerts.active(device_id=device_id, limit=limit)]
        chosen = [one for one in await self._asked(ctx, device_id) if device_id in {"", one.device_id}]
        return [self.told(one) for one in sorted(chosen, key=_age)[:limit]]

    async def find(self, id: str, ctx: ActionContext[Source], *, about: str) -> tuple[Alert, M]:
        """Returns an alert by its id in the book or at the vendor, and its message. For vendors that tell no single
        alert: what the book does not hold is looked for among the active ones.

        Raises:
            ActionFailure: NOT_FOUND at the input field `about`.
        """
        known = await ctx.alerts.get(id)
        if known is None:
            for one in await self._asked(ctx):
                if one.external_alert_id == id:
                    return one, self.told(one)
            known = await ctx.alerts.get(id)  # resolved meanwhile, so in the book by now
        if known is None:
            raise ActionFailure("NOT_FOUND", "There is no active alert with this id.", field=about)
        return known, self.told(known, LOCAL)

    async def _asked(self, ctx: ActionContext[Source], device_id: str = "") -> list[Alert]:
        listing = await ctx.client.active_alerts(device_id)
        return await _remembered(self.each(listing.items), ctx, complete=listing.complete)


async def _remembered(alerts: Sequence[Alert], ctx: ActionContext[Any], *, complete: bool) -> list[Alert]:
    """Puts alerts into the book, without secrets, and returns them with the ids of book and assets."""
    clean = scope.current().masker
    masked = [
        replace(one, title=clean(one.title or "") or None, message=clean(one.message or "") or None) for one in alerts
    ]
    return list(await ctx.alerts.refresh(masked, complete=complete))


def _age(alert: Alert) -> tuple[float, str]:
    return -alert.created_at.timestamp() if alert.created_at else 0.0, alert.external_alert_id
