"""The front door: starting, serving, draining, migrating, rotating."""

import asyncio
import contextlib
import gc
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import structlog
import uvloop

from server import logs
from server.composition import House, Register, all_modules, build, master_keys
from server.core.addresses import is_loopback_target
from server.core.administration import ensure_bootstrap_key
from server.core.outbox import NOTIFY_CHANNEL as OUTBOX_CHANNEL
from server.core.vault import RotatableSecrets, Rotation, rotate_secrets
from server.edge.http import HttpDoor
from server.edge.server import Door
from server.edge.tls import PortTls, TlsFiles
from server.services import door, http_doors
from server.settings import Settings
from server.store.credentials import CredentialRows, SystemSecretRows, TokenSecrets
from server.store.database import Database
from server.store.embedded import EmbeddedPostgres
from server.store.migrate import migrate as migrate_database
from server.workers import supervise

_log = structlog.get_logger(__name__)
_LAST_WORD = 5.0
_DRAIN_POLL = 0.05
_GARBAGE = 10_000
"""Objects that come before the collector looks for garbage. Calls make little that reference counts do not end."""


@dataclass(slots=True)
class ServerHandle:
    """A running server.

    Attributes:
        target: Where the gRPC port listens.
        http_targets: Where HTTP ports listen, by the setting that wanted them: `http_listen`, `bot_listen`.
    """

    house: House
    door: Door
    target: str
    jobs: "asyncio.Task[None]"
    postgres: EmbeddedPostgres | None
    http: Sequence[HttpDoor] = ()
    http_targets: Mapping[str, str] = field(default_factory=dict)

    async def stop(self) -> None:
        """Drains and closes: no new work, running executions finish or are handed over (rule 14)."""
        house = self.house
        house.executor.draining = True
        house.watches.drain()
        await self.door.drain()
        for port in self.http:
            await port.stop()
        await asyncio.gather(_drained(house), house.dispatcher.stop(house.settings.drain_seconds))
        await self.door.stop()
        self.jobs.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.jobs
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_LAST_WORD):
                await house.upkeep_store.drop_lease(house.owner)
        await house.close()
        if self.postgres is not None:
            await asyncio.to_thread(self.postgres.stop)


async def start_server(settings: Settings, register: Register = all_modules) -> ServerHandle:
    """Starts a server: database, migrations, services, upkeep. Returns when it answers."""
    tls = _tls(settings)
    async with AsyncExitStack() as undo:
        postgres, dsn = await _database(settings)
        if postgres is not None:
            undo.push_async_callback(asyncio.to_thread, postgres.stop)
        house = await build(settings, dsn, register)
        undo.push_async_callback(house.close)
        if settings.bootstrap_key_file is not None:
            await ensure_bootstrap_key(house.api_keys, settings.bootstrap_key_file)
        await house.upkeep.renew()
        _listen(house)
        await house.listener.start()
        opened = door(house, tls)
        http = http_doors(house)
        opened_at: dict[str | None, str] = {}
        for listen, port in http.items():
            opened_at[listen] = await port.open(listen)
            undo.push_async_callback(port.stop)
        target = await opened.open(settings.listen)
        jobs = asyncio.create_task(_run_jobs(house), name="upkeep")
        _log.info("serving", target=target, actions=len(list(house.registry.actions)))
        undo.pop_all()
    wanted = {"http_listen": settings.http_listen, "bot_listen": settings.bot_listen}
    targets = {name: opened_at[listen] for name, listen in wanted.items() if listen in opened_at}
    return ServerHandle(house, opened, target, jobs, postgres, list(http.values()), targets)


@asynccontextmanager
async def running_server(settings: Settings, register: Register = all_modules) -> AsyncIterator[ServerHandle]:
    """Runs a server for the block."""
    handle = await start_server(settings, register)
    try:
        yield handle
    finally:
        await handle.stop()


def serve(settings: Settings) -> int:
    """Serves until SIGTERM or SIGINT; returns the exit code."""
    logs.configure(settings.log_level, settings.log_format)
    if settings.tls_cert_file is None and not is_loopback_target(settings.listen):
        _log.warning("no TLS beyond this machine", listen=settings.listen, remedy="set TLS_CERT_FILE and TLS_KEY_FILE")
    return supervise(settings, serve_as_worker) if settings.workers > 1 else uvloop.run(_serve(settings))


def serve_as_worker(settings: Settings) -> int:
    """Serves in a process that has just begun, until SIGTERM or SIGINT; returns the exit code."""
    logs.configure(settings.log_level, settings.log_format)
    return uvloop.run(_serve(settings))


def settle_memory() -> None:
    """Has the collector of garbage leave out what a process that only serves holds for good: modules, contracts."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE)


def migrate(settings: Settings) -> int:
    """Brings the database to this version's schema; returns the exit code."""
    asyncio.run(_migrate(settings))
    return 0


def rotate(settings: Settings) -> Rotation:
    """Wraps every stored secret by the current master key."""
    return asyncio.run(_rotate(settings))


async def _serve(settings: Settings) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    handle = await start_server(settings)
    settle_memory()
    await stop.wait()
    _log.info("draining", running=len(handle.house.runner.running))
    await handle.stop()
    _log.info("stopped")
    return 0


def _tls(settings: Settings) -> PortTls | None:
    if settings.tls_cert_file is None or settings.tls_key_file is None:
        return None
    files = TlsFiles(
        certificate=settings.tls_cert_file, key=settings.tls_key_file, client_ca=settings.tls_client_ca_file
    )
    return PortTls(files)


async def _database(settings: Settings) -> tuple[EmbeddedPostgres | None, str]:
    """Returns the migrated database's address, and the embedded server when there is one."""
    if settings.database_url is not None:
        await migrate_database(settings.database_url)
        return None, settings.database_url
    postgres = EmbeddedPostgres(settings.data_dir / "postgres")
    await asyncio.to_thread(postgres.start)
    await migrate_database(postgres.dsn)
    return postgres, postgres.app_dsn


def _listen(house: House) -> None:
    listener, gap = house.listener, house

    def availability(tenant: str) -> None:
        house.connections.forget(tenant)
        house.availabilities.forget(tenant)
        house.watches.notify(tenant)

    def missed() -> None:
        gap.connections.forget_all()
        gap.availabilities.forget_all()
        gap.authenticator.forget_all()
        gap.watches.notify_gap()

    listener.on("patchbay_availability", availability, missed)
    listener.on("patchbay_api_keys", house.authenticator.forget)
    listener.on("patchbay_cancel", house.runner.cancel)
    listener.on(OUTBOX_CHANNEL, house.dispatcher.wake, house.dispatcher.wake)


async def _run_jobs(house: House) -> None:
    async with asyncio.TaskGroup() as group:
        for job in (*house.upkeep.jobs(), house.dispatcher.run()):
            group.create_task(_as_coroutine(job))


async def _as_coroutine(job: object) -> None:
    await job  # type: ignore[misc] # an awaitable of None


async def _drained(house: House) -> None:
    """Waits until nothing is worked on; what has sent nothing is stopped when time is over."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(house.settings.drain_seconds):
            while house.executor.busy:  # noqa: ASYNC110 - two counters decide, no one event
                await asyncio.sleep(_DRAIN_POLL)
    left = [run for run in house.runner.running.values() if run.task is not None and not run.task.done()]
    for run in left:
        house.runner.interrupt(run)
    waiting = [run.task for run in left if run.task is not None]
    if waiting:
        await asyncio.wait(waiting, timeout=_LAST_WORD)


async def _migrate(settings: Settings) -> None:
    postgres, _ = await _database(settings)
    if postgres is not None:
        await asyncio.to_thread(postgres.stop)


async def _rotate(settings: Settings) -> Rotation:
    postgres, dsn = await _database(settings)
    database = await Database.open(dsn)
    try:
        tables: list[RotatableSecrets] = [CredentialRows(database), TokenSecrets(database), SystemSecretRows(database)]
        return await rotate_secrets(master_keys(settings), tables)
    finally:
        await database.close()
        if postgres is not None:
            await asyncio.to_thread(postgres.stop)
