"""`python -m server.conformance.serve`: a server process whose resolvers can be broken from outside.

Settings come from the environment as for `patchbay serve`, and beside them:

    CONFORMANCE_REGISTER   the function that registers the modules, `package.module:name`
    CONFORMANCE_TARGET     a file that is told the server's address once it answers
    CONFORMANCE_TROUBLE    a folder: a file named after a tenant's id makes resolvers `raise` or `hang` for it
"""

import asyncio
import dataclasses
import importlib
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import uvloop

from server import logs
from server.app import running_server
from server.composition import Register
from server.sdk import AvailabilityResolver, IntegrationModule, Registrar, Verdict
from server.sdk.availability import AvailabilityContext
from server.settings import Settings

_LOOK_SECONDS = 1.0


class Troubled:
    """A registrar that puts a switch before each module's resolver.

    Args:
        registrar: Where the modules go.
        folder: The files that say who has trouble.
    """

    def __init__(self, registrar: Registrar, folder: Path) -> None:
        self._registrar = registrar
        self._folder = folder

    def add(self, module: IntegrationModule[Any, Any]) -> None:
        """Adds a module."""
        if module.availability is not None:
            module = dataclasses.replace(module, availability=self._switched(module.availability))
        self._registrar.add(module)

    def _switched(self, resolver: AvailabilityResolver) -> AvailabilityResolver:
        async def resolve(context: AvailabilityContext) -> Verdict:
            trouble = self._folder / context.tenant
            if trouble.exists():
                if trouble.read_text() == "hang":
                    await asyncio.Event().wait()
                raise ConnectionError("the switch says so")
            return await resolver(context)

        return resolve


async def _left_alone() -> None:
    """Returns when the process that started this one is gone."""
    parent = os.getppid()
    while os.getppid() == parent:  # noqa: ASYNC110 - no event tells of it
        await asyncio.sleep(_LOOK_SECONDS)


async def _serve(settings: Settings) -> None:
    module, _, name = os.environ["CONFORMANCE_REGISTER"].partition(":")
    register: Register = getattr(importlib.import_module(module), name)
    folder, told = Path(os.environ["CONFORMANCE_TROUBLE"]), Path(os.environ["CONFORMANCE_TARGET"])
    stop, watched = asyncio.Event(), asyncio.create_task(_left_alone())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with running_server(settings, lambda registrar: register(Troubled(registrar, folder))) as running:
        partial = told.with_suffix(".new")
        partial.write_text(running.target)
        partial.rename(told)
        await asyncio.wait({watched, asyncio.create_task(stop.wait())}, return_when=asyncio.FIRST_COMPLETED)


if __name__ == "__main__":
    starter, configured = os.getppid(), Settings.from_env()
    logs.configure("debug", "json")
    uvloop.run(_serve(configured))
    if os.getppid() != starter:  # nobody else is left to remove what the run has made
        shutil.rmtree(Path(os.environ["CONFORMANCE_TROUBLE"]).parent, ignore_errors=True)
