"""The server under test: as `patchbay serve`, with the lab module beside the real ones."""

from typing import Any

from benchmarks import child
from server import logs
from server.app import running_server, settle_memory
from server.composition import all_modules
from server.sdk import Registrar
from server.settings import Settings
from tests.support import lab


def _register(registrar: Registrar) -> None:
    all_modules(registrar)
    lab.register(registrar)


async def _job(_config: dict[str, Any]) -> None:
    settings = Settings.from_env(listen="127.0.0.1:0")
    logs.configure(settings.log_level, settings.log_format)
    async with running_server(settings, _register) as handle:
        settle_memory()
        child.say({"address": handle.target})
        await child.until_parent_leaves()


if __name__ == "__main__":
    child.run(_job)
