"""The login service: tokens for client credentials.

Facts: the forms and errors of Microsoft's pages on `oauth2/v2.0/token` and on error codes. The order in which it
refuses is a guess: directory, application, scope, secret.
"""

from starlette.responses import JSONResponse, Response

from sandbox.control.wire import Refused
from sandbox.microsoft import login_error
from sandbox.teams.clouds import CLOUDS, CloudName, legacy_cloud
from sandbox.teams.models import Bot, Directory
from sandbox.teams.routing import Routes, Surface
from sandbox.teams.tokens import AccessToken
from sandbox.teams.wire import Call

_DEFAULT = "/.default"


def token(call: Call) -> Response:
    """Grants a token, in a directory or in the one of all bots."""
    form, (tenant,) = call.form, call.params
    _check_grant(call, form)
    directory = call.world.directory(tenant)
    cloud = directory.cloud if directory is not None else legacy_cloud(tenant)
    if cloud is None:
        raise login_error(call, 400, "invalid_request", 90002, f"Tenant '{tenant}' not found.")
    bot = _application(call, form["client_id"], directory, tenant)
    granted = _granted(call, bot, directory, cloud, form["scope"])
    _check_secret(call, bot, form["client_secret"])
    return _told(call, granted)


def _check_grant(call: Call, form: dict[str, str]) -> None:
    if form.get("grant_type") != "client_credentials":
        text = "The app requested an unsupported grant type."
        raise login_error(call, 400, "unsupported_grant_type", 70003, text)
    for name in ("client_id", "client_secret", "scope"):
        if not form.get(name):
            text = f"The request body must contain the following parameter: '{name}'."
            raise login_error(call, 400, "invalid_request", 900144, text)


def _application(call: Call, client_id: str, directory: Directory | None, tenant: str) -> Bot:
    bot = call.world.bots.get(client_id)
    if bot is None or (directory is not None and directory.id not in {bot.directory, *bot.directories}):
        raise _unknown(call, client_id, tenant)
    return bot


def _unknown(call: Call, client_id: str, tenant: str) -> Refused:
    text = f"Application with identifier '{client_id}' was not found in the directory '{tenant}'."
    return login_error(call, 400, "unauthorized_client", 700016, text)


def _granted(call: Call, bot: Bot, directory: Directory | None, cloud: CloudName, scope: str) -> AccessToken:
    audiences, now = CLOUDS[cloud], call.world.now()
    home = directory.id if directory is not None else ""
    if scope == audiences.bot + _DEFAULT:
        ends = now + call.world.settings.bot_token_seconds
        return AccessToken(bot.app_id, home, "connector", audiences.bot, ends)
    if scope == audiences.graph + _DEFAULT:
        if directory is None:
            raise _unknown(call, bot.app_id, audiences.legacy)
        ends = now + call.world.settings.graph_token_seconds
        return AccessToken(bot.app_id, home, "graph", audiences.graph, ends, list(bot.roles))
    if not scope.endswith(_DEFAULT):
        text = f"The provided value for scope {scope} is not valid. It must be a resource followed by '{_DEFAULT}'."
        raise login_error(call, 400, "invalid_scope", 1002012, text)
    raise login_error(call, 400, "invalid_scope", 70011, f"The provided value for scope {scope} is not valid.")


def _check_secret(call: Call, bot: Bot, secret: str) -> None:
    if secret != call.world.vault.secrets[bot.app_id]:
        text = f"Invalid client secret provided for app '{bot.app_id}'; not its ID, its value has to be sent."
        raise login_error(call, 401, "invalid_client", 7000215, text)
    if bot.secret_expired:
        text = f"The provided client secret keys for app '{bot.app_id}' are expired."
        raise login_error(call, 401, "invalid_client", 7000222, text)


def _told(call: Call, granted: AccessToken) -> Response:
    settings, now = call.world.settings, call.world.now()
    seconds = round(granted.expires_at - now)
    value = call.world.tokens.issue(granted, now)
    lasting: int | str = str(seconds) if settings.expires_in_as_text else seconds
    return JSONResponse(
        {"token_type": "Bearer", "expires_in": lasting, "ext_expires_in": lasting, "access_token": value}
    )


def _check(_call: Call) -> None:
    """Nothing: the form is all there is."""


def _finish(call: Call, made: Response) -> None:
    made.headers["cache-control"] = "no-store, no-cache"
    made.headers["x-ms-request-id"] = call.request_id


ROUTES: Routes = {("POST", "*/oauth2/v2.0/token"): token}
SURFACE = Surface(ROUTES, _check, _finish)
