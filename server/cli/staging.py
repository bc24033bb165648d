"""The stage of `demo` and `up`: a simulated vendor, an embedded database, a server, a connected tenant."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from patchbay_client import AsyncPatchbay

from server.cli.operating import part_of_server
from server.cli.problems import Problem
from server.errors import PatchbayError as ServerError

TENANT = "demo"
PROVIDER = "tacticalrmm"
LOOPBACK = "127.0.0.0/8"
KEY_FILE = "operator-key"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """What runs.

    Attributes:
        target: Host and port of the server.
        key_file: File with a key that may do everything, readable by its owner only.
        vendor_url: Address of the simulated Tactical RMM server.
        vendor: Its control plane (`sandbox.client.AsyncSandboxControl`).
        patchbay: A client of the server, for the tenant `demo`.
    """

    target: str
    key_file: Path
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
    running_server = part_of_server("server.app", "running_server")
    part_of_server("server.logs", "configure")("warning", "text")
    settings = own_settings(folder, listen)
    async with sandbox(await asyncio.to_thread(simulator)) as vendor, running_server(settings) as server:
        key = await asyncio.to_thread(settings.bootstrap_key_file.read_text, encoding="utf-8")
        async with AsyncPatchbay(server.target, api_key=key, tenant=TENANT) as patchbay:
            stage = Stage(
                target=server.target,
                key_file=settings.bootstrap_key_file,
                vendor_url=vendor.url,
                vendor=control(vendor.url),
                patchbay=patchbay,
            )
            await _connect(stage)
            yield stage


def own_settings(folder: Path, listen: str) -> Any:
    """Returns settings with everything in one folder, whatever the environment says about a real installation."""
    kind = part_of_server("server.settings", "Settings")
    try:
        return kind(listen=listen, data_dir=folder, auth="required", bootstrap_key_file=folder / KEY_FILE)
    except ServerError as error:
        raise Problem(str(error)) from None


async def _connect(stage: Stage) -> None:
    await stage.patchbay.tenants.create(TENANT)
    credentials = await stage.vendor.credentials()
    await stage.patchbay.connections.connect(
        PROVIDER,
        {"instance_url": stage.vendor_url, "api_key": credentials["api_key"]},
        private_networks=[LOOPBACK],
        plain_http=True,
    )
