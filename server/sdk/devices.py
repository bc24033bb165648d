"""The one way in which modules of RMM tools find devices: in the inventory, or at the vendor."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, Final, Protocol, TypeVar

from google.protobuf.message import Message

from server.sdk.context import ActionContext
from server.sdk.failures import ActionFailure
from server.sdk.inventory import Device, DeviceFilter
from server.sdk.listing import Listing
from server.sdk.paging import Row
from server.sdk.records import LOCAL, Records

M = TypeVar("M", bound=Message)

_FILTERS: Final = frozenset(field.name for field in fields(DeviceFilter))


class DeviceSource(Protocol):
    """A vendor client that knows devices, as the vendor's rows."""

    async def device(self, device_id: str) -> Row:
        """Returns one device; raises ActionFailure NOT_FOUND."""

    async def devices(self, wanted: DeviceFilter) -> Listing[Row]:
        """Returns all devices, or those that the vendor itself finds by `query` or `organization_id`."""


Source = TypeVar("Source", bound=DeviceSource)


class Devices(Records[M, Device]):
    """How a module tells devices.

    Args:
        kind: The module's message for a device; see Records for what fills it, and how.
        provider: The provider.
        **renamed: Attributes of `Device` by the field that has another name, here and in requests: `hostname="name"`.
    """

    def __init__(self, kind: type[M], provider: str, **renamed: str) -> None:
        super().__init__(kind, Device, provider, renamed)

    async def find(self, request: Message, ctx: ActionContext[Source]) -> list[M]:
        """Finds devices by name: in the inventory once it has been filled, else, or with `live`, at the vendor.

        What the vendor tells goes into the inventory on the way.

        Args:
            request: Its fields fill a DeviceFilter; a field `live` may ask for the vendor.
            ctx: Its client knows devices.
        """
        given = {self._renamed.get(field.name, field.name): value for field, value in request.ListFields()}
        wanted = DeviceFilter(**{name: given[name] for name in _FILTERS & given.keys()})
        if not given.get("live") and await ctx.inventory.filled():
            return [self.told(one, LOCAL) for one in await ctx.inventory.find(wanted)]
        devices = sorted(await self._asked(wanted, ctx), key=lambda one: ((one.name or "").casefold(), one.device_id))
        return [self.told(one) for one in devices[: wanted.limit]]

    async def get(self, device_id: str, ctx: ActionContext[Source]) -> M:
        """Asks the vendor for one device, and puts it into the inventory; raises ActionFailure NOT_FOUND."""
        (device,) = await remembered([self.of(await ctx.client.device(device_id), device_id)], ctx)
        return self.told(device)

    async def _asked(self, wanted: DeviceFilter, ctx: ActionContext[Source]) -> list[Device]:
        device_id = wanted.device_id
        if wanted.asset_id and not device_id:
            known = await ctx.inventory.find(DeviceFilter(asset_id=wanted.asset_id, limit=1))
            device_id = known[0].device_id if known else ""
        if device_id:
            devices = await remembered(await self._one(device_id, ctx.client), ctx)
            return [device for device in devices if _matches(device, wanted)]
        listing = await ctx.client.devices(wanted)
        devices = await remembered(self.each(listing.items), ctx, complete=listing.complete)
        if listing.searched:
            wanted = replace(wanted, query="")  # the vendor looks at more than is told here
        return [device for device in devices if _matches(device, wanted)]

    async def _one(self, device_id: str, source: DeviceSource) -> list[Device]:
        try:
            return [self.of(await source.device(device_id), device_id)]
        except ActionFailure as failure:
            if failure.failure.reason != "NOT_FOUND":
                raise
            return []


async def remembered(devices: Sequence[Device], ctx: ActionContext[Any], *, complete: bool = False) -> list[Device]:
    """Puts devices into the inventory and returns them with their asset ids; `complete`: the vendor has no others."""
    assets = await ctx.inventory.refresh(devices, complete=complete)
    return [replace(one, asset_id=assets.get(one.device_id)) for one in devices]


def _matches(device: Device, wanted: DeviceFilter) -> bool:
    query = wanted.query.casefold()
    texts = (device.name, device.organization_name, device.site_name)
    return (
        wanted.asset_id in {"", device.asset_id}
        and wanted.organization_id in {"", device.organization_id}
        and any(query in (one or "").casefold() for one in texts)
    )
