"""The local inventory (table `assets`) as modules see it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device of a provider.

    Attributes:
        asset_id: Its id in the inventory; None until that holds it.
        status: The vendor's word; `online` or another one. None: not told.
        details: What only this provider tells, as JSON values by name; None values are left out.
    """

    device_id: str
    name: str | None = None
    asset_id: str | None = None
    organization_id: str | None = None
    organization_name: str | None = None
    site_name: str | None = None
    platform: str | None = None
    os_name: str | None = None
    status: str | None = None
    last_seen_at: datetime | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def online(self) -> bool | None:
        """Whether the vendor reaches it; None when it did not say."""
        return None if self.status is None else self.status == "online"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFilter:
    """Which devices; filters are combined, empty text means any. `query` matches name, organization and site."""

    device_id: str = ""
    asset_id: str = ""
    organization_id: str = ""
    query: str = ""
    limit: int = 50


class Inventory(Protocol):
    """The tenant's inventory of one provider. Writes nothing but what `refresh` is given."""

    async def filled(self) -> bool:
        """Says whether the inventory has ever been filled for this provider."""

    async def find(self, wanted: DeviceFilter) -> Sequence[Device]:
        """Returns the devices that match, by name."""

    async def refresh(self, devices: Sequence[Device], *, complete: bool) -> Mapping[str, str]:
        """Stores what the vendor just told; returns asset ids by device id.

        With `complete` the devices are all that the vendor has: the inventory counts as filled afterwards and
        devices that are missing are marked as gone. Without it nothing else changes.
        """
