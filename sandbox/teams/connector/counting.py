"""Requests of a bot, counted per conversation and per directory."""

from collections.abc import Sequence

from sandbox.teams.limits import ALL_BOTS, APP_IN_DIRECTORY, READS, WRITES, Window
from sandbox.teams.models import Directory
from sandbox.teams.wire import Call, connector_error


def count_write(call: Call, kind: str, conversation: str, directory: Directory, cost: int = 1) -> None:
    """Counts a send or a creation, split messages by their parts. Raises the 429 of a full window."""
    windows = [Window((kind, call.bot.app_id, conversation), WRITES), Window((kind, conversation), ALL_BOTS)]
    _count(call, windows, directory, cost)


def count_read(call: Call, kind: str, conversation: str, directory: Directory) -> None:
    """Counts a reading. Raises the 429 of a full window."""
    _count(call, [Window((kind, call.bot.app_id, conversation), READS)], directory)


def _count(call: Call, windows: Sequence[Window], directory: Directory, cost: int = 1) -> None:
    if not call.world.settings.limits:
        return
    everything = Window(("all", call.bot.app_id, directory.id), APP_IN_DIRECTORY)
    if wait := call.world.limits.admit([*windows, everything], call.world.now(), cost):
        raise connector_error(429, "Throttled", "Too many requests.", {"retry-after": str(wait)})
