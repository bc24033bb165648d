"""The one way in which modules of RMM tools list alerts: from the book while it is fresh, else from the vendor."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, Final, Generic, Protocol, TypeVar

from google.protobuf.message import Message

from server.sdk import scope
from server.sdk.alert_book import ACTIVE, Alert
from server.sdk.context import ActionContext
from server.sdk.failures import ActionFailure
from server.sdk.listing import Listing
from server.sdk.reading import filled

M = TypeVar("M", bound=Message)

LOCAL: Final = "local"


class AlertSource(Protocol):
    """A vendor client that knows alerts."""

    async def active_alerts(self, device_id: str) -> Listing[Alert]:
        """Returns all active alerts, or those of a device where the vendor can choose them."""


Source = TypeVar("Source", bound=AlertSource)


class Alerts(Generic[M]):
    """How a module tells alerts.

    Args:
        kind: The module's message for an alert. What is known fills fields of the same name: attributes of `Alert`,
            its details by their names, `over`, and `source`, which is `local` or the provider.
        provider: The provider.
        renamed: Names of attributes by the field of `kind` that has another one.
    """

    def __init__(self, kind: type[M], provider: str, **renamed: str) -> None:
        self._kind = kind
        self._provider = provider
        self._renamed = renamed

    async def active(self, ctx: ActionContext[Source], *, device_id: str = "", live: bool, limit: int) -> list[M]:
        """Returns active alerts, newest first: from the book when that is at most a minute old, never with `live`, else
        from the vendor."""
        if not live and await ctx.alerts.fresh():
            return [self.told(one, LOCAL) for one in await ctx.alerts.active(device_id=device_id, limit=limit)]
        chosen = [one for one in await _asked(ctx, device_id) if device_id in {"", one.device_id}]
        return [self.told(one) for one in sorted(chosen, key=_age)[:limit]]

    async def find(self, id: str, ctx: ActionContext[Source], *, about: str) -> tuple[Alert, M]:
        """Returns an alert by its id in the book or at the vendor, and its message. For vendors that tell no single
        alert: what the book does not hold is looked for among the active ones.

        Raises:
            ActionFailure: NOT_FOUND at the input field `about`.
        """
        known = await ctx.alerts.get(id)
        if known is None:
            for one in await _asked(ctx):
                if one.external_alert_id == id:
                    return one, self.told(one)
            known = await ctx.alerts.get(id)  # resolved meanwhile, so in the book by now
        if known is None:
            raise ActionFailure("NOT_FOUND", "There is no active alert with this id.", field=about)
        return known, self.told(known, LOCAL)

    def told(self, alert: Alert, source: str = "") -> M:
        """Returns the message for an alert. `source` is the provider when it is not given."""
        known: dict[str, Any] = {**alert.details, **asdict(alert), "over": alert.status != ACTIVE}
        known["source"] = source or self._provider
        return filled(self._kind, known, **{field: known[name] for field, name in self._renamed.items()})


async def _asked(ctx: ActionContext[Source], device_id: str = "") -> list[Alert]:
    listing = await ctx.client.active_alerts(device_id)
    return await _remembered(listing.items, ctx, complete=listing.complete)


async def _remembered(alerts: Sequence[Alert], ctx: ActionContext[Any], *, complete: bool) -> list[Alert]:
    """Puts alerts into the book, without secrets, and returns them with the ids of book and assets."""
    clean = scope.current().masker
    masked = [
        replace(one, title=clean(one.title or "") or None, message=clean(one.message or "") or None) for one in alerts
    ]
    return list(await ctx.alerts.refresh(masked, complete=complete))


def _age(alert: Alert) -> tuple[float, str]:
    return -alert.created_at.timestamp() if alert.created_at else 0.0, alert.external_alert_id
