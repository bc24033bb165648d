"""Sliding windows: how many requests may fall into any span of so many seconds.

Facts: MicrosoftDocs/msteams-docs, rate-limit.md @ 000c7b8 (values per bot and conversation, called estimates there);
50 requests a second per app and tenant in its later text; Graph's throttling-limits.md @ 0135174.
"""

import math
from collections import defaultdict, deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

Rules = Sequence[tuple[float, int]]
"""Pairs of seconds and requests."""

WRITES: Rules = ((1, 7), (2, 8), (30, 60), (3600, 1800))
READS: Rules = ((1, 14), (2, 16), (30, 120), (3600, 3600))
ALL_BOTS: Rules = ((1, 14), (2, 16))
APP_IN_DIRECTORY: Rules = ((1, 50),)
NOTIFICATIONS: Rules = ((1, 5),)
NOTIFICATIONS_OF_APP: Rules = ((1, 50),)


@dataclass(frozen=True, slots=True)
class Window:
    """What is counted together, and how much of it is allowed."""

    key: tuple[Hashable, ...]
    rules: Rules


class Limits:
    """Everything that was counted."""

    def __init__(self) -> None:
        self._events: defaultdict[tuple[Hashable, ...], deque[float]] = defaultdict(deque)

    def admit(self, windows: Sequence[Window], now: float, cost: int = 1) -> int:
        """Counts a request in all windows, unless one is full.

        Returns:
            Whole seconds until there is room; 0 when it was counted.
        """
        waits = [self._wait(window, now, cost) for window in windows]
        if longest := max(waits, default=0):
            return longest
        for window in windows:
            self._events[window.key].extend([now] * cost)
        return 0

    def _wait(self, window: Window, now: float, cost: int) -> int:
        events = self._events[window.key]
        while events and events[0] <= now - max(seconds for seconds, _ in window.rules):
            events.popleft()
        return max(_room(events, seconds, allowed, now, cost) for seconds, allowed in window.rules)


def _room(events: deque[float], seconds: float, allowed: int, now: float, cost: int) -> int:
    inside = [at for at in events if at > now - seconds]
    over = len(inside) + min(cost, allowed) - allowed
    return math.ceil(max(inside[over - 1] + seconds - now, 1)) if over > 0 else 0
