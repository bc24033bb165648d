"""The local inventory (table `assets`) as modules see it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device of a provider. `asset_id` is None until the inventory holds it."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFilter:
    """Which devices; filters are combined, empty text means any. `query` matches name, organization and site."""

    device_id: str = ""
    asset_id: str = ""
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
