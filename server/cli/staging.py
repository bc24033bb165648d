"""The stage of `demo` and `up`: simulated vendors, an embedded database, a server, connected tenants."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from patchbay_client import AsyncPatchbay

from server.cli.operating import part_of_server
from server.cli.problems import Problem
from server.errors import PatchbayError as ServerError

TENANT = "demo"
BARE_TENANT = "demo-bare"
PROVIDER = "tacticalrmm"
LOOPBACK = "127.0.0.0/8"
KEY_FILE = "operator-key"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Vendor:
    """A simulated vendor: its address, its control plane (`sandbox.client.AsyncSandboxControl`), how to connect."""

    url: str
    control: Any
    connection: Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """What runs.

    Attributes:
        target: Host and port of the server.
        http_target: Host and port of the server's HTTP port, where calendar feeds are.
        key_file: File with a key that may do everything, readable by its owner only.
        vendors: Every simulated vendor that the server has a module for, by provider.
        tiles: Those of them whose modules have actions, and so a tile.
        patchbay: A client of the server, for the tenant `demo`, which is connected to all of them.
        bare: The same for the tenant `demo-bare`, which is connected to nothing.
    """

    target: str
    http_target: str
    key_file: Path
    vendors: Mapping[str, Vendor]
    tiles: frozenset[str]
    patchbay: AsyncPatchbay
    bare: AsyncPatchbay

    @property
    def vendor(self) -> Vendor:
        """The simulated Tactical RMM server, with which the demo's story is told."""
        return self.vendors[PROVIDER]


@asynccontextmanager
async def staged(folder: Path, listen: str) -> AsyncIterator[Stage]:
    """Starts everything on loopback, connects the tenant, and stops everything afterwards.

    Args:
        folder: Where the database and the keys live.
        listen: Where the server listens; port 0 takes a free one.
    """
    running_server = part_of_server("server.app", "running_server")
    part_of_server("server.logs", "configure")("warning", "text")
    settings = own_settings(folder, listen)
    async with AsyncExitStack() as stack:
        simulated = {name: await _simulated(name, stack) for name in part_of_server("sandbox.__main__", "vendors")()}
        server = await stack.enter_async_context(running_server(settings))
        key = await asyncio.to_thread(settings.bootstrap_key_file.read_text, encoding="utf-8")
        clients = [
            await stack.enter_async_context(AsyncPatchbay(server.target, api_key=key, tenant=tenant))
            for tenant in (TENANT, BARE_TENANT)
        ]
        for client, tenant in zip(clients, (TENANT, BARE_TENANT), strict=True):
            await client.tenants.create(tenant)
        known = {each.provider for each in await clients[0].connections.providers()}
        vendors = {name: vendor for name, vendor in simulated.items() if name in known}
        for provider, vendor in vendors.items():
            await _connect(clients[0], provider, vendor)
        yield Stage(
            target=server.target,
            http_target=server.http_targets["http_listen"],
            key_file=settings.bootstrap_key_file,
            vendors=vendors,
            tiles=frozenset(
                one.definition.provider for one in server.house.registry.modules.values() if one.definition.actions
            ).intersection(vendors),
            patchbay=clients[0],
            bare=clients[1],
        )


def own_settings(folder: Path, listen: str) -> Any:
    """Returns settings with everything in one folder, whatever the environment says about a real installation."""
    kind = part_of_server("server.settings", "Settings")
    try:
        return kind(
            listen=listen,
            http_listen="127.0.0.1:0",
            data_dir=folder,
            auth="required",
            bootstrap_key_file=folder / KEY_FILE,
        )
    except ServerError as error:
        raise Problem(str(error)) from None


async def _simulated(provider: str, stack: AsyncExitStack) -> Vendor:
    serving = part_of_server("sandbox.serving", "SandboxServer")
    control = part_of_server("sandbox.client", "AsyncSandboxControl")
    simulator = await asyncio.to_thread(part_of_server(f"sandbox.{provider}", "create_app"))
    server = await stack.enter_async_context(serving(simulator))
    return Vendor(
        url=server.url,
        control=control(server.url),
        connection=part_of_server(f"sandbox.{provider}", "demo_connection"),
    )


async def _connect(patchbay: AsyncPatchbay, provider: str, vendor: Vendor) -> None:
    settings = vendor.connection(vendor.url, await vendor.control.credentials())
    await patchbay.connections.connect(provider, settings, private_networks=[LOOPBACK], plain_http=True)
