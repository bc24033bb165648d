"""Finding a run again that the vendor gives no id, in a list of its runs whose numbers grow.

Note the newest number, order the run, and look for what is newer. Who orders holds a lock, so that a run is the only
one of ours; people may start others meanwhile, so what cannot be told apart proves nothing.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from server.sdk.failures import ActionFailure

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Mark:
    """Where the list stood before an order: its newest number, 0 for an empty one, and the vendor's clock."""

    newest: int
    asked_at: datetime

    def evidence(self, **more: str) -> dict[str, str]:
        """Returns what a probe needs, for `ctx.remember`."""
        return {"newest": str(self.newest), "asked_at": self.asked_at.isoformat(), **more}

    @classmethod
    def of(cls, evidence: Mapping[str, str]) -> "Mark | None":
        """Returns the mark that was remembered; None when nothing was sent."""
        if "newest" not in evidence:
            return None
        return cls(int(evidence["newest"]), datetime.fromisoformat(evidence["asked_at"]))


def proved(runs: Sequence[T] | None, mark: Mark, began: Callable[[T], datetime | None], window: timedelta) -> T | None:
    """Returns the run that is proved to be the ordered one: of newer ones the only one that began within the window
    around the order, by the vendor's clock. Several prove nothing, nor does a list that could not be read."""
    times = [(run, began(run)) for run in runs or ()]
    found = [run for run, time in times if time is not None and abs(time - mark.asked_at) <= window]
    return found[0] if len(found) == 1 else None


async def unless_failed(read: Awaitable[T]) -> T | None:
    """Returns what is read. None: it failed, which says nothing about a run."""
    try:
        return await read
    except ActionFailure:
        return None
