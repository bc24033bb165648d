"""A vendor behind OAuth: token endpoint, authorize page, things. Careless: its refusals quote what they were sent."""

import base64
import hashlib
import time
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import uuid4

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from sandbox.control import Sandbox
from sandbox.control.effects import EffectLog

CLIENT_ID = "lab-app"
CLIENT_SECRET = "canary-client-secret-9d41"
FIRST_REFRESH_TOKEN = "canary-refresh-first-77e0"


class Refused(Exception):
    """The token endpoint's refusal."""


class OAuthVendor:
    """A simulator in the sense of the control plane. Each token it gives counts as an effect, by grant.

    Its settings, changed by `patch`: `rotation` is `none` (the refresh token stays and is not answered again),
    `overlap` (a new one, the old one works until the new one is used) or `strict` (the old one is dead at once);
    `lifetime` in seconds; `deny` lets the person refuse; `expire` ends all access tokens, `revoke` all refresh tokens.
    """

    name = "oauthlab"

    def __init__(self) -> None:
        self.effects = EffectLog()
        self._app = Starlette(
            routes=[
                Route("/oauth/token", self.token, methods=["POST"]),
                Route("/oauth/authorize", self.authorize, methods=["GET"]),
                Route("/check", self.read, methods=["GET"]),
                Route("/things/{name}", self.read, methods=["GET"]),
                Route("/things", self.post, methods=["POST"]),
            ]
        )
        self.reset()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        await self._app(scope, receive, send)

    def reset(self) -> None:
        """Back to one refresh token and no access token."""
        self._numbers = count(1)
        self._settings: dict[str, Any] = {"rotation": "overlap", "lifetime": 3600, "deny": False}
        self._access: dict[str, float] = {}
        self._refresh = {FIRST_REFRESH_TOKEN}
        self._codes: dict[str, tuple[str, str]] = {}

    def snapshot(self) -> dict[str, Any]:
        """Everything that it gave."""
        return {"refresh": sorted(self._refresh), "access": sorted(self._access), **self._settings}

    def patch(self, changes: dict[str, Any]) -> None:
        """Changes settings; `expire` and `revoke` end tokens."""
        if changes.pop("expire", False):
            self._access.clear()
        if changes.pop("revoke", False):
            self._refresh.clear()
        self._settings.update(changes)

    def credentials(self) -> dict[str, Any]:
        """The app and the first refresh token."""
        return {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "refresh_token": FIRST_REFRESH_TOKEN}

    async def token(self, request: Request) -> Response:
        """Gives tokens for a grant."""
        form = dict(parse_qsl((await request.body()).decode()))
        if form.get("client_id") != CLIENT_ID:
            return JSONResponse({"error": "Client app not exist"}, 404)
        if form.get("client_secret") != CLIENT_SECRET:
            return JSONResponse({"error": "invalid_client", "error_description": str(form)}, 401)
        try:
            refresh = self._granted(form)
        except Refused as refused:
            return JSONResponse({"error": "invalid_grant", "error_description": f"{refused}: {form}"}, 400)
        self.effects.record(form["grant_type"], CLIENT_ID, {})
        access = f"canary-access-{next(self._numbers)}-{uuid4().hex[:8]}"
        self._access[access] = time.monotonic() + self._settings["lifetime"]
        answer = {"access_token": access, "token_type": "Bearer", "expires_in": self._settings["lifetime"]}
        return JSONResponse(answer | ({"refresh_token": refresh} if refresh else {}))

    def _granted(self, form: dict[str, str]) -> str:
        """Returns the refresh token of the answer; empty for none."""
        kind = form["grant_type"]
        if kind == "client_credentials":
            return ""
        if kind == "refresh_token":
            return self._rotated(form["refresh_token"])
        challenge, redirect_uri = self._codes.pop(form.get("code", ""), ("", ""))
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != challenge or form["redirect_uri"] != redirect_uri:
            raise Refused("the code is not good")
        return self._new_refresh_token()

    def _rotated(self, old: str) -> str:
        if old not in self._refresh:
            raise Refused("the refresh token is not good")
        if self._settings["rotation"] == "none":
            return ""
        self._refresh = {old} if self._settings["rotation"] == "overlap" else set()
        return self._new_refresh_token()

    def _new_refresh_token(self) -> str:
        token = f"canary-refresh-{next(self._numbers)}-{uuid4().hex[:8]}"
        self._refresh.add(token)
        return token

    async def authorize(self, request: Request) -> Response:
        """Stands for the page on which a person agrees at once, or refuses."""
        asked = request.query_params
        answer = {"state": asked["state"]}
        if self._settings["deny"]:
            answer |= {"error": "access_denied", "error_description": "The person said no."}
        else:
            code = f"canary-code-{uuid4().hex[:12]}"
            self._codes[code] = (asked["code_challenge"], asked["redirect_uri"])
            answer |= {"code": code}
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(answer)}", 302)

    def _refusal(self, request: Request) -> Response | None:
        given = request.headers.get("authorization", "")
        if self._access.get(given.removeprefix("Bearer "), 0.0) > time.monotonic():
            return None
        return JSONResponse({"error": f"the token {given} is not valid"}, 401)

    async def read(self, request: Request) -> Response:
        """A thing; its text quotes the token, as a careless vendor would."""
        refusal = self._refusal(request)
        said = f"you sent {request.headers.get('authorization', '')}"
        return refusal or JSONResponse({"name": request.path_params.get("name", ""), "text": said})

    async def post(self, request: Request) -> Response:
        """Posts a thing."""
        if refusal := self._refusal(request):
            return refusal
        body = await request.json()
        self.effects.record("post", body["name"], {})
        return JSONResponse({"name": body["name"]}, 201)


def create_app() -> Sandbox:
    """Returns the vendor behind its control plane."""
    return Sandbox(OAuthVendor())
