"""The one way in which modules of RMM tools list alerts: from the book while it is fresh, else from the vendor."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, Protocol, TypeVar

from google.protobuf.message import Message

from server.sdk import scope
from server.sdk.alert_book import Alert
from server.sdk.context import ActionContext
from server.sdk.listing import Listing
from server.sdk.reading import filled

M = TypeVar("M", bound=Message)

LOCAL = "local"


class AlertSource(Protocol):
    """A vendor client that knows alerts."""

    async def active_alerts(self, device_id: str) -> Listing[Alert]:
        """Returns all active alerts, or those of a device where the vendor can choose them."""


async def active_alerts(
    ctx: ActionContext[Any], source: AlertSource, *, device_id: str = "", live: bool, limit: int
) -> tuple[list[Alert], bool]:
    """Returns active alerts, newest first, and whether they come from the book: at most a minute old, never with
    `live`."""
    if not live and await ctx.alerts.fresh():
        return list(await ctx.alerts.active(device_id=device_id, limit=limit)), True
    listing = await source.active_alerts(device_id)
    alerts = await remembered(listing.items, ctx, complete=listing.complete)
    chosen = [one for one in alerts if device_id in {"", one.device_id}]
    chosen.sort(key=_age)
    return chosen[:limit], False


async def remembered(alerts: Sequence[Alert], ctx: ActionContext[Any], *, complete: bool = False) -> list[Alert]:
    """Puts alerts into the book, without secrets, and returns them with the ids of book and assets."""
    clean = scope.current().masker
    masked = [
        replace(one, title=clean(one.title or "") or None, message=clean(one.message or "") or None) for one in alerts
    ]
    return list(await ctx.alerts.refresh(masked, complete=complete))


def told(kind: type[M], alert: Alert, source: str, **renamed: str) -> M:
    """Returns the module's message for an alert: its attributes and details fill fields of the same name.

    Args:
        kind: The module's message.
        alert: What is known.
        source: Where it comes from: `local` or the provider; for a field `source`.
        renamed: Names of attributes by the field that takes them.
    """
    known: dict[str, Any] = {**alert.details, **asdict(alert), "source": source}
    return filled(kind, known, **{name: known[attribute] for name, attribute in renamed.items()})


def _age(alert: Alert) -> tuple[float, str]:
    return -alert.created_at.timestamp() if alert.created_at else 0.0, alert.external_alert_id
