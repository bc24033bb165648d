"""Microsoft's clouds: where their services answer, who signs what they send, which addresses are theirs.

Facts: `cloud_environment.py` and `token_validator.py` of microsoft/teams.py @ 6917366; hosts of the Bot Connector as
`proactive_service_endpoints.py` of microsoft/Agents-for-python @ 8ff0ac3 has them. None is published for China.
"""

from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """One cloud.

    Attributes:
        login: Address of the token endpoint.
        legacy_tenant: Directory in which bots of all tenants get their tokens.
        bot: Audience of the Bot Connector, also the issuer of the tokens that bots receive.
        keys: JWKS address of that issuer.
        graph: Address and audience of Microsoft Graph.
        service: Address of the Bot Connector for all regions. Empty: none is published.
        links: What a link into Teams begins with; outside the public cloud not verified.
    """

    login: str
    legacy_tenant: str
    bot: str
    keys: str
    graph: str
    service: str
    links: str


KEYS_PATH: Final = "v1/.well-known/keys"
_PUBLIC: Final = Cloud(
    login="https://login.microsoftonline.com",
    legacy_tenant="botframework.com",
    bot="https://api.botframework.com",
    keys=f"https://login.botframework.com/{KEYS_PATH}",
    graph="https://graph.microsoft.com",
    service="https://smba.trafficmanager.net/teams",
    links="https://teams.microsoft.com/",
)
_HIGH: Final = Cloud(
    login="https://login.microsoftonline.us",
    legacy_tenant="MicrosoftServices.onmicrosoft.us",
    bot="https://api.botframework.us",
    keys=f"https://login.botframework.azure.us/{KEYS_PATH}",
    graph="https://graph.microsoft.us",
    service="https://smba.infra.gov.teams.microsoft.us/teams",
    links="https://gov.teams.microsoft.us/",
)
_DOD: Final = replace(
    _HIGH,
    graph="https://dod-graph.microsoft.us",
    service="https://smba.infra.dod.teams.microsoft.us/teams",
    links="https://dod.teams.microsoft.us/",
)
_CHINA: Final = Cloud(
    login="https://login.partner.microsoftonline.cn",
    legacy_tenant="microsoftservices.partner.onmschina.cn",
    bot="https://api.botframework.azure.cn",
    keys=f"https://login.botframework.azure.cn/{KEYS_PATH}",
    graph="https://microsoftgraph.chinacloudapi.cn",
    service="",
    links="https://teams.microsoftonline.cn/",
)
PUBLIC: Final = "public"
CLOUDS: Final = {
    PUBLIC: _PUBLIC,
    "gcc": replace(_PUBLIC, service="https://smba.infra.gcc.teams.microsoft.com/teams"),
    "gcc_high": _HIGH,
    "dod": _DOD,
    "china": _CHINA,
}
"""By the names that connections use."""


def is_at(service_url: str, service: str) -> bool:
    """Says whether a service URL is at the origin of a Bot Connector, and says nothing else but a path.

    The path names a region and is free. Suffixes of a host are not trusted: anybody can register a name below
    `trafficmanager.net`.

    Args:
        service_url: As an activity told it.
        service: A cloud's, or a simulator's. Empty: nothing is at it.
    """
    known = _origin(service)
    return known is not None and _origin(service_url) == known


def _origin(url: str) -> tuple[str, str, int] | None:
    """Returns scheme, host and port of an address that says nothing else but a path; None for every other one."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    except ValueError:
        return None
    if not parts.hostname or "@" in parts.netloc or any(mark in "?#\\" or mark.isspace() for mark in url):
        return None
    return parts.scheme, parts.hostname, port
