"""What a vendor client keeps for a moment because many calls need it."""

from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from server.sdk.context import Deadline
from server.sdk.failures import ActionFailure

T = TypeVar("T")

_SECONDS: Final = 60.0


class Recent(Generic[T]):
    """Something that helps and is not needed, such as names for ids: at most a minute old.

    Args:
        read: Asks the vendor.
        otherwise: What counts when it cannot be had. It is asked for again at the next call: a right that was just
            granted counts at once.
    """

    def __init__(self, read: Callable[[], Awaitable[T]], otherwise: T) -> None:
        self._read = read
        self._otherwise = otherwise
        self._kept: tuple[Deadline, T] | None = None

    async def get(self) -> T:
        """Returns it, or `otherwise`."""
        if self._kept is not None and self._kept[0].remaining():
            return self._kept[1]
        try:
            found = await self._read()
        except ActionFailure:
            return self._otherwise
        self._kept = Deadline.after(_SECONDS), found
        return found
