"""A server process for tests: all modules and the lab, settings from the environment, address into TARGET_FILE."""

import asyncio
import os
import signal
from pathlib import Path

import uvloop

from server import logs
from server.app import start_server
from server.settings import Settings
from tests.support.served import everything


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    handle = await start_server(settings, everything)
    target = Path(os.environ["TARGET_FILE"])
    written = target.with_suffix(".new")
    written.write_text(handle.target)
    written.rename(target)
    await stop.wait()
    await handle.stop()


if __name__ == "__main__":
    settings = Settings.from_env()
    logs.configure("debug", "json")
    uvloop.run(_serve(settings))
