"""News from other replicas: PostgreSQL's LISTEN on one connection of its own."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from random import uniform
from types import TracebackType
from typing import Any, Final, Self

import asyncpg
import structlog

from server.errors import DatabaseUnavailable
from server.store.database import session_settings

_FIRST_DELAY: Final = 0.05
_LONGEST_DELAY: Final = 5.0
_CONNECT_SECONDS: Final = 5.0
_CHECK_SECONDS: Final = 10.0  # a connection that died without a word is noticed after this

_log = structlog.get_logger(__name__)

OnNews = Callable[[str], None]
OnGap = Callable[[], None]


class Listener:
    """Calls back for every NOTIFY on the channels that were asked for.

    News may be missed while the connection is down. So whenever it is established, the first time included, every
    `on_gap` is called: from then on all news arrives, and what was cached before is to be dropped. Callbacks run on
    the event loop and must not block; an exception in one is logged and stops nothing.
    """

    def __init__(
        self, dsn: str, *, application_name: str = "patchbay-listener", patience: float = _CONNECT_SECONDS
    ) -> None:
        self._dsn = dsn
        self._patience = patience
        self._settings = session_settings(application_name)
        self._news: dict[str, list[OnNews]] = {}
        self._gaps: list[OnGap] = []
        self._task: asyncio.Task[None] | None = None
        self._hearing = asyncio.Event()

    @property
    def hearing(self) -> bool:
        """Whether news arrives now. While it is False, caches that rely on news may be stale."""
        return self._hearing.is_set()

    def on(self, channel: str, news: OnNews, gap: OnGap | None = None) -> None:
        """Asks for the payloads of a channel; before `start` only.

        Raises:
            RuntimeError: The listener has been started.
        """
        if self._task is not None:
            raise RuntimeError(f"channel {channel} was asked for after the start")
        self._news.setdefault(channel, []).append(news)
        if gap is not None:
            self._gaps.append(gap)

    async def start(self) -> None:
        """Connects and returns when news arrives; raises DatabaseUnavailable after `patience` seconds."""
        self._task = asyncio.create_task(self._keep_listening(), name="listener")
        try:
            await asyncio.wait_for(self._hearing.wait(), self._patience)
        except TimeoutError:
            await self.close()
            raise DatabaseUnavailable("PostgreSQL gives no connection to listen on.") from None

    async def close(self) -> None:
        """Stops listening."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _keep_listening(self) -> None:
        delay = _FIRST_DELAY
        while True:
            try:
                await self._listen_once()
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
                _log.warning("listener_lost", error=type(error).__name__)
            delay = _FIRST_DELAY if self._hearing.is_set() else min(delay * 2, _LONGEST_DELAY)
            self._hearing.clear()
            await asyncio.sleep(uniform(delay / 2, delay))  # noqa: S311 - jitter, no secret

    async def _listen_once(self) -> None:
        connection: asyncpg.Connection[Any] = await asyncpg.connect(
            self._dsn, server_settings=self._settings, timeout=_CONNECT_SECONDS, command_timeout=_CONNECT_SECONDS
        )
        try:
            lost = asyncio.Event()
            connection.add_termination_listener(lambda _connection: lost.set())
            for channel in self._news:
                await connection.add_listener(channel, self._dispatch)
            self._hearing.set()
            for gap in self._gaps:
                _call(gap)
            await _while_alive(connection, lost)
        finally:
            connection.terminate()

    def _dispatch(self, _connection: Any, _pid: int, channel: str, payload: object) -> None:
        for news in self._news.get(channel, ()):
            _call(news, str(payload))


async def _while_alive(connection: "asyncpg.Connection[Any]", lost: asyncio.Event) -> None:
    while not lost.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(lost.wait(), _CHECK_SECONDS)
            return
        await connection.execute("SELECT 1")


def _call(callback: Callable[..., None], *arguments: str) -> None:
    try:
        callback(*arguments)
    except Exception:  # noqa: BLE001 - one deaf subscriber must not silence the others
        _log.exception("listener_callback_failed")
