"""Microsoft Graph: notifications of the activity feed, and the installations of an app."""

from starlette.responses import Response

from sandbox.teams.graph import installed_apps, notify, users
from sandbox.teams.routing import Routes, Surface
from sandbox.teams.wire import Call, graph_error

ROUTES: Routes = {**notify.ROUTES, **installed_apps.ROUTES, **users.ROUTES}


def _check(call: Call) -> None:
    token = call.accepted()
    if token is None or token.surface != "graph":
        raise graph_error(call, 401, "InvalidAuthenticationToken", "Access token is empty, expired or not for Graph.")
    call.signed = token


def _finish(call: Call, made: Response) -> None:
    made.headers["request-id"] = call.request_id
    if call.header("client-request-id"):
        made.headers["client-request-id"] = call.header("client-request-id")


SURFACE = Surface(ROUTES, _check, _finish)
