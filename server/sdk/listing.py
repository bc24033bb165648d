"""What a vendor told when it was asked for many things."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """Things of one kind. `complete`: these are all that the vendor has; else it chose them by what was wanted."""

    items: Sequence[T]
    complete: bool = True
