"""When a request is made again, and after how long."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from server.sdk.context import Sleep
from server.sdk.failures import ActionFailure, Effect

_FIRST_PAUSE = 0.2
_LONGEST_ADVICE = 86_400.0
_SECONDS = re.compile(r"[0-9]{1,30}(\.[0-9]{1,30})?")


class Setback(Exception):
    """One attempt failed.

    Args:
        failure: What the caller is told unless another attempt succeeds.
        departed: Whether the vendor may have seen the request.
        passing: Whether another attempt may go better.
        wait: Seconds that the vendor asked to wait.
        harmless: Whether the vendor said that it did nothing, so that even a write is made again.
    """

    def __init__(
        self,
        failure: ActionFailure,
        *,
        departed: bool,
        passing: bool = False,
        wait: float | None = None,
        harmless: bool = False,
    ) -> None:
        super().__init__("attempt failed")
        self.failure = failure
        self.departed = departed
        self.passing = passing
        self.wait = wait
        self.harmless = harmless

    @property
    def doubtful(self) -> bool:
        """Whether the effect may have happened nevertheless."""
        return self.failure.failure.effect == Effect.EFFECT_UNKNOWN


@dataclass(frozen=True, slots=True)
class Patience:
    """Pauses between attempts of one request: exponential with full jitter, on top of what the vendor asks for."""

    sleep: Sleep
    draw: Callable[[], float]

    def pause(self, setback: Setback, attempt: int, remaining: float) -> float | None:
        """Returns the seconds before the next attempt; None when it would not go better, or no time is left."""
        if not setback.passing:
            return None
        pause = (setback.wait or 0.0) + self.draw() * _FIRST_PAUSE * 2 ** (attempt - 1)
        return pause if pause < remaining else None


def advised_wait(header: str, now: float) -> float | None:
    """Returns the seconds that a Retry-After asks for (RFC 9110 section 10.2.3); at most a day, None for nonsense.

    Args:
        header: Seconds, or an HTTP date.
        now: Unix time.
    """
    header = header.strip()
    if _SECONDS.fullmatch(header):
        return min(float(header), _LONGEST_ADVICE)
    try:
        date = parsedate_to_datetime(header)
        seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
    return min(max(0.0, seconds), _LONGEST_ADVICE)
