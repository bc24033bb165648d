"""Time zones that Graph takes.

Facts: the names that Microsoft's page on the type `dateTimeTimeZone` lists beside those of Windows. Others may be
refused with `TimeZoneNotSupportedException`, so a zone is told by a listed one whose clock is the same.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final

from server.sdk.schedule import zone_of

_LISTED: Final = tuple(Path(__file__).with_name("zones.txt").read_text(encoding="utf-8").split())
"""The most used ones first: the first with the same clock is told."""


def told_zone(name: str | None, times: Iterable[datetime]) -> str:
    """Returns the name by which Graph knows a zone: itself where it is listed, else a listed one with the same clock at
    all those times, else itself. None is UTC."""
    if name in {None, "UTC", "Etc/UTC"}:
        return "UTC"
    assert name is not None  # noqa: S101 - it is in the set above
    return name if name in _LISTED else _alike(name, tuple(times))


@lru_cache(maxsize=512)
def _alike(name: str, times: tuple[datetime, ...]) -> str:
    zone = zone_of(name)
    clock = [(time, time.astimezone(zone).utcoffset()) for time in times]
    return next((one for one in _LISTED if _goes_by(one, clock)), name)


def _goes_by(name: str, clock: Sequence[tuple[datetime, timedelta | None]]) -> bool:
    zone = zone_of(name)
    return all(time.astimezone(zone).utcoffset() == offset for time, offset in clock)
