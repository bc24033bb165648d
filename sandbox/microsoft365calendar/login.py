"""The login service: tokens for client credentials. The order in which it refuses is a guess."""

from starlette.responses import JSONResponse, Response

from sandbox.microsoft import login_error
from sandbox.microsoft365calendar.wire import Call

_SCOPE = "https://graph.microsoft.com/.default"


def token(call: Call) -> Response:
    """Grants a token."""
    form, world = call.form, call.world
    if call.parts[1].lower() != world.tenant_id:
        raise login_error(call, 400, "invalid_request", 90002, f"Tenant '{call.parts[1]}' not found.")
    if form.get("grant_type") != "client_credentials":
        raise login_error(call, 400, "unsupported_grant_type", 70003, "The app requested an unsupported grant type.")
    if form.get("client_id", "").lower() != world.app_id:
        raise login_error(call, 400, "unauthorized_client", 700016, "The application was not found in the directory.")
    if form.get("scope") != _SCOPE:
        raise login_error(call, 400, "invalid_scope", 70011, "The provided value for scope is not valid.")
    _check_secret(call, form.get("client_secret", ""))
    answer = {"token_type": "Bearer", "expires_in": world.settings.token_seconds, "access_token": world.issue()}
    return JSONResponse(answer, headers={"cache-control": "no-store, no-cache"})


def _check_secret(call: Call, given: str) -> None:
    if given != call.secret:
        raise login_error(call, 401, "invalid_client", 7000215, "Invalid client secret provided.")
    if call.world.settings.secret_expired:
        raise login_error(call, 401, "invalid_client", 7000222, "The provided client secret keys are expired.")
