"""Which addresses belong to this machine alone."""

from ipaddress import IPv6Address, ip_address
from urllib.parse import unquote


def is_loopback_name(host: str) -> bool:
    """Says whether a host name or IP address literal means this machine."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost":
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback


def is_loopback_target(target: str) -> bool:
    """Says whether a listen address or gRPC peer means this machine alone.

    Understands `host:port`, `[::1]:port`, and gRPC's `ipv4:`, `ipv6:` (percent-encoded) and `unix:` forms.
    """
    text = unquote(target)
    if text.startswith(("unix:", "unix-abstract:")):
        return True
    text = text.removeprefix("ipv4:").removeprefix("ipv6:")
    host, separator, port = text.rpartition(":")
    return is_loopback_name(host if separator and port.isdigit() else text)
