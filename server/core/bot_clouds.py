"""Microsoft's clouds as bots know them: who signs what they receive, where answers go.

Facts: `cloud_environment.py` and `token_validator.py` of microsoft/teams.py @ 6917366; hosts as
`proactive_service_endpoints.py` of microsoft/Agents-for-python @ 8ff0ac3 has them. None is published for China.
"""

from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import SplitResult, urlsplit

from server.core.addresses import is_loopback_name


@dataclass(frozen=True, slots=True)
class BotCloud:
    """One cloud.

    Attributes:
        issuer: Issuer of the tokens that bots receive.
        keys_url: JWKS address of that issuer.
        host: The one host of the Bot Connector. Empty: none is published.
    """

    issuer: str
    keys_url: str
    host: str


_KEYS: Final = "v1/.well-known/keys"
_PUBLIC: Final = BotCloud(
    "https://api.botframework.com", f"https://login.botframework.com/{_KEYS}", "smba.trafficmanager.net"
)
_HIGH: Final = BotCloud(
    "https://api.botframework.us", f"https://login.botframework.azure.us/{_KEYS}", "smba.infra.gov.teams.microsoft.us"
)
BOT_CLOUDS: Final = {
    "public": _PUBLIC,
    "gcc": replace(_PUBLIC, host="smba.infra.gcc.teams.microsoft.com"),
    "gcc_high": _HIGH,
    "dod": replace(_HIGH, host="smba.infra.dod.teams.microsoft.us"),
    "china": BotCloud("https://api.botframework.azure.cn", f"https://login.botframework.azure.cn/{_KEYS}", ""),
}


def issuers(identity_url: str | None = None) -> dict[str, str]:
    """Returns JWKS addresses by issuer; a simulator's identity stands for that of the public cloud."""
    found = {cloud.issuer: cloud.keys_url for cloud in BOT_CLOUDS.values()}
    if identity_url:
        found[_PUBLIC.issuer] = f"{identity_url.rstrip('/')}/{_KEYS}"
    return found


def is_trusted(service_url: str, cloud: str, simulated_url: str = "") -> bool:
    """Says whether a service URL is https at exactly the cloud's host, with nothing else but a path.

    Args:
        service_url: As an activity told it.
        cloud: A name of BOT_CLOUDS.
        simulated_url: A simulator's Bot Connector on this machine, whose origin alone is then trusted.
    """
    parts = _plain(service_url)
    if parts is None:
        return False
    if simulated_url:
        known = _plain(simulated_url)
        return known is not None and is_loopback_name(known.hostname or "") and _origin(parts) == _origin(known)
    found = BOT_CLOUDS.get(cloud)
    return found is not None and bool(found.host) and _origin(parts) == ("https", found.host, 443)


def _plain(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    odd = not parts.hostname or "@" in parts.netloc or any(mark in "?#\\" or mark.isspace() for mark in url)
    return None if odd else parts


def _origin(parts: SplitResult) -> tuple[str, str | None, int]:
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
