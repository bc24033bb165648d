"""The receiver as an ASGI application: it takes what is signed by the secret of the hook that the path names."""

import base64
import json
import secrets
from dataclasses import dataclass
from typing import Any

from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from sandbox.control import EffectLog, JsonObject, StateError

_PATH = "/hooks/"


@dataclass(slots=True)
class Hook:
    """One address.

    Attributes:
        name: Name.
        token: Its part of the path, as good as a password.
        secret: What events are signed by.
        gone: Whether it answers 410.
    """

    name: str
    token: str
    secret: str
    gone: bool = False


class Receiver:
    """One receiver with several hooks.

    Args:
        seed: `{"hooks": [name, ...]}`.
    """

    name = "webhook"

    def __init__(self, seed: JsonObject) -> None:
        self.effects = EffectLog()
        made = [Hook(name, secrets.token_urlsafe(18), _new_secret()) for name in seed["hooks"]]
        self._hooks = {hook.token: hook for hook in made}
        self.reset()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        response = self._answer(request, await request.body())
        await response(scope, receive, send)

    def _answer(self, request: Request, body: bytes) -> Response:
        hook = self._hooks.get(request.url.path.removeprefix(_PATH))
        if hook is None or request.method != "POST":
            return JSONResponse({"error": "no such hook"}, 404)
        if hook.gone:
            return JSONResponse({"error": "gone"}, 410)
        try:
            Webhook(hook.secret).verify(body, dict(request.headers))
        except (WebhookVerificationError, ValueError) as error:
            return JSONResponse({"error": str(error)}, 401)
        self._take(hook, request.headers["webhook-id"], json.loads(body))
        return Response(status_code=204)

    def _take(self, hook: Hook, id: str, event: JsonObject) -> None:
        again = id in self._seen
        self._seen.add(id)
        self.effects.record("again" if again else "event", hook.name, {"id": id, **event})

    def reset(self) -> None:
        """Forget what was received; addresses and secrets stay."""
        self._seen: set[str] = set()
        for hook in self._hooks.values():
            hook.gone = False

    def snapshot(self) -> JsonObject:
        """The hooks by name."""
        return {"hooks": {hook.name: {"gone": hook.gone} for hook in self._hooks.values()}}

    def patch(self, changes: JsonObject) -> None:
        """Say that a hook is gone, or back: `{"gone": {name: bool}}`."""
        wishes: dict[str, Any] = changes.get("gone", {})
        known = {hook.name: hook for hook in self._hooks.values()}
        if set(changes) != {"gone"} or not wishes.keys() <= known.keys():
            raise StateError(f"`gone` takes the hooks {', '.join(known)}")
        for name, gone in wishes.items():
            known[name].gone = bool(gone)

    def credentials(self) -> JsonObject:
        """Paths and secrets by the hook's name."""
        return {
            "hooks": {
                hook.name: {"path": f"{_PATH}{hook.token}", "signing_secret": hook.secret}
                for hook in self._hooks.values()
            }
        }

    def mask_path(self, path: str) -> str:
        """Take the token out of a path."""
        return _PATH + "***" if path.startswith(_PATH) else path


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
