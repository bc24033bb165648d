"""Speaking to the simulated Microsoft services as a bot does: signing in, and asking."""

from typing import Any
from urllib.parse import quote, urlencode

from sandbox.client import SandboxControl
from sandbox.control import seed_of
from sandbox.serving import SandboxServer
from tests.support.web import Answer, fetch

_SEED = seed_of("teams")
TENANT, OTHER_TENANT = (one["id"] for one in _SEED["directories"])
BOT, OLD_BOT = (one["app_id"] for one in _SEED["bots"])
APP = _SEED["apps"][0]["id"]
DANA, LEE, SAM, KIM = (one["id"] for one in _SEED["users"])
DANA_CHAT, SAM_CHAT, OLD_CHAT = (one["id"] for one in _SEED["conversations"])
GENERAL, ALERTS, LEADS, FINANCE = (one["id"] for one in _SEED["channels"])
CARD = {
    "contentType": "application/vnd.microsoft.card.adaptive",
    "content": {"type": "AdaptiveCard", "version": "1.5", "body": []},
}
BOT_SCOPE = "https://api.botframework.com/.default"
GRAPH_SCOPE = "https://graph.microsoft.com/.default"


class TeamsCaller:
    """Blocking requests, each on a connection of its own; as the single-tenant bot unless told otherwise."""

    def __init__(self, server: SandboxServer) -> None:
        self.control = SandboxControl(server.url)
        self.url = server.url
        self.secrets = {one["app_id"]: one["client_secret"] for one in self.control.credentials()["bots"]}
        self.sign_in()

    def sign_in(self) -> None:
        """Gets both tokens of the single-tenant bot."""
        self.bearer = self.granted()
        self.graph_bearer = self.granted(scope=GRAPH_SCOPE)

    def send(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        """Sends exactly this."""
        return fetch(self.url, method, path, body, headers)

    def token(self, tenant: str = TENANT, bot: str = BOT, **form: str) -> Answer:
        """Asks the token endpoint; fields of the form win."""
        known = {"grant_type": "client_credentials", "client_id": bot, "client_secret": self.secrets[bot]}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        body = urlencode({**known, "scope": BOT_SCOPE, **form})
        return self.send("POST", f"/login/{tenant}/oauth2/v2.0/token", body, headers)

    def granted(self, tenant: str = TENANT, bot: str = BOT, **form: str) -> str:
        """A token."""
        answer = self.token(tenant, bot, **form)
        assert answer.status == 200, answer.text
        return str(answer.json()["access_token"])

    def call(self, method: str, path: str, body: Any = None, *, bearer: str | None = None) -> Answer:
        """A request that is signed for its surface; a body is sent as JSON."""
        token = bearer or (self.graph_bearer if path.startswith("/graph/") else self.bearer)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return self.send(method, path, body, headers)

    def write(
        self, conversation: str, activity: Any = None, *, region: str = "emea", bearer: str | None = None
    ) -> Answer:
        """Sends an activity, a short text by default, into a conversation."""
        path = f"/connector/{region}/v3/conversations/{quote(conversation, safe='')}/activities"
        return self.call(
            "POST", path, {"type": "message", "text": "hi"} if activity is None else activity, bearer=bearer
        )

    def create(self, *, region: str = "emea", bearer: str | None = None, **body: Any) -> Answer:
        """Asks for a conversation in the bot's directory."""
        path = f"/connector/{region}/v3/conversations"
        return self.call("POST", path, {"tenantId": TENANT, **body}, bearer=bearer)

    def post(self, channel: str = ALERTS, text: str = "P1") -> Answer:
        """Begins a thread in a channel."""
        data = {"channel": {"id": channel}, "tenant": {"id": TENANT}}
        return self.create(isGroup=True, channelData=data, activity={"type": "message", "text": text})

    def notify(self, user: str = DANA, **changes: Any) -> Answer:
        """Sends a notification with free text; changes win, None leaves a field out."""
        link = "https://teams.microsoft.com/l/entity/app/conversations"
        body = {
            "topic": {"source": "text", "value": "Ticket 4217", "webUrl": link},
            "activityType": "systemDefault",
            "previewText": {"content": "C: at 98 %"},
            "templateParameters": [{"name": "systemDefaultText", "value": "Disk full"}],
            **changes,
        }
        kept = {name: value for name, value in body.items() if value is not None}
        return self.call("POST", f"/graph/v1.0/users/{quote(user)}/teamwork/sendActivityNotification", kept)
