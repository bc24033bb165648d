"""A server process for tests: all modules and the lab, settings from the environment, address into TARGET_FILE."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import uvloop

from server import logs
from server.app import start_server
from server.sdk import Registrar
from server.settings import Settings
from tests.support.served import everything


async def _serve(settings: Settings, register: Callable[[Registrar], None]) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    handle = await start_server(settings, register)
    target = Path(os.environ["TARGET_FILE"])
    written = target.with_suffix(".new")
    written.write_text(handle.target)
    written.rename(target)
    await stop.wait()
    await handle.stop()


def serve(register: Callable[[Registrar], None] = everything) -> None:
    """Serves until SIGTERM.

    Args:
        register: Registers the modules.
    """
    settings = Settings.from_env()
    logs.configure("debug", "json")
    uvloop.run(_serve(settings, register))


if __name__ == "__main__":
    serve()
