"""`sendActivityNotification` for one user.

Facts: the API page (microsoft-graph-docs-contrib @ 014172c), the concept page (@ 0286391), and the request body of
msgraph-sdk 1.65.0, which has no `recipient`. What a 400 says is not known.
"""

import re
from typing import Any

from starlette.responses import Response

from sandbox.teams.clouds import CLOUDS
from sandbox.teams.graph.people import addressed, apps_for, bad, need_role
from sandbox.teams.limits import NOTIFICATIONS, NOTIFICATIONS_OF_APP, Window
from sandbox.teams.models import NOTIFY, Notification, TeamsApp, User
from sandbox.teams.routing import Routes
from sandbox.teams.wire import Call, graph_error

_FIELDS: dict[str, type] = {
    "topic": dict,
    "activityType": str,
    "previewText": dict,
    "templateParameters": list,
    "chainId": int,
    "teamsAppId": str,
    "iconId": str,
}
_TOPIC: dict[str, type] = {"source": str, "value": str, "webUrl": str}
_PREVIEW: dict[str, type] = {"content": str, "contentType": str}
_PARAMETER: dict[str, type] = {"name": str, "value": str}
_ENTITY = re.compile(r"https://[^/]+/(v1\.0|beta)/(users/[^/]+/teamwork/installedApps|appCatalogs/teamsApps)/[^/]+")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_SYSTEM_DEFAULT = "systemDefault"
_INT64 = 2**63


def notify(call: Call) -> Response:
    """Puts an item into the user's feed, or replaces the one of the same chain. The same again is no effect."""
    _count(call)
    user = addressed(call)
    apps = apps_for(call, user)
    if not any(app.may_notify for app in apps):
        need_role(call, NOTIFY)
    body = _checked(call, call.json(), _FIELDS, "body")
    _check_topic(call, body.get("topic"))
    _check_rest(call, body)
    app = _chosen(call, user, apps, body.get("teamsAppId"))
    _check_type(call, app, body)
    _deliver(call, user, app, body)
    return Response(status_code=call.world.settings.notify_status)


def _count(call: Call) -> None:
    if not call.world.settings.limits:
        return
    app = call.token.app_id
    windows = [
        Window(("notify", app, call.token.directory), NOTIFICATIONS),
        Window(("notify", app), NOTIFICATIONS_OF_APP),
    ]
    if wait := call.world.limits.admit(windows, call.world.now()):
        raise graph_error(call, 429, "TooManyRequests", "Too many requests.", {"retry-after": str(wait)})


def _checked(call: Call, given: Any, known: dict[str, type], where: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise bad(call, f"The {where} must be an object.")
    for name, value in given.items():
        if name == "@odata.type":
            continue
        if name not in known:
            raise bad(call, f"The property '{name}' does not exist on the {where}.")
        if value is not None and (not isinstance(value, known[name]) or isinstance(value, bool)):
            raise bad(call, f"The property '{name}' of the {where} has the wrong type.")
    return {name: value for name, value in given.items() if value is not None}


def _check_topic(call: Call, given: Any) -> None:
    topic = _checked(call, given, _TOPIC, "topic")
    value, link = topic.get("value", ""), topic.get("webUrl", "")
    begin = CLOUDS[call.world.directories[call.token.directory].cloud].links
    if link and not link.startswith(begin):
        raise bad(call, f"The webUrl of the topic must begin with {begin}.")
    if topic.get("source") == "text":
        if not value or not link:
            raise bad(call, "A topic with source text needs value and webUrl.")
    elif topic.get("source") == "entityUrl":
        if not _ENTITY.fullmatch(value):
            raise bad(call, "The value of the topic must be the URL of a teamsAppInstallation or a teamsCatalogApp.")
    else:
        raise bad(call, "The source of the topic must be entityUrl or text.")


def _check_rest(call: Call, body: dict[str, Any]) -> None:
    if not body.get("activityType"):
        raise bad(call, "activityType is required.")
    _checked(call, body.get("previewText", {}), _PREVIEW, "previewText")
    for one in body.get("templateParameters", []):
        _checked(call, one, _PARAMETER, "templateParameters")
    if not -_INT64 <= body.get("chainId", 0) < _INT64:
        raise bad(call, "chainId must be a 64-bit number.")


def _chosen(call: Call, user: User, apps: list[TeamsApp], wanted: str | None) -> TeamsApp:
    fitting = [app for app in apps if wanted in {None, app.id}]
    name = call.token.app_id
    if not fitting:
        about = f"/{'users'}/{user.id}/teamwork/sendActivityNotification"
        text = (
            f"Application with AAD App Id '{name}' is not authorized to generate custom text notifications about "
            f"'{about}' to the recipient. Ensure that the expected Teams "
            "app is installed in the target scope (user, team, or chat)."
        )
        raise graph_error(call, 403, "Forbidden", text)
    if len(fitting) > 1:
        text = (
            f"Found multiple applications with the same Azure AD App ID '{name}'; "
            "a Teams Application ID is required to resolve the ambiguity."
        )
        raise graph_error(call, 409, "Conflict", text)
    return fitting[0]


def _check_type(call: Call, app: TeamsApp, body: dict[str, Any]) -> None:
    kind = body["activityType"]
    if kind == _SYSTEM_DEFAULT:
        needed = {"systemDefaultText"}
    elif kind in app.activities:
        needed = set(_PLACEHOLDER.findall(app.activities[kind])) - {"actor"}
    else:
        raise bad(call, f"The activity type '{kind}' is not declared in the manifest of the app.")
    given = {one.get("name") for one in body.get("templateParameters", []) if one.get("value")}
    if missing := sorted(needed - given):
        raise bad(call, f"Template parameters are missing: {', '.join(missing)}.")


def _deliver(call: Call, user: User, app: TeamsApp, body: dict[str, Any]) -> None:
    world, chain = call.world, body.get("chainId")
    made = Notification(user=user.id, bot=call.token.app_id, app=app.id, body=body, chain_id=chain)
    detail = {"activity_type": body["activityType"], "topic": body["topic"].get("value"), "chain_id": chain}
    for one in world.notifications:
        if chain is not None and (one.user, one.bot, one.chain_id) == (made.user, made.bot, chain):
            if one.body != body:
                world.effects.record("replace_notification", user.id, detail)
            one.body, one.app, one.times = body, app.id, one.times + 1
            return
    world.notifications.append(made)
    world.effects.record("notify", user.id, detail)


ROUTES: Routes = {("POST", "v1.0/users/*/teamwork/sendActivityNotification"): notify}
