"""The stage of `demo` and `up`: a simulated vendor, an embedded database, a server, a connected tenant."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from patchbay_client import AsyncPatchbay

from server.cli.operating import part_of_server

TENANT = "demo"
PROVIDER = "tacticalrmm"
LOOPBACK = "127.0.0.0/8"
_OWN = {"database_url": None, "workers": 1, "auth": "required", "reflection": True}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """What runs.

    Attributes:
        target: Host and port of the server.
        api_key: A key that may do everything.
        vendor_url: Address of the simulated Tactical RMM server.
        vendor: Its control plane (`sandbox.client.AsyncSandboxControl`).
        patchbay: A client of the server, for the tenant `demo`.
    """

    target: str
    api_key: str | None = dataclasses.field(repr=False)
    vendor_url: str
    vendor: Any
    patchbay: AsyncPatchbay


@asynccontextmanager
async def staged(folder: Path, listen: str) -> AsyncIterator[Stage]:
    """Starts everything on loopback, connects the tenant, and stops everything afterwards.

    Args:
        folder: Where the database and the keys live.
        listen: Where the server listens; port 0 takes a free one.
    """
    sandbox = part_of_server("sandbox.serving", "SandboxServer")
    simulator = part_of_server("sandbox.tacticalrmm", "create_app")
    control = part_of_server("sandbox.client", "AsyncSandboxControl")
    start_server = part_of_server("server.app", "start_server")
    async with sandbox(await asyncio.to_thread(simulator)) as vendor:
        handle = await start_server(own_settings(folder, listen))
        try:
            async with AsyncPatchbay(handle.target, api_key=handle.api_key, tenant=TENANT) as patchbay:
                yield await _connected(handle, vendor.url, control(vendor.url), patchbay)
        finally:
            await handle.stop()


def own_settings(folder: Path, listen: str) -> Any:
    """Returns settings with the embedded database in a folder, whatever the environment says about a real one."""
    kind = part_of_server("server.settings", "Settings")
    wanted = {**_OWN, "listen": listen, "data_dir": folder}
    settings = kind.from_env(listen=listen, data_dir=folder)
    return dataclasses.replace(settings, **wanted)


async def _connected(handle: Any, url: str, vendor: Any, patchbay: AsyncPatchbay) -> Stage:
    await patchbay.tenants.create(TENANT)
    credentials = await vendor.credentials()
    await patchbay.connections.connect(
        PROVIDER,
        {"instance_url": url, "api_key": credentials["api_key"]},
        private_networks=[LOOPBACK],
        plain_http=True,
    )
    return Stage(target=handle.target, api_key=handle.api_key, vendor_url=url, vendor=vendor, patchbay=patchbay)
