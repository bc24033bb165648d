"""Several processes on one port."""

import multiprocessing
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.process import BaseProcess
from types import FrameType

import structlog

from server.settings import Settings
from server.store.embedded import EmbeddedPostgres

_log = structlog.get_logger(__name__)
_POLL = 0.2
Work = Callable[[Settings], int]


def supervise(settings: Settings, work: Work) -> int:
    """Runs `settings.workers` processes until SIGTERM or SIGINT; starts a new one for each that dies.

    The embedded PostgreSQL, when it is used, belongs to this process and is shared by the workers.
    """
    stopping = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    postgres = None
    if settings.database_url is None:
        postgres = EmbeddedPostgres(settings.data_dir / "postgres")
        postgres.start()
        settings = replace(settings, database_url=postgres.dsn)
    workers = [_start(settings, work) for _ in range(settings.workers)]
    while not stopping:
        workers = [_alive(worker, settings, work) for worker in workers]
        time.sleep(_POLL)
    codes = [_end(worker, settings.drain_seconds) for worker in workers]
    if postgres is not None:
        postgres.stop()
    return max(codes)


def _start(settings: Settings, work: Work) -> BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=_exit_with, args=(work, settings))
    process.start()
    return process


def _alive(worker: BaseProcess, settings: Settings, work: Work) -> BaseProcess:
    if worker.is_alive():
        return worker
    _log.error("worker died", exit_code=worker.exitcode)
    time.sleep(_POLL)
    return _start(settings, work)


def _end(worker: BaseProcess, drain_seconds: float) -> int:
    worker.terminate()
    worker.join(drain_seconds + 10)
    if worker.is_alive():
        worker.kill()
        worker.join()
    return 0 if worker.exitcode == 0 else 1


def _exit_with(work: Work, settings: Settings) -> None:
    raise SystemExit(work(settings))
