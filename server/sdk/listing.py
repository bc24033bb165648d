"""What a vendor told when it was asked for many things."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """Things of one kind.

    Attributes:
        items: What the vendor told.
        complete: These are all that it has; else it chose them by what was wanted, or told a part only.
        searched: It looked for the wanted text itself, perhaps in more than it tells.
    """

    items: Sequence[T]
    complete: bool = True
    searched: bool = False
