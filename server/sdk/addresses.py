"""The address of a vendor, as a person enters it."""

from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, urlsplit

from server.sdk.failures import ActionFailure


def instance_address(given: str, default: str = "", field: str = "settings.instance_url") -> str:
    """Returns an address in one spelling: `https://` where no scheme is given, no slash at the end.

    Args:
        given: The field of a connection.
        default: What an empty text stands for.
        field: Path of the field, for the failure.

    Raises:
        ActionFailure: INTEGRATION_MISCONFIGURED, when it is no http address or says more than an address.
    """
    given = given.strip() or default
    parts = _split(given if "://" in given else f"https://{given}", field)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = "" if parts.port is None else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}"


def address_or(default: str = "") -> Callable[[Any], str]:
    """Returns what reads the address of settings with a field `instance_url`; empty stands for the default, if any."""
    return lambda settings: instance_address(settings.instance_url, default)


def _split(url: str, field: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise _bad_address("it cannot be read", field) from None
    if not usable or any(mark.isspace() for mark in url):
        raise _bad_address("it is no http or https address", field)
    if "@" in parts.netloc:
        raise _bad_address("it holds a user name or password; credentials have their own fields", field)
    if "?" in url or "#" in url:
        raise _bad_address("it holds a query or fragment", field)
    return parts


def _bad_address(why: str, field: str) -> ActionFailure:
    return ActionFailure(
        "INTEGRATION_MISCONFIGURED",
        f"The API address cannot be used: {why}. It looks like https://api.example.com.",
        field=field,
    )
