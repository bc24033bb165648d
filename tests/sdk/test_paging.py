"""Walking lists: as many pages as needed, never in circles."""

from collections.abc import Sequence

import pytest

from server.sdk import ActionFailure
from server.sdk.paging import Row, any_row, walked

pytestmark = pytest.mark.anyio

PAGES: dict[str | None, tuple[Sequence[Row], str | None]] = {
    None: ([{"id": 1}, {"id": 2}], "a"),
    "a": ([{"id": 3}], "b"),
    "b": ([], "c"),
    "c": ([{"id": 4}], None),
}


class Vendor:
    """Answers from pages and notes what was asked for."""

    def __init__(self, pages: dict[str | None, tuple[Sequence[Row], str | None]]) -> None:
        self.pages = pages
        self.asked: list[str | None] = []

    async def __call__(self, cursor: str | None) -> tuple[Sequence[Row], str | None]:
        """Returns a page."""
        self.asked.append(cursor)
        return self.pages[cursor]


@pytest.mark.parametrize(
    ("most", "ids", "asked"),
    [
        (1, [1], [None]),
        (2, [1, 2], [None]),
        (3, [1, 2, 3], [None, "a"]),
        (9, [1, 2, 3, 4], [None, "a", "b", "c"]),
    ],
)
async def test_no_page_is_asked_for_that_is_not_needed(most: int, ids: list[int], asked: list[str | None]) -> None:
    """The walk ends at the limit or the last page; an empty page in between ends nothing."""
    vendor = Vendor(PAGES)
    assert [row["id"] for row in await walked(vendor, most, any_row)] == ids
    assert vendor.asked == asked


async def test_the_limit_counts_what_is_wanted() -> None:
    """Rows that are not wanted take no place."""
    vendor = Vendor(PAGES)
    assert await walked(vendor, 2, lambda row: row["id"] % 2 == 0) == [{"id": 2}, {"id": 4}]


@pytest.mark.parametrize("circle", ["a", "b"])
async def test_pages_in_a_circle_are_a_failure(circle: str) -> None:
    """A cursor that came before would make the list endless."""
    vendor = Vendor({**PAGES, "b": ([], circle)})
    with pytest.raises(ActionFailure, match="VENDOR_ANSWER_INVALID"):
        await walked(vendor, 9)
    assert len(vendor.asked) == 3
