"""News between replicas, and what happens when it may have been missed."""

import asyncio
from pathlib import Path

import pytest

from server.errors import DatabaseUnavailable
from server.store.embedded import EmbeddedPostgres
from server.store.listen import Listener
from tests.support.postgres import Fresh, statement

pytestmark = pytest.mark.anyio


class Heard:
    """Collects callbacks and lets a test wait for a number of them."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[str] = asyncio.Queue()

    def news(self, payload: str) -> None:
        """Takes a payload."""
        self.queue.put_nowait(payload)

    def gap(self) -> None:
        """Takes a gap."""
        self.queue.put_nowait("(gap)")

    async def next(self) -> str:
        """Returns the next callback."""
        return await asyncio.wait_for(self.queue.get(), 20)


async def test_news_arrives_by_channel(fresh: Fresh) -> None:
    """Each channel's payloads reach its own subscribers, all of them."""
    one, also_one, two = Heard(), Heard(), Heard()
    listener = Listener(fresh.app_dsn)
    listener.on("one", one.news)
    listener.on("one", also_one.news)
    listener.on("two", two.news)
    async with listener:
        await statement(fresh.dsn, "NOTIFY one, 'a'; NOTIFY two, 'b'")
        assert [await one.next(), await also_one.next(), await two.next()] == ["a", "a", "b"]
    assert one.queue.empty()


async def test_a_gap_is_told_whenever_listening_begins(fresh: Fresh) -> None:
    """At the start and after a lost connection the caches are told to forget; news flows again afterwards."""
    heard = Heard()
    listener = Listener(fresh.app_dsn)
    listener.on("one", heard.news, heard.gap)
    async with listener:
        assert await heard.next() == "(gap)"
        await statement(
            fresh.dsn,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'patchbay-listener' AND datname = current_database()",
        )
        assert await heard.next() == "(gap)"
        await statement(fresh.dsn, "NOTIFY one, 'after'")
        assert await heard.next() == "after"


async def test_listening_survives_a_restart_of_postgresql(own_postgres: EmbeddedPostgres) -> None:
    """While the server is down the listener says so and tries again; then everything is as before."""
    heard = Heard()
    listener = Listener(own_postgres.app_dsn)
    listener.on("one", heard.news, heard.gap)
    async with listener:
        assert await heard.next() == "(gap)"
        await asyncio.to_thread(own_postgres.stop)
        assert not listener.hearing
        await asyncio.to_thread(own_postgres.start)
        assert await heard.next() == "(gap)"
        await statement(own_postgres.dsn, "NOTIFY one, 'again'")
        assert await heard.next() == "again"


async def test_a_failing_subscriber_stops_nobody(fresh: Fresh) -> None:
    """An exception in one callback reaches neither the other subscribers nor the connection."""
    heard = Heard()

    def broken(payload: str) -> None:
        raise ValueError(payload)

    listener = Listener(fresh.app_dsn)
    listener.on("one", broken)
    listener.on("one", heard.news)
    async with listener:
        await statement(fresh.dsn, "NOTIFY one, 'a'; NOTIFY one, 'b'")
        assert [await heard.next(), await heard.next()] == ["a", "b"]


async def test_channels_are_named_before_the_start(fresh: Fresh) -> None:
    """A subscription that would silently hear nothing is an error."""
    async with Listener(fresh.app_dsn) as listener:
        with pytest.raises(RuntimeError, match="after the start"):
            listener.on("late", Heard().news)


async def test_a_start_without_a_server_fails(tmp_path: Path) -> None:
    """Nobody there: DatabaseUnavailable, and no task stays behind."""
    before = len(asyncio.all_tasks())
    with pytest.raises(DatabaseUnavailable):
        await Listener(f"postgresql://postgres@/patchbay?host={tmp_path}", patience=0.2).start()
    assert len(asyncio.all_tasks()) == before
