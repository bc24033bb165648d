"""OAuth 2: the sign-in page and the token endpoint with its three grants."""

import secrets
from urllib.parse import urlencode, urlsplit

from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from sandbox.control.wire import Refused
from sandbox.ninjaone.models import ApiApp
from sandbox.ninjaone.routing import Endpoint
from sandbox.ninjaone.tokens import Grant
from sandbox.ninjaone.wire import Call, failed, refused

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_OFFLINE = "offline_access"


async def authorize(call: Call) -> Response:
    """The browser's way: whoever is signed in agrees at once, and the browser is sent back with a code."""
    query = call.query
    app = _app(call, query.get("client_id", ""))
    target = query.get("redirect_uri", "")
    if not _registered(app, target):
        raise refused(400, "invalid_request", "The redirect_uri is not one of the app")
    if not call.world.settings.signed_in:
        return HTMLResponse("<!doctype html><title>Sign in</title><form method=post></form>")
    return RedirectResponse(f"{target}?{urlencode(_said(call, app, target))}", 302)


def _said(call: Call, app: ApiApp, target: str) -> dict[str, str]:
    query, state = call.query, {"state": call.query["state"]} if "state" in call.query else {}
    if not call.world.settings.consent:
        return {"error": "access_denied", **state}
    if query.get("response_type") != "code" or "authorization_code" not in app.grants:
        return {"error": "unsupported_response_type", **state}
    challenge = query.get("code_challenge", "")
    if challenge and query.get("code_challenge_method") != "S256":
        return {"error": "invalid_request", **state}
    if not challenge and not app.secret:
        return {"error": "invalid_request", **state}
    try:
        scopes = _scopes(app, query.get("scope"))
    except Refused:
        return {"error": "invalid_scope", **state}
    grant = Grant(app.client_id, scopes, call.world.settings.signed_in)
    return {"code": call.world.tokens.sign_in(grant, target, challenge), **state}


async def token(call: Call) -> Response:
    """The token endpoint."""
    if not call.headers.get(b"content-type", b"").startswith(b"application/x-www-form-urlencoded"):
        raise refused(400, "invalid_request", "A form is expected")
    form = call.form
    app = _app(call, form.get("client_id", ""))
    if app.secret and not secrets.compare_digest(
        form.get("client_secret", "").encode(), call.world.vault.secrets[app.client_id].encode()
    ):
        raise refused(401, "invalid_client", "Invalid client credentials")
    kind = form.get("grant_type", "")
    grants = {"client_credentials": _by_secret, "authorization_code": _by_code, "refresh_token": _by_refresh_token}
    if kind not in grants:
        raise refused(400, "unsupported_grant_type", f"Unsupported grant type: {kind}")
    if kind not in app.grants:
        raise refused(400, "unauthorized_client", f"The app may not use {kind}")
    grant, refresh_token = grants[kind](call, app, form)
    seconds = call.world.settings.expires_in
    answer: dict[str, object] = {
        "access_token": call.world.tokens.issue(grant, seconds),
        "expires_in": seconds,
        "scope": " ".join(grant.scopes),
        "token_type": "Bearer",
    }
    return JSONResponse(answer if refresh_token is None else {**answer, "refresh_token": refresh_token})


def _by_secret(_call: Call, app: ApiApp, form: dict[str, str]) -> tuple[Grant, None]:
    return Grant(app.client_id, _scopes(app, form.get("scope"))), None


def _by_code(call: Call, app: ApiApp, form: dict[str, str]) -> tuple[Grant, str | None]:
    tokens = call.world.tokens
    grant = tokens.redeem(form.get("code", ""), form.get("redirect_uri", ""), form.get("code_verifier", ""))
    if grant is None or grant.client_id != app.client_id:
        raise refused(400, "invalid_grant", "The code is not valid")
    lasting = _OFFLINE in grant.scopes and "refresh_token" in app.grants
    return grant, tokens.remember(grant) if lasting else None


def _by_refresh_token(call: Call, app: ApiApp, form: dict[str, str]) -> tuple[Grant, str | None]:
    world, value = call.world, form.get("refresh_token", "")
    known = world.tokens.refresh.get(value)
    if known is None or known.grant.client_id != app.client_id:
        raise refused(400, world.settings.dead_grant, "The refresh token is not valid")
    return known.grant, world.tokens.use(value, world.settings.rotation)


def _app(call: Call, client_id: str) -> ApiApp:
    app = call.world.apps.get(client_id)
    if app is None:
        raise failed(404, "Client app not exist")
    return app


def _scopes(app: ApiApp, asked: str | None) -> tuple[str, ...]:
    wanted = (asked or "").split() or app.scopes
    allowed = {*app.scopes, *([_OFFLINE] if "refresh_token" in app.grants else [])}
    if not allowed.issuperset(wanted):
        raise refused(400, "invalid_scope", "The app does not have this scope")
    return tuple(wanted)


def _registered(app: ApiApp, target: str) -> bool:
    return _portless(target) in {_portless(one) for one in app.redirect_uris}


def _portless(address: str) -> str:
    parts = urlsplit(address)
    host = parts.hostname if parts.hostname in _LOOPBACK else parts.netloc
    return f"{parts.scheme}://{host}{parts.path}"


PAGES = [Endpoint("GET", "/ws/oauth/authorize", authorize), Endpoint("POST", "/ws/oauth/token", token)]
