"""What bots need to know of Microsoft's clouds: who signs what they receive, which service URLs are trusted."""

from urllib.parse import urlsplit

from server.core.addresses import is_loopback_name
from server.sdk.microsoft import CLOUDS, KEYS_PATH, PUBLIC, is_at


def issuers(identity_url: str | None = None) -> dict[str, str]:
    """Returns JWKS addresses by issuer; a simulator's identity stands for that of the public cloud."""
    found = {cloud.bot: cloud.keys for cloud in CLOUDS.values()}
    if identity_url:
        found[CLOUDS[PUBLIC].bot] = f"{identity_url.rstrip('/')}/{KEYS_PATH}"
    return found


def is_trusted(service_url: str, cloud: str, simulated_url: str = "") -> bool:
    """Says whether a service URL is https at exactly the cloud's host, with nothing else but a path.

    Args:
        service_url: As an activity told it.
        cloud: A name of CLOUDS.
        simulated_url: A simulator's Bot Connector on this machine, whose origin alone is then trusted.
    """
    if simulated_url:
        return _is_here(simulated_url) and is_at(service_url, simulated_url)
    found = CLOUDS.get(cloud)
    return found is not None and is_at(service_url, found.service)


def _is_here(url: str) -> bool:
    try:
        return is_loopback_name(urlsplit(url).hostname or "")
    except ValueError:
        return False
