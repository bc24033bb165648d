"""Runs without an id: the mark before an order, and what proves that a run is the ordered one."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from server.sdk import ActionFailure
from server.sdk.following import Mark, proved, unless_failed

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WINDOW = timedelta(seconds=30)


def test_a_mark_comes_back_out_of_the_evidence() -> None:
    """Beside what else a module remembers; without evidence there is none."""
    mark = Mark(41, NOON)
    assert mark.evidence(script="Clear temp") == {
        "newest": "41",
        "asked_at": "2026-03-01T12:00:00+00:00",
        "script": "Clear temp",
    }
    assert Mark.of(mark.evidence(script="Clear temp")) == mark
    assert Mark.of({}) is None


@pytest.mark.parametrize(
    ("seconds", "found"),
    [
        ([0.0], 0.0),
        ([-30.0], -30.0),
        ([30.5], None),
        ([5.0, 600.0], 5.0),
        ([5.0, 6.0], None),
        ([None], None),
        ([], None),
    ],
)
def test_only_one_run_around_the_order_is_proved(seconds: Sequence[float | None], found: float | None) -> None:
    """Several prove nothing, nor do runs from other times or without one."""

    def began(run: float | None) -> datetime | None:
        return None if run is None else NOON + timedelta(seconds=run)

    assert proved(seconds, Mark(0, NOON), began, WINDOW) == found


def test_a_list_that_could_not_be_read_proves_nothing() -> None:
    """It is not taken for an empty one, and an empty one proves nothing either."""
    runs: Sequence[datetime] | None = None
    assert proved(runs, Mark(0, NOON), lambda run: run, WINDOW) is None


async def test_a_failure_to_read_says_nothing() -> None:
    """It is no news; what is read is."""

    async def read(*, broken: bool) -> str:
        if broken:
            raise ActionFailure("VENDOR_ERROR", "No.")
        return "news"

    assert await unless_failed(read(broken=False)) == "news"
    assert await unless_failed(read(broken=True)) is None
