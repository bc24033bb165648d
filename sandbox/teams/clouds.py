"""Microsoft's clouds: what tells them apart on the wire.

Facts: `cloud_environment.py` of microsoft/teams.py @ 6917366; that GCC shares all but the host of the connector is the
OpenClaw project's reading of Microsoft's pages; the prefixes of links in government clouds are not verified.
"""

from dataclasses import dataclass
from typing import Literal

CloudName = Literal["public", "gcc", "gcch", "dod", "china"]


@dataclass(frozen=True, slots=True)
class Cloud:
    """One cloud.

    Attributes:
        bot: Audience of tokens for the connector.
        graph: Audience of tokens for Graph.
        issuer: Issuer of the tokens that bots receive.
        legacy: The directory in which bots of any directory get their tokens.
        links: What a link into Teams begins with.
    """

    bot: str
    graph: str
    issuer: str
    legacy: str
    links: str = "https://teams.microsoft.com/"


_PUBLIC = Cloud(
    "https://api.botframework.com", "https://graph.microsoft.com", "https://api.botframework.com", "botframework.com"
)
_US, _US_LEGACY = "https://api.botframework.us", "MicrosoftServices.onmicrosoft.us"
_CHINA, _CHINA_LEGACY = "https://api.botframework.azure.cn", "microsoftservices.partner.onmschina.cn"

CLOUDS: dict[CloudName, Cloud] = {
    "public": _PUBLIC,
    "gcc": _PUBLIC,
    "gcch": Cloud(_US, "https://graph.microsoft.us", _US, _US_LEGACY, "https://gov.teams.microsoft.us/"),
    "dod": Cloud(_US, "https://dod-graph.microsoft.us", _US, _US_LEGACY, "https://dod.teams.microsoft.us/"),
    "china": Cloud(
        _CHINA, "https://microsoftgraph.chinacloudapi.cn", _CHINA, _CHINA_LEGACY, "https://teams.microsoftonline.cn/"
    ),
}

REGION_CLOUDS: dict[str, CloudName] = {"gcc": "gcc", "gov": "gcch", "dod": "dod", "cn": "china"}
"""Regions that stand for a host of their own; all others are paths of the public host."""

GLOBAL_REGIONS = frozenset({"teams", "apis"})
"""Regions of the public host that take every directory of the public cloud."""


def cloud_of(region: str) -> CloudName:
    """The cloud to which a connector's host belongs."""
    return REGION_CLOUDS.get(region, "public")


def legacy_cloud(tenant: str) -> CloudName | None:
    """The cloud whose directory of all bots is named so; None for any other name."""
    named: dict[str, CloudName] = {cloud.legacy.lower(): name for name, cloud in CLOUDS.items() if name != "gcc"}
    return named.get(tenant.lower())
