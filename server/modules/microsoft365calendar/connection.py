"""Being connected to Microsoft: which cloud, or which simulator in its place, and who we are there."""

from server.gen.patchbay.modules.microsoft365calendar.v1.microsoft365calendar_pb2 import Microsoft365CalendarConnection
from server.sdk import ConnectionScope
from server.sdk.entra import app_tokens, simulated
from server.sdk.microsoft import CLOUDS, PUBLIC
from server.sdk.oauth import AccessTokens


def instance_url(settings: Microsoft365CalendarConnection) -> str:
    """Returns the address of Microsoft Graph; the token endpoint's is checked, too."""
    _login(settings)
    return simulated(settings.graph_url, CLOUDS[settings.cloud or PUBLIC].graph, "settings.graph_url")


def graph_tokens(scope: ConnectionScope[Microsoft365CalendarConnection]) -> AccessTokens:
    """Returns the tokens for Microsoft Graph, from the directory whose people have the calendars."""
    settings = scope.settings
    return app_tokens(
        scope,
        _login(settings),
        directory=settings.entra_tenant_id,
        app_id=settings.app_id,
        secret=settings.client_secret,
        audience=CLOUDS[settings.cloud or PUBLIC].graph,
    )


def _login(settings: Microsoft365CalendarConnection) -> str:
    return simulated(settings.login_url, CLOUDS[settings.cloud or PUBLIC].login, "settings.login_url")
