"""The book of alerts (table `rmm_alerts`) as modules see it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

ACTIVE: Final = "active"
ACKNOWLEDGED: Final = "acknowledged"
RESOLVED: Final = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert of a provider.

    Attributes:
        external_alert_id: The vendor's id.
        alert_id: Its id in the book; None until that holds it.
        status: `active`, `acknowledged` or `resolved`.
        asset_id: The device's id in the inventory; None when that does not hold it.
        details: What only this provider tells, as JSON values by name; None values are left out.
    """

    external_alert_id: str
    alert_id: str | None = None
    status: str = ACTIVE
    severity: str | None = None
    priority: str | None = None
    title: str | None = None
    message: str | None = None
    device_id: str | None = None
    asset_id: str | None = None
    source_type: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        """Whether it needs nobody any more, as far as the vendor goes."""
        return self.status != ACTIVE


class AlertBook(Protocol):
    """The alerts of one connection."""

    async def fresh(self) -> bool:
        """Says whether the vendor told all of its active alerts within the last minute."""

    async def active(self, *, device_id: str = "", limit: int) -> Sequence[Alert]:
        """Returns active alerts, newest first."""

    async def get(self, id: str) -> Alert | None:
        """Returns an alert by its id in the book or at the vendor."""

    async def refresh(self, alerts: Sequence[Alert], *, complete: bool) -> Sequence[Alert]:
        """Stores what the vendor just told and returns it with the ids of book and assets.

        With `complete` these are all active alerts that the vendor has: others become resolved.
        """

    async def close(self, external_alert_id: str, status: str) -> Alert | None:
        """Gives an alert a status that was reached at the vendor; None when the book does not hold it."""
