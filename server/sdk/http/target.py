"""Addresses as texts: parsed once, in one spelling, checked before anything is resolved."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

import httpx

from server.sdk.failures import ActionFailure
from server.sdk.http.grant import Address, EgressGrant

_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_AUTHORITY = re.compile(r"[a-z]+:/*(?:[^/?#]*@)?([^/?#:]*)", re.IGNORECASE)
_DOT_SEGMENT = re.compile(r"/(?:\.|%2e){1,2}(?=[/?\\]|$)", re.IGNORECASE)
_LONGEST_NAME = 253
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """An address whose scheme and literal have been checked against a grant.

    Attributes:
        origin: Scheme, host and port in one spelling, such as `https://rmm.example.com`.
        host: Host in one spelling, without brackets.
        rest: Path and query; begins with `/` or is empty.
    """

    origin: str
    host: str
    rest: str

    @property
    def url(self) -> str:
        """The whole address."""
        return self.origin + (self.rest or "/")

    @classmethod
    def parse(cls, url: str, grant: EgressGrant) -> "Target":
        """Returns the checked target.

        Raises:
            ActionFailure: INTEGRATION_MISCONFIGURED for no address, EGRESS_REFUSED for one that is not allowed.
        """
        parsed = _parsed(url)
        if parsed.scheme not in {"http", "https"}:
            raise refused("Only https addresses can be reached.")
        if parsed.scheme == "http" and not grant.plain_http:
            raise refused("Plain http is not allowed for this connection.")
        if parsed.userinfo:
            raise misconfigured("The address contains a user name or password; they do not belong there.")
        host = _host(parsed.raw_host.decode("ascii"), grant)
        shown = f"[{host}]" if ":" in host else host
        port = "" if parsed.port in {None, _DEFAULT_PORTS[parsed.scheme]} else f":{parsed.port}"
        rest = parsed.raw_path.decode("ascii")
        return cls(f"{parsed.scheme}://{shown}{port}", host, "" if rest == "/" else rest)

    def join(self, path: str) -> str:
        """Returns the address of a path below this one. The origin cannot change.

        Raises:
            ActionFailure: VENDOR_REJECTED_INPUT for a path that climbs with `..`.
        """
        path = "/" + path.removeprefix("/").replace("#", "%23")
        check_path(path)
        return self.origin + self.rest.partition("?")[0].rstrip("/") + path


def check_path(path: str) -> None:
    """Raises ActionFailure for dot segments: with one, an id would reach another endpoint than was meant."""
    if ("." in path or "%" in path) and _DOT_SEGMENT.search(path.partition("?")[0].replace("\\", "/")):
        raise ActionFailure("VENDOR_REJECTED_INPUT", "An id holds `.` or `..` as a part of a path.")


def refused(message: str) -> ActionFailure:
    """Returns the failure of an address that may not be reached; nothing was sent."""
    return ActionFailure("EGRESS_REFUSED", message)


def refused_class(kind: str) -> ActionFailure:
    """Returns the failure of an address of a class that is not granted."""
    return refused(f"The address is a {kind} one, which this connection may not reach.")


def misconfigured(message: str) -> ActionFailure:
    """Returns the failure of a text that cannot be an address."""
    return ActionFailure("INTEGRATION_MISCONFIGURED", message)


def _parsed(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError):
        host = _AUTHORITY.match(url)
        if host is not None and _looks_numeric(host[1]):
            raise _unusual_number() from None
        raise misconfigured("The address cannot be understood.") from None
    if not parsed.is_absolute_url or not 0 < (443 if parsed.port is None else parsed.port) < 65536:
        raise misconfigured("The address is not complete; it begins with https:// and names a host.")
    return parsed


def _unusual_number() -> ActionFailure:
    return refused("The host is a number in an unusual spelling; write a name, or an address like 192.0.2.1.")


def _looks_numeric(host: str) -> bool:
    return _NUMBER.fullmatch(host.lower().rstrip(".").rpartition(".")[2]) is not None


def _host(host: str, grant: EgressGrant) -> str:
    if "%" in host and ":" in host:
        raise refused("An address with a zone can only be a local one, which this connection may not reach.")
    if (literal := literal_address(host)) is not None:
        if kind := grant.refusal(literal):
            raise refused_class(kind)
        return str(literal)
    host = host.lower().removesuffix(".")
    if _looks_numeric(host):
        raise _unusual_number()
    if len(host) > _LONGEST_NAME or not _NAME.fullmatch(host):
        raise misconfigured("The host in the address is not a name.")
    return host


def literal_address(host: str) -> Address | None:
    """Returns the address that a text spells in its usual form, else None."""
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return address if isinstance(address, IPv4Address | IPv6Address) else None
