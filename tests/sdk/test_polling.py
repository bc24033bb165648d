"""Waiting for something at the vendor."""

from itertools import islice

import pytest

from server.sdk import Deadline
from server.sdk.polling import awaited, doubling, watched

pytestmark = pytest.mark.anyio


def test_pauses_double_up_to_the_longest() -> None:
    """Each pause is twice the one before until the longest, which then repeats."""
    assert list(islice(doubling(1.0, 5.0), 5)) == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_a_wait_is_part_of_the_time_and_leaves_some_to_tell_the_end() -> None:
    """A short wait is as long as it was asked for; a long one ends five seconds before the execution."""
    execution = Deadline.after(100)
    assert execution.part(3_600) == Deadline(execution.at - 5)
    assert execution.part(10).at < execution.at - 50


class Looks:
    """Has something at a given look, and notes the pauses in between."""

    def __init__(self, there_at: int) -> None:
        self.there_at = there_at
        self.looks = 0
        self.slept: list[float] = []

    async def look(self) -> str | None:
        """Looks."""
        self.looks += 1
        return "there" if self.looks >= self.there_at else None

    async def sleep(self, seconds: float) -> None:
        """Notes the pause instead of making it."""
        self.slept.append(seconds)


async def test_the_first_look_is_at_once_and_the_last_one_finds() -> None:
    """What is there at the third look is returned after two pauses."""
    looks = Looks(3)
    assert await awaited(looks.look, Deadline.after(60), doubling(1, 8), looks.sleep) == "there"
    assert looks.slept == [1, 2]


async def test_the_end_of_the_pauses_or_of_the_limit_ends_the_wait() -> None:
    """None when the pauses are used up, and when the limit has passed, which still allows one look."""
    looks = Looks(100)
    assert await awaited(looks.look, Deadline.after(60), [1.0, 2.0], looks.sleep) is None
    assert looks.looks == 2
    looks = Looks(100)
    assert await awaited(looks.look, Deadline.after(0), doubling(1, 8), looks.sleep) is None
    assert (looks.looks, looks.slept) == (1, [])


async def test_what_was_seen_last_is_told_whether_it_is_over_or_not() -> None:
    """A watch ends with the end, with the limit, or with the last pause; it looks at least once."""
    seen = iter(["waiting", "running", "ended", "gone"])

    async def look() -> str:
        return next(seen)

    async def sleep(_seconds: float) -> None:
        """Takes no time."""

    def over(word: str) -> bool:
        return word == "ended"

    assert await watched(look, over, Deadline.after(0), doubling(1.0, 1.0), sleep) == "waiting"
    assert await watched(look, over, Deadline.after(60), doubling(1.0, 1.0), sleep) == "ended"
    assert await watched(look, over, Deadline.after(60), [1.0], sleep) == "gone"
