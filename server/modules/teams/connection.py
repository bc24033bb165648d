"""Being connected to Microsoft: the cloud, whom we are, which addresses are Teams'."""

from dataclasses import replace

from server.gen.patchbay.modules.teams.v1.teams_pb2 import TeamsConnection
from server.sdk import ActionFailure, ConnectionScope
from server.sdk.entra import app_tokens, simulated
from server.sdk.microsoft import CLOUDS, PUBLIC, Cloud, is_at
from server.sdk.oauth import AccessTokens


def cloud_of(settings: TeamsConnection) -> Cloud:
    """Returns the cloud, with a simulator's addresses in place of Microsoft's where the settings name them."""
    cloud = CLOUDS[settings.cloud or PUBLIC]
    return replace(
        cloud,
        login=simulated(settings.login_url, cloud.login, "settings.login_url"),
        graph=simulated(settings.graph_url, cloud.graph, "settings.graph_url"),
        service=simulated(settings.service_url, cloud.service, "settings.service_url"),
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
    return app_tokens(
        scope,
        cloud.login,
        directory=directory,
        app_id=settings.bot_app_id,
        secret=settings.bot_secret,
        audience=cloud.bot,
        slot="bot",
    )


def graph_tokens(scope: ConnectionScope[TeamsConnection]) -> AccessTokens:
    """Returns the tokens for Microsoft Graph, from the directory whose people are notified."""
    settings = scope.settings
    return app_tokens(
        scope,
        cloud_of(settings).login,
        directory=settings.entra_tenant_id,
        app_id=settings.graph_app_id or settings.bot_app_id,
        secret=settings.graph_secret or settings.bot_secret,
        audience=CLOUDS[settings.cloud or PUBLIC].graph,
        slot="graph",
    )
