"""Where the suite plays: server processes on an embedded database of their own."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import asyncpg

from server.composition import Register
from server.conformance.bench import name_of
from server.conformance.calls import Caller
from server.store.embedded import EmbeddedPostgres

LEASE_SECONDS = 2.0
_START_SECONDS = 120.0
_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder with an unforeseeable name is made in it
_ROOM = 1_000_000_000


class Process:
    """One server process.

    Args:
        folder: Where its log and its address go.
        environment: What it is told.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        folder.mkdir()
        self.log = folder / "log"
        told = folder / "target"
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "server.conformance.serve"],
                env={**environment, "CONFORMANCE_TARGET": str(told)},
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not told.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"the server did not start: {self.log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.02)
        self.caller = Caller(told.read_text())

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._process.wait()

    def end(self) -> int:
        """Ends it as an operator does; returns the exit code."""
        self.caller.close()
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(_START_SECONDS)
        finally:
            self.kill()


class Stage:
    """A database, and servers on it that have the same modules.

    Args:
        register: Registers the modules.
    """

    def __init__(self, register: Register) -> None:
        roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM
        self.folder = Path(tempfile.mkdtemp(prefix="patchbay-conformance-", dir=_MEMORY if roomy else None))
        self.trouble = self.folder / "trouble"
        self.trouble.mkdir()
        self._register = register
        self._count = 0

    @cached_property
    def server(self) -> Process:
        """The server that all cases share; it brings the database up."""
        return self._start()

    @property
    def caller(self) -> Caller:
        """Calls the server that all cases share."""
        return self.server.caller

    def log(self) -> bytes:
        """What the shared server has logged so far."""
        return self.server.log.read_bytes()

    def another(self) -> Process:
        """Starts another server on the same database."""
        return self._start(PATCHBAY_DATABASE_URL=self._postgres.dsn)

    def rows(self, statement: str, *arguments: Any) -> Sequence[Any]:
        """Returns the rows of one statement, made as the owner of the database for all tenants."""

        async def fetched() -> Sequence[Any]:
            connection = await asyncpg.connect(self._postgres.dsn)
            try:
                await connection.execute("SELECT set_config('patchbay.tenant', '*', false)")
                return await connection.fetch(statement, *arguments)
            finally:
                await connection.close()

        return asyncio.run(fetched())

    def close(self) -> None:
        """Ends the server, and removes everything."""
        if "server" in self.__dict__:
            self.server.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _postgres(self) -> EmbeddedPostgres:
        return EmbeddedPostgres(self.folder / "data" / "postgres")

    def _start(self, **more: str) -> Process:
        self._count += 1
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PATCHBAY_")}
        environment = {
            **kept,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "PATCHBAY_LISTEN": "127.0.0.1:0",
            "PATCHBAY_DATA_DIR": str(self.folder / "data"),
            "PATCHBAY_LEASE_SECONDS": str(LEASE_SECONDS),
            "CONFORMANCE_REGISTER": name_of(self._register),
            "CONFORMANCE_TROUBLE": str(self.trouble),
            **more,
        }
        return Process(self.folder / f"server-{self._count}", environment)
