"""Speaking to the simulated NinjaOne instance: signing in, and asking."""

from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from sandbox.client import SandboxControl
from sandbox.ninjaone.tokens import challenge_of
from sandbox.serving import SandboxServer
from tests.support.web import Answer, fetch

REDIRECT = "http://127.0.0.1:50999/"
VERIFIER = "a-verifier-that-is-as-long-as-the-standard-wants-it"
EVERYTHING = "monitoring management control offline_access"


class NinjaCaller:
    """Blocking requests, each on a connection of its own; signed with a user's token unless told otherwise."""

    def __init__(self, server: SandboxServer) -> None:
        self._url = server.url
        self.control = SandboxControl(server.url)
        self.apps = {app["name"]: app for app in self.control.credentials()["apps"]}
        self.bearer = self.refresh(self.apps["demo"]["refresh_token"]).json()["access_token"]

    def send(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        """Sends exactly this."""
        return fetch(self._url, method, path, body, headers)

    def call(self, method: str, path: str, body: Any = None, *, bearer: str | None = None) -> Answer:
        """A signed request; a body is sent as JSON."""
        headers = {"Authorization": f"Bearer {bearer or self.bearer}", "Content-Type": "application/json"}
        return self.send(method, path, body, headers)

    def get(self, path: str) -> Any:
        """The parsed answer of a read that must succeed."""
        answer = self.call("GET", path)
        assert answer.status == 200, answer.text
        return answer.json()

    def token(self, app: str = "demo", path: str = "/ws/oauth/token", **form: str) -> Answer:
        """Asks the token endpoint in the name of an app; fields of the form win."""
        known = {"client_id": self.apps[app]["client_id"], "client_secret": self.apps[app]["client_secret"]}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.send("POST", path, urlencode({**known, **form}), headers)

    def refresh(self, refresh_token: str) -> Answer:
        """Uses a refresh token."""
        return self.token(grant_type="refresh_token", refresh_token=refresh_token)

    def service(self, app: str = "services") -> str:
        """A token of client credentials."""
        return str(self.token(app, grant_type="client_credentials").json()["access_token"])

    def authorize(self, **query: str) -> Answer:
        """Opens the sign-in page in the browser of the signed-in user."""
        asked = {
            "response_type": "code",
            "client_id": self.apps["demo"]["client_id"],
            "redirect_uri": REDIRECT,
            "scope": EVERYTHING,
            "state": "s-1",
            "code_challenge": challenge_of(VERIFIER),
            "code_challenge_method": "S256",
            **query,
        }
        return self.send("GET", "/ws/oauth/authorize?" + urlencode(asked))

    def returned(self, **query: str) -> dict[str, str]:
        """What the browser brings back to the redirect address."""
        answer = self.authorize(**query)
        assert answer.status == 302, answer.text
        return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}

    def redeem(self, code: str, **form: str) -> Answer:
        """Redeems a code."""
        given = {"code": code, "redirect_uri": REDIRECT, "code_verifier": VERIFIER, **form}
        return self.token(grant_type="authorization_code", **given)
