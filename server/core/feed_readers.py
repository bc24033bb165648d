"""Which readings of calendar feeds are noted: calendar programs ask every few minutes, and nobody counts that."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Final

_MOST: Final = 100


class FeedReaders:
    """The readers that this process has seen on the current day (UTC).

    Args:
        clock: Now, with time zone.
    """

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._day = date.min
        self._seen: dict[str, set[tuple[str, str]]] = {}

    def is_new(self, feed_id: str, peer: str, reason: str) -> bool:
        """Says whether a reading is the first of its kind today. Of one feed at most 100 are.

        Args:
            feed_id: Id of a feed that exists, so that nobody fills our memory.
            peer: Address of the reader.
            reason: Why it was refused; empty when it was not.
        """
        today = self._clock().astimezone(UTC).date()
        if today != self._day:
            self._day, self._seen = today, {}
        seen = self._seen.setdefault(feed_id, set())
        if (peer, reason) in seen or len(seen) >= _MOST:
            return False
        seen.add((peer, reason))
        return True
