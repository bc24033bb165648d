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
        otherwise: What counts while it cannot be had; for a minute when the account may not have it.
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
        except ActionFailure as failure:
            if failure.failure.reason != "VENDOR_PERMISSION_DENIED":
                return self._otherwise
            found = self._otherwise
        self._kept = Deadline.after(_SECONDS), found
        return found
