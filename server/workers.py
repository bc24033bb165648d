"""Several processes on one port, and the one that looks after them.

The supervisor owns the port, the embedded PostgreSQL when it is used, and the workers. What dies is started again: a
worker after a pause that grows while it keeps dying, PostgreSQL at once. A worker of the first start that cannot serve
(wrong settings, no database, no master key) ends everything with its message instead. When the supervisor itself is
killed, its workers drain and leave.
"""

import errno
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

import structlog

from server.errors import PatchbayError
from server.settings import Settings
from server.store.embedded import EmbeddedPostgres
from server.store.embedded_files import EmbeddedPostgresFailed

_log = structlog.get_logger(__name__)
_POLL = 0.2
_SHORT_LIFE = 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_LAST_WORDS = 30.0  # beyond the drain: outcomes, audit rows and the lease on their way to a slow database
_CANNOT_SERVE = 6
Work = Callable[[Settings], int]


class WorkersFailed(PatchbayError):
    """A worker could not begin to serve."""


def supervise(settings: Settings, work: Work) -> int:
    """Runs `settings.workers` processes until SIGTERM or SIGINT; returns 0 when all of them drained.

    Args:
        settings: Their settings; without a database's address they share an embedded one.
        work: What a process does; it raises when it cannot begin to.

    Raises:
        WorkersFailed: A worker of the first start could not begin.
        OSError: The port is taken.
        EmbeddedPostgresFailed: The embedded PostgreSQL does not start.
    """
    supervisor = _Supervisor(settings, work)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, supervisor.stop)
    with ExitStack() as undo:
        for listen in filter(None, (settings.listen, settings.bot_listen)):
            undo.enter_context(_reserved(listen))
        if settings.database_url is None:
            postgres = EmbeddedPostgres(settings.data_dir / "postgres")
            undo.callback(postgres.stop)
            supervisor.use(postgres)
        return supervisor.run()


class _Supervisor:
    """The workers, and the PostgreSQL that they share."""

    def __init__(self, settings: Settings, work: Work) -> None:
        self._settings = settings
        self._work = work
        self._stopping = False
        self._postgres: EmbeddedPostgres | None = None

    def stop(self, _number: int, _frame: FrameType | None) -> None:
        """Takes the signal to end."""
        self._stopping = True

    def use(self, postgres: EmbeddedPostgres) -> None:
        """Starts PostgreSQL and lets the workers use it."""
        postgres.start()
        self._postgres = postgres
        self._settings = replace(self._settings, database_url=postgres.dsn)

    def run(self) -> int:
        """Keeps everything running until it is told to stop."""
        workers = [_Worker(self._settings, self._work) for _ in range(self._settings.workers)]
        try:
            while not self._stopping:
                self._keep_postgres()
                for worker in workers:
                    worker.keep()
                time.sleep(_POLL)
        finally:
            code = _end(workers, self._settings.drain_seconds + _LAST_WORDS)
        return code

    def _keep_postgres(self) -> None:
        if self._postgres is None or self._postgres.pid is not None:
            return
        _log.error("PostgreSQL died")
        try:
            self._postgres.start()
        except EmbeddedPostgresFailed as failed:
            _log.error("PostgreSQL does not start", error=str(failed))


class _Worker:
    """One place for a process, filled again when its process dies."""

    def __init__(self, settings: Settings, work: Work) -> None:
        self._settings = settings
        self._work = work
        self._pause = _FIRST_PAUSE
        self._replaced = False
        self._life = _Life.begin(settings, work)
        self._due: float | None = None

    @property
    def process(self) -> BaseProcess:
        """The process that is or was in this place."""
        return self._life.process

    def keep(self) -> None:
        """Starts the process again when it has died and its pause is over."""
        if self.process.is_alive():
            return
        if self._due is None:
            self._mourn()
        elif time.monotonic() >= self._due:
            self._replaced, self._due = True, None
            self._life = _Life.begin(self._settings, self._work)

    def _mourn(self) -> None:
        code, said = self.process.exitcode, self._life.said()
        if not self._replaced and code is not None and code > 0:
            raise WorkersFailed(said or f"A worker ended with {code} before it served; its log tells more.")
        short = time.monotonic() - self._life.began < _SHORT_LIFE
        self._pause = min(_LONGEST_PAUSE, self._pause * 2) if short else _FIRST_PAUSE
        self._due = time.monotonic() + self._pause
        _log.error("worker died", exit_code=code, error=said, again_in=self._pause)


@dataclass(frozen=True, slots=True)
class _Life:
    """One process from its start to its end."""

    process: BaseProcess
    reader: Connection
    began: float

    @classmethod
    def begin(cls, settings: Settings, work: Work) -> "_Life":
        """Starts a process."""
        context = multiprocessing.get_context("spawn")
        reader, writer = context.Pipe(duplex=False)
        process = context.Process(target=_serve, args=(work, settings, writer), name="worker")
        process.start()
        writer.close()
        return cls(process, reader, time.monotonic())

    def said(self) -> str:
        """Returns why a dead process could not serve; empty when it did not say."""
        try:
            return str(self.reader.recv()) if self.reader.poll() else ""
        except EOFError:
            return ""
        finally:
            self.reader.close()


def _end(workers: list[_Worker], seconds: float) -> int:
    """Lets all processes drain at the same time; those that do not end within `seconds` are killed."""
    told = [worker.process for worker in workers if worker.process.is_alive()]
    for process in told:
        process.terminate()
    give_up = time.monotonic() + seconds
    for process in told:
        process.join(max(0.0, give_up - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
    # One that had not come to taking signals when it was told had not begun to serve either.
    return 0 if all(process.exitcode in {0, -signal.SIGTERM} for process in told) else 1


def _serve(work: Work, settings: Settings, writer: Connection) -> None:
    """What a process does from its start to its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the supervisor too, which then tells us
    patience = settings.drain_seconds + _LAST_WORDS
    threading.Thread(target=_leave_with_parent, args=(patience,), name="parent", daemon=True).start()
    try:
        code = work(settings)
    except (PatchbayError, OSError) as error:
        writer.send(str(error))
        code = _CANNOT_SERVE
    raise SystemExit(code)


def _leave_with_parent(patience: float) -> None:
    """Drains this process when the supervisor dies: nobody would look after it any more."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(patience)
    os._exit(1)


@contextmanager
def _reserved(listen: str) -> Iterator[None]:
    """Keeps an address for workers, which share it: nobody else gets it while they come and go.

    Raises:
        OSError: Somebody has it, another server with workers included.
    """
    host, _, port = listen.rpartition(":")
    with ExitStack() as held:
        try:
            found = socket.getaddrinfo(host.strip("[]") or None, int(port), type=socket.SOCK_STREAM)
            sockets = [_hold(*one) for one in found]
        except OSError as error:
            raise OSError(f"cannot listen on {listen}: {error.strerror}") from error
        for one in sockets:
            if one is not None:
                held.enter_context(one)
        yield


def _hold(family: int, kind: int, protocol: int, _name: str, address: tuple[Any, ...]) -> socket.socket | None:
    """Returns a socket that is bound and does not listen; None where this machine has no such address."""
    try:
        with socket.socket(family, kind, protocol) as alone:
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            alone.bind(address)  # fails where anybody listens, sharing or not
    except OSError as error:
        if error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
            return None  # `localhost` may name an IPv6 address where there is no IPv6
        raise
    shared = socket.socket(family, kind, protocol)
    shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    shared.bind(address)
    return shared
