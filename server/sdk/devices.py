"""The one way in which modules of RMM tools find devices: in the inventory, or at the vendor."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any, Protocol, TypeVar

from google.protobuf.message import Message

from server.sdk.context import ActionContext
from server.sdk.failures import ActionFailure
from server.sdk.inventory import Device, DeviceFilter
from server.sdk.listing import Listing
from server.sdk.reading import filled

M = TypeVar("M", bound=Message)

LOCAL = "local"


class DeviceSource(Protocol):
    """A vendor client that knows devices."""

    async def device(self, device_id: str) -> Device:
        """Returns one device; raises ActionFailure NOT_FOUND."""

    async def devices(self, wanted: DeviceFilter) -> Listing[Device]:
        """Returns all devices, or those that the vendor itself finds by `query` or `organization_id`."""


async def find_devices(wanted: DeviceFilter, ctx: ActionContext[Any], source: DeviceSource, *, live: bool) -> "Found":
    """Finds devices by name: in the inventory once it has been filled, else, or with `live`, at the vendor.

    What the vendor tells goes into the inventory on the way.
    """
    if not live and await ctx.inventory.filled():
        return Found(await ctx.inventory.find(wanted), local=True)
    devices = sorted(await _asked(wanted, ctx, source), key=lambda one: ((one.name or "").casefold(), one.device_id))
    return Found(devices[: wanted.limit], local=False)


async def remembered(devices: Sequence[Device], ctx: ActionContext[Any], *, complete: bool = False) -> list[Device]:
    """Puts devices into the inventory and returns them with their asset ids; `complete`: the vendor has no others."""
    assets = await ctx.inventory.refresh(devices, complete=complete)
    return [replace(one, asset_id=assets.get(one.device_id)) for one in devices]


class Found:
    """Devices that were found, and where."""

    def __init__(self, devices: Iterable[Device], *, local: bool) -> None:
        self.devices = list(devices)
        self.local = local

    def told(self, kind: type[M], provider: str, **renamed: str) -> list[M]:
        """Returns a message for each; see `told`."""
        return [told(kind, one, LOCAL if self.local else provider, **renamed) for one in self.devices]


def told(kind: type[M], device: Device, source: str, **renamed: str) -> M:
    """Returns a message with what is known of a device.

    Args:
        kind: The module's message for a device.
        device: What is known. Its attributes, and its details by their names, fill fields of the same name.
        source: Where it comes from: `local` or the provider; for a field `source`.
        renamed: Names of attributes by the field that takes them: `hostname="name"`.
    """
    known: dict[str, Any] = {**device.details, **asdict(device), "source": source, "online": device.online}
    return filled(kind, known, **{field: known[name] for field, name in renamed.items()})


async def _asked(wanted: DeviceFilter, ctx: ActionContext[Any], source: DeviceSource) -> list[Device]:
    device_id = wanted.device_id
    if wanted.asset_id and not device_id:
        known = await ctx.inventory.find(DeviceFilter(asset_id=wanted.asset_id, limit=1))
        device_id = known[0].device_id if known else ""
    if device_id:
        devices = await remembered(await _one(device_id, source), ctx)
        return [device for device in devices if _matches(device, wanted)]
    listing = await source.devices(wanted)
    devices = await remembered(listing.items, ctx, complete=listing.complete)
    if listing.searched:
        wanted = replace(wanted, query="")  # the vendor looks at more than is told here
    return [device for device in devices if _matches(device, wanted)]


async def _one(device_id: str, source: DeviceSource) -> list[Device]:
    try:
        return [await source.device(device_id)]
    except ActionFailure as failure:
        if failure.failure.reason != "NOT_FOUND":
            raise
        return []


def _matches(device: Device, wanted: DeviceFilter) -> bool:
    query = wanted.query.casefold()
    texts = (device.name, device.organization_name, device.site_name)
    return (
        wanted.asset_id in {"", device.asset_id}
        and wanted.organization_id in {"", device.organization_id}
        and any(query in (one or "").casefold() for one in texts)
    )
