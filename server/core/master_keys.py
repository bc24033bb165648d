"""The keys that wrap all others, and where they come from.

Format of the key file and of the environment variable: one `<id>:<base64 of 32 bytes>` per line (a comma
separates like a line end); empty lines and lines that begin with `#` mean nothing. The first key is the current one,
the others only open what they wrapped earlier. Ids are 1 to 32 of `a-z 0-9 . _ -`.
"""

import base64
import binascii
import os
import re
import secrets
import stat
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import structlog

from server.errors import PatchbayError

ENVIRONMENT_VARIABLE = "PATCHBAY_MASTER_KEY"
KEY_BYTES = 32

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
_Signature = tuple[int, int, int]

_log = structlog.get_logger(__name__)


class MasterKeyInvalid(PatchbayError):
    """The master keys cannot be used as they are given. The message never holds a key."""


class MasterKeyUnknown(PatchbayError):
    """Something was wrapped by a master key that is not loaded.

    Args:
        key_id: Id of the missing key.
    """

    def __init__(self, key_id: str) -> None:
        super().__init__(f"master key `{key_id}` is not loaded; add it to the master keys to read what it wrapped")
        self.key_id = key_id


class MasterKeys:
    """The master keys of this process, by id, the current one first.

    Keys that come from a file are read again when the file changes, so that a key can be added or promoted without
    a restart. A file that became unusable is reported in the log and the keys at hand stay.

    Args:
        text: Keys in the format above.
        file: File that the text was read from. None: the keys never change.
    """

    def __init__(self, text: str, file: Path | None = None) -> None:
        self._keys = _parse(text, str(file) if file else ENVIRONMENT_VARIABLE)
        self._file = file
        self._signature = _signature(file) if file else None

    @classmethod
    def from_file(cls, file: Path) -> "MasterKeys":
        """Reads a key file; raises MasterKeyInvalid when it is missing, malformed or open to others."""
        return cls(_read_private(file), file)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "MasterKeys | None":
        """Reads the environment variable; None when it is not set."""
        text = environment.get(ENVIRONMENT_VARIABLE, "")
        return cls(text) if text.strip() else None

    @classmethod
    def ensure_file(cls, file: Path) -> "MasterKeys":
        """Reads a key file and makes it first, readable by its owner only, when there is none."""
        if not file.exists():
            _create_private(file, f"{new_key()}\n")
        return cls.from_file(file)

    @property
    def current(self) -> str:
        """Id of the key that wraps from now on."""
        self._refresh()
        return next(iter(self._keys))

    def key(self, key_id: str) -> bytes:
        """Returns a key's 32 bytes; raises MasterKeyUnknown."""
        if key_id not in self._keys:
            self._refresh()
        try:
            return self._keys[key_id]
        except KeyError:
            raise MasterKeyUnknown(key_id) from None

    def _refresh(self) -> None:
        if self._file is None:
            return
        try:
            signature = _signature(self._file)
            if signature == self._signature:
                return
            keys = _parse(_read_private(self._file), str(self._file))
        except (OSError, MasterKeyInvalid) as defect:
            _log.warning("master_key_file_unusable", error=str(defect))
            return
        self._keys, self._signature = keys, signature


def new_key(key_id: str | None = None) -> str:
    """Returns a line with a new random key; its id tells when it was made unless one is given."""
    name = key_id or f"{datetime.now(UTC):%Y-%m-%d}-{secrets.token_hex(3)}"
    return f"{name}:{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}"


def write_private(file: Path, text: str) -> None:
    """Writes a file that only its owner can read, wholly or not at all, and makes it durable."""
    temporary = _temporary(file, text)
    temporary.replace(file)


def _create_private(file: Path, text: str) -> None:
    """Like write_private, but when somebody else made the file first, theirs stays."""
    temporary = _temporary(file, text)
    try:
        os.link(temporary, file)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()


def _temporary(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(6)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    return temporary


def _read_private(file: Path) -> str:
    try:
        mode = file.stat().st_mode
        text = file.read_text(encoding="ascii")
    except OSError as error:
        raise MasterKeyInvalid(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise MasterKeyInvalid(f"{file}: holds bytes that no master key has") from None
    if stat.S_IMODE(mode) & 0o077:
        raise MasterKeyInvalid(f"{file}: others can read it; run `chmod 600 {file}`")
    return text


def _parse(text: str, origin: str) -> dict[str, bytes]:
    keys: dict[str, bytes] = {}
    for number, line in enumerate(re.split(r"[\n,]", text), start=1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        key_id, colon, encoded = entry.partition(":")
        if not colon or not _ID.fullmatch(key_id):
            raise MasterKeyInvalid(f"{origin}: entry {number} is not `<id>:<base64 of {KEY_BYTES} bytes>`")
        if key_id in keys:
            raise MasterKeyInvalid(f"{origin}: key id `{key_id}` occurs twice")
        keys[key_id] = _decode(encoded, f"{origin}: key `{key_id}`")
    if not keys:
        raise MasterKeyInvalid(f"{origin}: holds no master key")
    return keys


def _decode(encoded: str, subject: str) -> bytes:
    try:
        key = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise MasterKeyInvalid(f"{subject} is not base64") from None
    if len(key) != KEY_BYTES:
        raise MasterKeyInvalid(f"{subject} has {len(key)} bytes instead of {KEY_BYTES}")
    return key


def _signature(file: Path) -> _Signature:
    facts = file.stat()
    return facts.st_mtime_ns, facts.st_size, facts.st_ino
