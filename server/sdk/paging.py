"""Walking a vendor's list page by page."""

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from server.sdk.failures import ActionFailure

Row = Mapping[str, Any]
Fetch = Callable[[str | None], Awaitable[tuple[Sequence[Row], str | None]]]
"""Returns the rows of a page and the cursor of the next one; None asks for the first and tells the last."""


def any_row(_row: Row) -> bool:
    """Lets every row pass."""
    return True


async def walked(fetch: Fetch, most: int = sys.maxsize, wanted: Callable[[Row], bool] = any_row) -> list[Row]:
    """Returns the first `most` rows that are wanted, else all; asks for no page that is not needed.

    Raises:
        ActionFailure: VENDOR_ANSWER_INVALID, when a cursor comes twice: such a list would never end.
    """
    rows: list[Row] = []
    seen: set[str] = set()
    cursor: str | None = None
    while True:
        page, cursor = await fetch(cursor)
        rows += [row for row in page if wanted(row)]
        if cursor is None or len(rows) >= most:
            return rows[:most]
        if cursor in seen:
            raise ActionFailure("VENDOR_ANSWER_INVALID", "The vendor's pages lead back to one that was read.")
        seen.add(cursor)
