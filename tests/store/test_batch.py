"""Batches: together, in order, each item once, nothing lost."""

import asyncio
from collections.abc import Sequence

import pytest

from server.errors import DatabaseUnavailable
from server.store.batch import Batcher

pytestmark = pytest.mark.anyio


class Sink:
    """Takes batches; `failures` are raised first, one per try."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.batches: list[tuple[int, ...]] = []
        self.tries: list[tuple[int, ...]] = []
        self.open = asyncio.Event()
        self.open.set()

    @property
    def items(self) -> list[int]:
        """Everything that was written, in order."""
        return [item for batch in self.batches for item in batch]

    async def take(self, batch: Sequence[int]) -> None:
        """Writes a batch."""
        self.tries.append(tuple(batch))
        await self.open.wait()
        if self.failures:
            raise self.failures.pop(0)
        if any(item < 0 for item in batch):
            raise ValueError("an item that cannot be written")
        self.batches.append(tuple(batch))


async def test_items_are_written_together_and_in_order() -> None:
    """Full batches leave at once; `flush` also sends the rest without waiting for company."""
    sink = Sink()
    batcher = Batcher(sink.take, max_items=4, max_wait=3600)
    for item in range(10):
        await batcher.add(item)
    await batcher.flush()
    assert sink.batches == [(0, 1, 2, 3), (4, 5, 6, 7), (8, 9)]
    await batcher.close()


async def test_a_lonely_item_leaves_after_a_while() -> None:
    """Without company and without `flush` an item is written after `max_wait`."""
    sink = Sink()
    batcher = Batcher(sink.take, max_items=100, max_wait=0.01)
    await batcher.add(1)
    async with asyncio.timeout(20):
        while not sink.batches:
            await asyncio.sleep(0.005)
    assert sink.batches == [(1,)]
    await batcher.close()


async def test_flush_with_nothing_to_write_returns() -> None:
    """`flush` and `close` on an idle batcher do nothing, and a flush does not hasten later items."""
    sink = Sink()
    batcher = Batcher(sink.take, max_items=2, max_wait=3600)
    await batcher.flush()
    await batcher.add(1)
    await batcher.add(2)
    await batcher.flush()
    assert sink.batches == [(1, 2)]
    await batcher.close()
    await batcher.close()


async def test_an_unavailable_database_delays_and_loses_nothing() -> None:
    """The same batch is tried again until it is taken; later items keep their order."""
    sink = Sink(DatabaseUnavailable("down"), DatabaseUnavailable("down", maybe_committed=True))
    batcher = Batcher(sink.take, max_items=3, max_wait=0.001)
    for item in range(5):
        await batcher.add(item)
    await batcher.flush()
    assert sink.tries[:3] == [(0, 1, 2)] * 3
    assert sink.items == [0, 1, 2, 3, 4]
    await batcher.close()


async def test_an_item_that_cannot_be_written_stops_nobody_else() -> None:
    """A poisonous item is found by halving, dropped and counted; the others are written once, in order."""
    sink = Sink()
    batcher = Batcher(sink.take, max_items=8, max_wait=0.001)
    for item in (0, 1, 2, -3, 4, 5, 6, 7):
        await batcher.add(item)
    await batcher.flush()
    assert sink.items == [0, 1, 2, 4, 5, 6, 7]
    assert batcher.dropped == 1
    await batcher.close()


async def test_a_full_queue_holds_callers_back() -> None:
    """With `capacity` unwritten items the next `add` waits until there is room, and then goes on."""
    sink = Sink()
    sink.open.clear()
    batcher = Batcher(sink.take, max_items=2, max_wait=0.001, capacity=4)
    for item in range(4):
        await batcher.add(item)
    fifth = asyncio.create_task(batcher.add(4))
    done, _ = await asyncio.wait([fifth], timeout=0.05)
    assert not done
    sink.open.set()
    await fifth
    await batcher.flush()
    assert sink.items == [0, 1, 2, 3, 4]
    await batcher.close()


async def test_closing_writes_what_is_left_and_gives_up_in_the_end() -> None:
    """`close` flushes; when the database stays away it returns after its patience instead of hanging."""
    sink = Sink()
    batcher = Batcher(sink.take, max_items=100, max_wait=3600)
    await batcher.add(1)
    await batcher.close()
    assert sink.items == [1]
    stuck = Sink()
    stuck.open.clear()
    batcher = Batcher(stuck.take, max_wait=0.001)
    await batcher.add(1)
    await batcher.close(patience=0.05)
    assert stuck.items == []
