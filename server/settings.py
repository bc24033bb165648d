"""What an operator can set. Every setting has an environment variable `PATCHBAY_<NAME>`."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Self, get_args
from urllib.parse import urlsplit

from server.core.addresses import is_loopback_name
from server.errors import PatchbayError

AuthMode = Literal["auto", "required"]
LogFormat = Literal["json", "text"]
_LONGEST_DELIVERY = 600.0
_HOST_PORT = re.compile(r".+:[0-9]{1,5}")


class SettingInvalid(PatchbayError):
    """A setting cannot be used as it is."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of one server.

    Attributes:
        listen: `host:port` of the gRPC port; port 0 takes a free one.
        tls_cert_file, tls_key_file: Certificate chain and key of the gRPC port, PEM; read again when they change. None:
            it speaks plain HTTP/2.
        tls_client_ca_file: Authorities of clients, PEM; who has no certificate of theirs is not let in. None: nobody
            needs one.
        http_listen: `host:port` of calendar feeds, without TLS; port 0 takes a free one. None: nowhere. May be the same
            as `bot_listen`.
        public_url: Where `http_listen` is reached from outside, for the addresses of feeds. None: only paths are told.
        bot_listen: `host:port` where Teams reaches the bots of connections, without TLS; port 0 takes a free one. None:
            nowhere.
        bot_identity_url: Simulated Bot Framework identity on this machine, in place of Microsoft's public one.
        database_url: PostgreSQL to use. None: an embedded one in `data_dir`.
        data_dir: Folder of the embedded PostgreSQL and of the generated master key.
        workers: Processes on one port.
        auth: `auto` lets anybody in on loopback while no key exists and no issuer is set; `required` never does.
        bootstrap_key_file: Where to write the first operator key when there is none.
        master_key_file: Keys that encrypt credentials. None: one in `data_dir`, made when missing.
        jwt_issuer, jwt_audience, jwt_jwks_url: Trusts tokens of this issuer when all three are set.
        log_level, log_format: Logs go to standard error.
        drain_seconds: How long running executions may go on after SIGTERM.
        reflection: Whether the reflection services answer.
        max_running: Calls worked on at the same time, per process.
        max_input_bytes, max_output_bytes: Limits of one payload.
        lease_seconds: After this time without a sign of life a replica's executions are taken over.
        keep_payloads_days, keep_tombstones_days, keep_keyless_tombstones_days, keep_audit_days, keep_events_days:
            Retention.
        delivery_seconds: Time for one try to deliver an event of the board.
        delivery_tries: After so many an event is given up; 100 take about a day.
        pool_size: Database connections per process.
    """

    listen: str = "127.0.0.1:7700"
    tls_cert_file: Path | None = None
    tls_key_file: Path | None = None
    tls_client_ca_file: Path | None = None
    http_listen: str | None = None
    public_url: str | None = None
    bot_listen: str | None = None
    bot_identity_url: str | None = None
    database_url: str | None = None
    data_dir: Path = Path("~/.local/share/patchbay")
    workers: int = 1
    auth: AuthMode = "auto"
    bootstrap_key_file: Path | None = None
    master_key_file: Path | None = None
    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    jwt_jwks_url: str | None = None
    log_level: str = "info"
    log_format: LogFormat = "json"
    drain_seconds: float = 30.0
    reflection: bool = True
    max_running: int = 2_000
    max_input_bytes: int = 1 << 20
    max_output_bytes: int = 4 << 20
    lease_seconds: float = 15.0
    keep_payloads_days: float = 7.0
    keep_tombstones_days: float = 30.0
    keep_keyless_tombstones_days: float = 400.0
    keep_audit_days: float = 400.0
    keep_events_days: float = 30.0
    delivery_seconds: float = 30.0
    delivery_tries: int = 100
    pool_size: int = 10

    def __post_init__(self) -> None:
        object.__setattr__(self, "data_dir", Path(self.data_dir).expanduser())
        problems = list(self._problems())
        if problems:
            raise SettingInvalid("; ".join(problems))

    def _problems(self) -> list[str]:
        found = self._problems_of_ports()
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            found.append("`tls_cert_file` and `tls_key_file` are needed together")
        if self.tls_client_ca_file is not None and self.tls_cert_file is None:
            found.append("`tls_client_ca_file` needs `tls_cert_file` and `tls_key_file`")
        if self.public_url and not _is_base(self.public_url):
            found.append("`public_url` must be an https address without query, such as https://patchbay.example.com")
        if self.bot_identity_url and not is_loopback_name(urlsplit(self.bot_identity_url).hostname or ""):
            found.append("`bot_identity_url` must be an address of this machine: it is for simulators only")
        if self.auth not in get_args(AuthMode):
            found.append(f"`auth` must be one of {', '.join(get_args(AuthMode))}")
        if self.log_format not in get_args(LogFormat):
            found.append(f"`log_format` must be one of {', '.join(get_args(LogFormat))}")
        given = [self.jwt_issuer, self.jwt_audience, self.jwt_jwks_url]
        if any(given) and not all(given):
            found.append("`jwt_issuer`, `jwt_audience` and `jwt_jwks_url` are needed together")
        if self.workers < 1:
            found.append("`workers` must be at least 1")
        return [*found, *self._delivery_problems()]

    def _delivery_problems(self) -> Iterator[str]:
        if self.delivery_tries < 1:
            yield "`delivery_tries` must be at least 1"
        if not 0 < self.delivery_seconds <= _LONGEST_DELIVERY:
            yield f"`delivery_seconds` must be more than 0, at most {_LONGEST_DELIVERY:.0f}"

    def _problems_of_ports(self) -> list[str]:
        found = [] if self.listen.rpartition(":")[2].isdecimal() else ["`listen` must be host:port"]
        others = {"http_listen": self.http_listen, "bot_listen": self.bot_listen}
        found += [f"`{name}` must be host:port" for name, one in others.items() if one and not _is_host_port(one)]
        free = [one for one in self.ports if one.endswith(":0")]
        if self.workers > 1 and free:
            found.append("several workers need a fixed port in `listen`, `http_listen` and `bot_listen`")
        if not free and self.listen in others.values():
            found.append("`listen` speaks gRPC: `http_listen` and `bot_listen` need another port")
        return found

    @property
    def ports(self) -> tuple[str, ...]:
        """Where the server listens, each address once."""
        wanted = (self.listen, self.http_listen, self.bot_listen)
        return tuple(dict.fromkeys(one for one in wanted if one))

    @property
    def keep_payloads(self) -> timedelta:
        """How long inputs and outputs are kept."""
        return timedelta(days=self.keep_payloads_days)

    @property
    def keep_tombstones(self) -> timedelta:
        """How long keys of repeatable actions are remembered."""
        return timedelta(days=self.keep_tombstones_days)

    @property
    def keep_keyless_tombstones(self) -> timedelta:
        """How long keys of actions that must not be repeated are remembered."""
        return timedelta(days=self.keep_keyless_tombstones_days)

    @property
    def keep_audit(self) -> timedelta:
        """How long audit rows are kept."""
        return timedelta(days=self.keep_audit_days)

    @property
    def keep_events(self) -> timedelta:
        """How long events of the board are kept."""
        return timedelta(days=self.keep_events_days)

    @classmethod
    def from_env(cls, **overrides: Any) -> Self:
        """Returns the settings of the environment; overrides that are not None win. Raises SettingInvalid."""
        values: dict[str, Any] = {}
        for one in fields(cls):
            text = os.environ.get(f"PATCHBAY_{one.name.upper()}")
            if text is not None:
                values[one.name] = _read(one.name, one.default, text)
        values |= {name: value for name, value in overrides.items() if value is not None}
        return cls(**values)


def _is_host_port(text: str) -> bool:
    return _HOST_PORT.fullmatch(text) is not None and int(text.rpartition(":")[2]) < 1 << 16


def _is_base(text: str) -> bool:
    """Says whether an address can stand before paths; plain http is for this machine only."""
    try:
        url = urlsplit(text)
    except ValueError:
        return False
    if not url.hostname or url.query or url.fragment or url.username or "@" in url.netloc:
        return False
    return url.scheme == "https" or (url.scheme == "http" and is_loopback_name(url.hostname))


def _read(name: str, default: object, text: str) -> object:
    try:
        if isinstance(default, bool):
            return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
        if isinstance(default, int | float):
            return type(default)(text)
    except (KeyError, ValueError):
        kind = "true or false" if isinstance(default, bool) else "a number"
        raise SettingInvalid(f"PATCHBAY_{name.upper()} must be {kind}") from None
    if name.endswith("_dir") or (name.endswith("_file") and text):
        return Path(text)
    return text or None
