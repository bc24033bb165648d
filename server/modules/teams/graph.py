"""The endpoints of Microsoft Graph that Patchbay uses.

The notification of one user takes no `recipient`: that belongs to the variants for teams and chats. A notice with a
`chainId` takes the place of the one before, so it can be sent again.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from server.gen.patchbay.modules.teams.v1.teams_pb2 import TeamsConnection
from server.modules.teams.connection import cloud_of, graph_tokens
from server.sdk import Account, ConnectionScope
from server.sdk.meanings import Meaning, meanings
from server.sdk.reading import an_object, objects, text

# Graph also lists the roles that a token has, so the name of a role says nothing by itself.
_read_error: Final = meanings(
    Meaning(
        "APP_NOT_INSTALLED_FOR_USER",
        "The Teams app is not installed for the person.",
        status=403,
        said="is not authorized to generate custom text notifications",
    ),
    Meaning(
        "VENDOR_PERMISSION_DENIED",
        "The app lacks the right to send notifications.",
        status=403,
        said="API requires one of '",
        remedy="Grant the app `TeamsActivity.Send`, or `TeamsActivity.Send.User` in its manifest.",
    ),
    Meaning(
        "AMBIGUOUS_TEAMS_APP",
        "Several installed Teams apps share the app's registration.",
        status=409,
        said="Found multiple applications with the same",
    ),
)


class Graph:
    """Graph for one tenant."""

    def __init__(self, scope: ConnectionScope[TeamsConnection]) -> None:
        base = f"{cloud_of(scope.settings).graph}/v1.0/users"
        self._tokens = graph_tokens(scope)
        self._http = scope.http.bind(base_url=base)
        self._notices = scope.http.bind(base_url=base, read_error=_read_error)
        self._app = scope.settings.teams_app_id

    async def check(self) -> None:
        """Proves the credentials by obtaining a token; no right beyond that is proved."""
        await self._tokens.bearer()

    async def notify(self, user: str, notice: Mapping[str, Any]) -> str | None:
        """Puts a notice into a person's feed; returns Graph's id of the request."""
        path = f"/{quote(user, '')}/teamwork/sendActivityNotification"
        body = {**notice, **({"teamsAppId": self._app} if self._app else {})}
        response = await self._tokens.send(self._notices, "POST", path, json=body)
        return text(response.headers.get("request-id"))

    async def person(self, name: str) -> Account:
        """Returns the person with that object id or sign-in address; raises NOT_FOUND."""
        params = {"$select": "id,displayName,mail,userPrincipalName"}
        response = await self._tokens.send(self._http, "GET", f"/{quote(name, '')}", params=params)
        row = an_object(response)
        if (id := text(row.get("id"))) is None:
            raise response.invalid("Microsoft Graph answered with a user without an id.")
        email = text(row.get("mail")) or text(row.get("userPrincipalName"))
        return Account(user_id="", account_id=id, email=email, name=text(row.get("displayName")))

    async def chat_with_app(self, user: str) -> str | None:
        """Returns the conversation in which the app is installed for a person; None when there is none."""
        if not self._app:
            return None
        path = f"/{quote(user, '')}/teamwork/installedApps"
        params = {"$expand": "teamsApp", "$filter": f"teamsApp/id eq '{self._app}'"}
        found = objects(await self._tokens.send(self._http, "GET", path, params=params), "value")
        if not found or not (installed := text(found[0].get("id"))):
            return None
        chat = await self._tokens.send(self._http, "GET", f"{path}/{quote(installed, '')}/chat")
        return text(an_object(chat).get("id"))
