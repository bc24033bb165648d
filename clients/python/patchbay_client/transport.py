"""Channels: TLS by default, no credentials over an open network by accident."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc

USER_AGENT = "patchbay-python"
_MESSAGE_BYTES = 16 * 1024 * 1024
_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.primary_user_agent", USER_AGENT),
    ("grpc.max_receive_message_length", _MESSAGE_BYTES),
    # Servers tolerate one ping in five minutes unless told otherwise; a peer that died silently shows then.
    ("grpc.keepalive_time_ms", 310_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # A server that restarts is tried again soon: our own pauses are the back-off.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TLS:
    """How the server is verified and the client shows itself.

    Attributes:
        ca: Certificates of the authorities to trust, PEM. None: the well-known ones.
        certificate: The client's own certificate chain, PEM. None: none is shown.
        private_key: Its key, PEM.
        server_name: Name that the server's certificate must have. Empty: the target's host.

    Raises:
        ValueError: What should be PEM is not, or one of certificate and key is missing.
    """

    ca: bytes | None = None
    certificate: bytes | None = None
    private_key: bytes | None = field(default=None, repr=False)
    server_name: str = ""

    def __post_init__(self) -> None:
        for name, text in (("ca", self.ca), ("certificate", self.certificate)):
            if text is not None and b"-----BEGIN CERTIFICATE-----" not in text:
                raise ValueError(f"`{name}` holds no certificate in PEM form")
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("`certificate` and `private_key` are needed together")
        if self.private_key is not None and b" PRIVATE KEY-----" not in self.private_key:
            raise ValueError("`private_key` holds no private key in PEM form")

    def credentials(self) -> grpc.ChannelCredentials:
        """Returns them for a channel."""
        return grpc.ssl_channel_credentials(self.ca, self.private_key, self.certificate)


def tls_for(target: str, tls: "TLS | bool | None") -> TLS | None:
    """Returns the TLS to use: as asked, and by default for every target that is not on this machine."""
    if isinstance(tls, TLS):
        return tls
    use = not is_loopback(target) if tls is None else tls
    return TLS() if use else None


def is_loopback(target: str) -> bool:
    """Whether a gRPC target is on this machine."""
    if target.startswith(("unix:", "unix-abstract:")):
        return True
    address = target.rpartition("/")[2]
    host = address.rpartition(":")[0] if address.count(":") == 1 or "]" in address else address
    host = host.strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def channel_options(tls: TLS | None, extra: Sequence[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Returns the channel's options; `extra` wins over ours."""
    options = dict(_OPTIONS)
    if tls and tls.server_name:
        options["grpc.ssl_target_name_override"] = tls.server_name
    return list((options | dict(extra)).items())


def metadata_for(api_key: str | None) -> tuple[tuple[str, str], ...]:
    """Returns the metadata of every call.

    Raises:
        ValueError: The key has characters that a header cannot carry.
    """
    if not api_key:
        return ()
    key = api_key.strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError("the API key has characters that no key of Patchbay has")
    return (("authorization", f"Bearer {key}"),)
