"""Being connected to Microsoft: the cloud, whom we are, what the token endpoint refuses, which addresses are Teams'."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from server.gen.patchbay.modules.teams.v1.teams_pb2 import TeamsConnection
from server.sdk import ActionFailure, ConnectionScope
from server.sdk.addresses import instance_address
from server.sdk.http import HttpResponse
from server.sdk.microsoft import CLOUDS, PUBLIC, Cloud, is_at
from server.sdk.oauth import AccessTokens, ClientCredentials, OAuthApp
from server.sdk.reading import text

# The number is for the hint only: Microsoft says that programs must not depend on it.
_REFUSALS: Final = {
    7000215: ("CREDENTIALS_REFUSED", "The client secret is wrong; often the secret's id was entered for its value."),
    7000222: ("CREDENTIALS_EXPIRED", "The client secret has expired."),
    700016: ("INTEGRATION_MISCONFIGURED", "The directory does not know the application id."),
    90002: ("INTEGRATION_MISCONFIGURED", "Microsoft does not know the directory."),
}


def cloud_of(settings: TeamsConnection) -> Cloud:
    """Returns the cloud, with a simulator's addresses in place of Microsoft's where the settings name them."""
    cloud = CLOUDS[settings.cloud or PUBLIC]
    return replace(
        cloud,
        login=_simulated(settings.login_url, cloud.login, "settings.login_url"),
        graph=_simulated(settings.graph_url, cloud.graph, "settings.graph_url"),
        service=_simulated(settings.service_url, cloud.service, "settings.service_url"),
    )


def instance_url(settings: TeamsConnection) -> str:
    """Returns the address of Microsoft Graph; the other addresses are checked, too."""
    return cloud_of(settings).graph


def trusted(settings: TeamsConnection, service_url: str) -> str:
    """Returns a service URL to which the bot's token may be sent: https, exactly the host of the connection's cloud.

    With a simulator's address that alone is trusted. The path names a region and is free.

    Raises:
        ActionFailure: UNTRUSTED_SERVICE_URL.
    """
    if is_at(service_url, cloud_of(settings).service):
        return service_url.rstrip("/")
    raise ActionFailure(
        "UNTRUSTED_SERVICE_URL", "The address of the conversation is not one of Teams in the connection's cloud."
    )


def bot_tokens(scope: ConnectionScope[TeamsConnection]) -> AccessTokens:
    """Returns the tokens for the Bot Connector. A bot of one tenant gets them in the directory that holds it."""
    settings, cloud = scope.settings, cloud_of(scope.settings)
    own = settings.bot_tenant_id or settings.entra_tenant_id
    directory = cloud.legacy_tenant if settings.legacy_bot else own
    return _tokens(scope, directory, settings.bot_app_id, settings.bot_secret, cloud.bot, slot="bot")


def graph_tokens(scope: ConnectionScope[TeamsConnection]) -> AccessTokens:
    """Returns the tokens for Microsoft Graph, from the directory whose people are notified."""
    settings = scope.settings
    client_id, secret = settings.graph_app_id or settings.bot_app_id, settings.graph_secret or settings.bot_secret
    audience = CLOUDS[settings.cloud or PUBLIC].graph
    return _tokens(scope, settings.entra_tenant_id, client_id, secret, audience, slot="graph")


def _tokens(
    scope: ConnectionScope[TeamsConnection], directory: str, client_id: str, secret: str, audience: str, *, slot: str
) -> AccessTokens:
    app = OAuthApp(
        token_path=f"/{directory}/oauth2/v2.0/token",
        client_id=client_id,
        client_secret=secret,
        scopes=(f"{audience}/.default",),
        read_error=_refusal,
    )
    login = scope.http.bind(base_url=cloud_of(scope.settings).login)
    return AccessTokens(scope, login, app, ClientCredentials(), slot=slot)


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


def _simulated(given: str, default: str, field: str) -> str:
    """Returns the address. Tokens go there, so nothing but this machine may stand for Microsoft; whether the connection
    may reach it is for its grant to say."""
    if not given.strip():
        return default
    address = instance_address(given, field=field)
    if not _is_loopback(urlsplit(address).hostname or ""):
        message = "Only a simulator on this machine can stand for Microsoft; leave the address empty."
        raise ActionFailure("INTEGRATION_MISCONFIGURED", message, field=field)
    return address


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
