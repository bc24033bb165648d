"""Apps that sign in at Microsoft Entra ID for themselves: their tokens, what the token endpoint refuses, and simulators
in place of Microsoft."""

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from server.sdk.addresses import instance_address
from server.sdk.failures import ActionFailure
from server.sdk.http import HttpResponse
from server.sdk.module import ConnectionScope
from server.sdk.oauth import AccessTokens, ClientCredentials, OAuthApp
from server.sdk.reading import text

# The number is for the hint only: Microsoft says that programs must not depend on it.
_REFUSALS: Final = {
    7000215: ("CREDENTIALS_REFUSED", "The client secret is wrong; often the secret's id was entered for its value."),
    7000222: ("CREDENTIALS_EXPIRED", "The client secret has expired."),
    700016: ("INTEGRATION_MISCONFIGURED", "The directory does not know the application id."),
    90002: ("INTEGRATION_MISCONFIGURED", "Microsoft does not know the directory."),
}


def app_tokens(
    scope: ConnectionScope[Any],
    login: str,
    *,
    directory: str,
    app_id: str,
    secret: str,
    audience: str,
    slot: str = "",
) -> AccessTokens:
    """Returns the access tokens of an app for one of Microsoft's services.

    Args:
        scope: What the module's `connect` was given.
        login: Address of the token endpoint's host.
        directory: Id or name of the directory that grants them.
        app_id: Application id.
        secret: Value of a client secret.
        audience: The service.
        slot: Name of these tokens, for a connection with several audiences.
    """
    app = OAuthApp(
        token_path=f"/{directory}/oauth2/v2.0/token",
        client_id=app_id,
        client_secret=secret,
        scopes=(f"{audience}/.default",),
        read_error=_refusal,
    )
    return AccessTokens(scope, scope.http.bind(base_url=login), app, ClientCredentials(), slot=slot)


def simulated(given: str, default: str, field: str) -> str:
    """Returns a simulator's address where one is given, else Microsoft's.

    Tokens go there, so nothing but this machine may stand for Microsoft; whether the connection may reach it is for its
    grant to say.

    Raises:
        ActionFailure: INTEGRATION_MISCONFIGURED for an address that is not this machine's.
    """
    if not given.strip():
        return default
    address = instance_address(given, field=field)
    if not _is_loopback(urlsplit(address).hostname or ""):
        message = "Only a simulator on this machine can stand for Microsoft; leave the address empty."
        raise ActionFailure("INTEGRATION_MISCONFIGURED", message, field=field)
    return address


def _refusal(response: HttpResponse) -> ActionFailure | None:
    """Reads AADSTS numbers; what follows the first line of the description are ids for Microsoft's support."""
    if response.status not in {400, 401}:
        return None
    body = response.json()
    codes: Sequence[object] = body.get("error_codes") or () if isinstance(body, dict) else ()
    known = next((_REFUSALS[code] for code in codes if isinstance(code, int) and code in _REFUSALS), None)
    if known is None:
        return None
    said = (text(body.get("error_description")) or "").splitlines()[:1]
    return ActionFailure(*known, vendor_message="".join(said))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
