"""A PostgreSQL 18 of our own in a data folder, for those who bring none.

The server listens on a socket in a folder that only its owner can enter, on no network address, and asks for no
password there. It runs under a small shell that reads a pipe from this process: whatever ends this process, kill -9
included, closes the pipe, and the shell then shuts PostgreSQL down. A start waits for such a shutdown to end.
"""

import fcntl
import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import IO, Final
from urllib.parse import quote

from server.store.embedded_files import (
    MAJOR,
    EmbeddedPostgresFailed,
    SystemUser,
    leave_socket_folder,
    prepare_folder,
    programs,
    socket_folder,
    system_user,
)
from server.store.session import ROLE

DATABASE: Final = "patchbay"
_SUPERUSER: Final = "postgres"
_START_SECONDS: Final = 120.0  # recovery after a crash reads the log since the last checkpoint
_STOP_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.02
_MESSAGE_LIMIT: Final = 2_000
_INITDB: Final = (
    "--auth-local=trust",  # whoever can enter the socket's folder is the owner
    "--auth-host=reject",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
)
# Secrets in our environment are not PostgreSQL's business.
_ENVIRONMENT: Final = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
_SETTINGS: Final = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    # Neither statements nor the values in them belong into a log file.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
# The server runs beside a reader of our pipe. End of the pipe: fast shutdown. End of the server: end of the shell.
_GUARD: Final = (
    'exec 3<&0; "$@" 3<&- & server=$!; '
    "{ read -r _ <&3; kill -INT $server; } & reader=$!; "
    "exec 3<&-; wait $server; ended=$?; kill $reader 2>/dev/null; exit $ended"
)


class DataFolderInUse(EmbeddedPostgresFailed):
    """Another process runs the PostgreSQL of this folder."""


class EmbeddedPostgres:
    """One server on one data folder, started and stopped by this process.

    Args:
        data_dir: The folder; created when missing. Keeps `cluster/`, `socket/`, `server.log` and the lock.
        settings: Further PostgreSQL settings, such as `{"fsync": "off"}` for tests.

    A child that is forked (not spawned) from this process keeps the pipe open, and PostgreSQL up, until it ends too.
    """

    def __init__(self, data_dir: Path, settings: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir.absolute()
        self._cluster = self.data_dir / "cluster"
        self._log = self.data_dir / "server.log"
        self._settings = {**_SETTINGS, **(settings or {})}
        self._programs = programs()
        self._lock: IO[str] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        """Connection string of the owner, for migrations."""
        return self._dsn(_SUPERUSER)

    @property
    def app_dsn(self) -> str:
        """Connection string of `patchbay_app`, for the server's own work: it can become no other role."""
        return self._dsn(ROLE)

    @property
    def pid(self) -> int | None:
        """Process id of the running PostgreSQL."""
        return _running(self._cluster)

    def start(self) -> None:
        """Starts the server and returns when it takes connections; about 1 s the first time, 0.1 s later.

        Raises:
            DataFolderInUse: Another process has it.
            EmbeddedPostgresFailed: Not startable; the end of its log is in the message.
        """
        if self._guard is not None and self._guard.poll() is None and self.pid is not None:
            return
        user = system_user(self.data_dir)
        prepare_folder(self.data_dir, self._programs, user)
        try:
            self._take_lock()
            self._end_predecessor()
            if not self._cluster.exists():
                self._initialize(user)
            self._check_version()
            self._launch_patiently(user)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Shuts the server down (open transactions are rolled back) and releases the folder."""
        self._hang_up()
        if self._lock is not None:
            leave_socket_folder(self.data_dir)
            self._lock.close()
            self._lock = None

    def restart(self) -> None:
        """Stops and starts; every connection breaks."""
        self.stop()
        self.start()

    def _dsn(self, role: str) -> str:
        return f"postgresql://{role}@/{DATABASE}?host={quote(str(socket_folder(self.data_dir)), safe='')}"

    def _take_lock(self) -> None:
        if self._lock is not None:
            return
        lock = (self.data_dir / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise DataFolderInUse(
                f"Another process already runs the PostgreSQL in {self.data_dir}: stop it, choose another folder, or "
                "let both use one server through DATABASE_URL."
            ) from None
        self._lock = lock

    def _end_predecessor(self) -> None:
        # We hold the lock, so a server that still runs here has lost its owner.
        give_up = monotonic() + _STOP_SECONDS
        while (pid := self.pid) is not None:
            if monotonic() > give_up:
                raise EmbeddedPostgresFailed(f"A PostgreSQL (process {pid}) in {self.data_dir} does not shut down.")
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)
            sleep(_POLL_SECONDS)

    def _initialize(self, user: SystemUser) -> None:
        # Renamed when it is complete, so that an interrupted start leaves no half cluster.
        fresh = self.data_dir / "cluster.new"
        user.remove(fresh)
        self._run(user, "initdb", "-D", str(fresh), "-U", _SUPERUSER, *_INITDB)
        roles = f"CREATE ROLE {ROLE} LOGIN NOSUPERUSER NOBYPASSRLS;\nCREATE DATABASE {DATABASE};\n"
        single = ("--single", "-D", str(fresh), "-c", "log_min_messages=error")
        self._run(user, "postgres", *single, "postgres", sql=roles)
        fresh.rename(self._cluster)

    def _run(self, user: SystemUser, program: str, *arguments: str, sql: str = "") -> None:
        done = subprocess.run(  # noqa: S603 - our own program from the installed wheel
            [self._programs / program, *arguments],
            input=sql.encode(),
            capture_output=True,
            check=False,
            env=_ENVIRONMENT,
            **user.as_arguments(),
        )
        if done.returncode != 0:
            raise EmbeddedPostgresFailed(f"{program} failed in {self.data_dir}: {_tail(done.stderr)}")

    def _check_version(self) -> None:
        found = (self._cluster / "PG_VERSION").read_text().strip()
        if found != str(MAJOR):
            raise EmbeddedPostgresFailed(
                f"{self.data_dir} was made by PostgreSQL {found}, this is {MAJOR}: dump it with the old version and "
                "restore it into a new folder."
            )

    def _launch_patiently(self, user: SystemUser) -> None:
        give_up = monotonic() + _STOP_SECONDS
        while not self._launch(user):
            # After a kill -9 of PostgreSQL's main process the others take a moment to notice and end.
            if monotonic() > give_up or b"shared memory" not in self._said():
                raise EmbeddedPostgresFailed(f"PostgreSQL did not start in {self.data_dir}: {_tail(self._said())}")
            sleep(_POLL_SECONDS)

    def _hang_up(self) -> None:
        guard, self._guard = self._guard, None
        if guard is not None and guard.stdin is not None:
            guard.stdin.close()
            self._await_end(guard)

    def _launch(self, user: SystemUser) -> bool:
        self._hang_up()  # on one whose server has died
        options = [f"-c{name}={value}" for name, value in self._settings.items()]
        place = ["-D", str(self._cluster), "-k", str(socket_folder(self.data_dir))]
        if self._log.exists():
            self._log.replace(self._log.with_suffix(".log.1"))
        with self._log.open("wb") as log:
            self._guard = subprocess.Popen(  # noqa: S603 - our own program from the installed wheel
                ["/bin/sh", "-c", _GUARD, "postgres", str(self._programs / "postgres"), *place, *options],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us; we then stop PostgreSQL in our own time
                env=_ENVIRONMENT,
                **user.as_arguments(),
            )
        return self._await_ready(self._guard)

    def _await_ready(self, guard: subprocess.Popen[bytes]) -> bool:
        give_up = monotonic() + _START_SECONDS
        while guard.poll() is None and monotonic() < give_up:
            if self.pid is not None and _pid_lines(self._cluster)[7:] == ["ready"]:
                return True
            sleep(_POLL_SECONDS)
        return False

    def _await_end(self, guard: subprocess.Popen[bytes]) -> None:
        for harder in (signal.SIGQUIT, signal.SIGKILL):
            with suppress(subprocess.TimeoutExpired):
                guard.wait(_STOP_SECONDS)
                return
            if (pid := self.pid) is not None:
                os.kill(pid, harder)
        guard.wait()

    def _said(self) -> bytes:
        return self._log.read_bytes()


def _pid_lines(cluster: Path) -> list[str]:
    try:
        return [line.strip() for line in (cluster / "postmaster.pid").read_text().splitlines()]
    except FileNotFoundError:
        return []


def _running(cluster: Path) -> int | None:
    """Returns the process that serves a cluster; a stale file may name a process that is something else by now."""
    lines = _pid_lines(cluster)
    if not lines or not lines[0].isdigit():
        return None
    pid = int(lines[0])
    try:
        os.kill(pid, 0)
        home = Path(f"/proc/{pid}/cwd")
        return pid if not home.parent.exists() or home.resolve() == cluster.resolve() else None
    except OSError:
        return None


def _tail(text: bytes) -> str:
    return text.decode(errors="replace").strip()[-_MESSAGE_LIMIT:] or "it said nothing"
