"""Sending recorded requests to the simulator, in their order, in a world arranged to be that of the recording."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pyotp

from sandbox.client import SandboxControl
from tests.sandbox.captures import Exchange
from tests.support.web import fetch

WINDOWS_AGENT = "WqPzKtLrXvYbNcHdMsGfJkTeAaBbCcDdEeFfGgHh"

ARRANGED_BEFORE: dict[tuple[str, str], dict[str, Any]] = {
    ("normal", "cmd slower than timeout"): {"agents": {WINDOWS_AGENT: {"kills_at_limit": False}}},
    ("normal", "kill"): {"agents": {WINDOWS_AGENT: {"processes": [{"name": "app.exe", "pid": 77}]}}},
    ("normal", "kill fail"): {"agents": {WINDOWS_AGENT: {"processes": []}}},
}
"""What the recording's stand-in agent did that a real one would not; set just before the exchange of that label."""

ARRANGED_FOR_PHASE: dict[str, dict[str, Any]] = {
    "normal": {},
    "nats-up-no-subscriber": {"settings": {"nats": "no_subscriber"}},
    "nats-down": {"settings": {"nats": "down"}},
    "beta-disabled": {"settings": {"nats": "up", "beta": False}},
}
_FOREIGN_TOKENS = {
    "key in Authorization": "Token ",
    "both bad token + good key": "Token ",
    "bearer + good key": "Bearer ",
}
_BAD_KEY = "NOTAKEYNOTAKEYNOTAKEYNOTAKEY0000"


RECORDED_ON = "2026-11-23"


def _today(path: str) -> str:
    """A day that was asked for on the day of the recording becomes the days around this one: time goes on, history
    rows of the replay are made now, and midnight may pass meanwhile."""
    now = datetime.now(UTC)
    first, last = (now - timedelta(days=1)).date(), (now + timedelta(days=1)).date()
    return path.replace(f"start={RECORDED_ON}", f"start={first}").replace(f"end={RECORDED_ON}", f"end={last}")


class Replay:
    """One pass over the recording against a running simulator."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"
        self.control = SandboxControl(self._url)
        self._credentials = self.control.credentials()
        self._totp = {user["username"]: user["totp_secret"] for user in self._credentials["users"]}
        self._phase = ""
        self._token = ""

    def _arrange(self, exchange: Exchange) -> None:
        if exchange.phase != self._phase:
            self._phase = exchange.phase
            self.control.patch_state(**ARRANGED_FOR_PHASE[exchange.phase])
        wish = ARRANGED_BEFORE.get((exchange.phase, exchange.label))
        if wish is not None:
            self.control.patch_state(**wish)

    def _headers(self, exchange: Exchange) -> dict[str, str]:
        request = exchange.request
        headers = {"Host": "api.example.test", **request["extra_headers"]}
        if request["as"] is not None:
            headers["X-API-KEY"] = self._credentials["api_keys"].get(request["as"], _BAD_KEY)
        if "Authorization" in headers:
            headers["Authorization"] = self._authorization(exchange.label)
        return headers

    def _authorization(self, label: str) -> str:
        if label in _FOREIGN_TOKENS:
            return _FOREIGN_TOKENS[label] + "f" * 64
        return f"Bearer {self._token}" if label == "bearer use" else f"Token {self._token}"

    def _body(self, exchange: Exchange) -> Any:
        body = exchange.request["body"]
        if not isinstance(body, dict) or "password" not in body:
            return body
        body = dict(body)
        if len(body["password"]) > 1:
            body["password"] = "replay-password"
        if exchange.label == "login ok":
            body["twofactor"] = pyotp.TOTP(self._totp["totpuser"]).now()
        return body

    def send(self, exchange: Exchange) -> tuple[int, Mapping[str, str], str]:
        """Status, headers (lower-case names) and body of the simulator's answer."""
        self._arrange(exchange)
        headers, body = self._headers(exchange), self._body(exchange)
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        answer = fetch(self._url, exchange.request["method"], _today(exchange.request["path"]), body, headers)
        self._keep_token(exchange, answer.text)
        return answer.status, answer.headers, answer.text

    def _keep_token(self, exchange: Exchange, text: str) -> None:
        if exchange.request["path"].startswith("/v2/") and '"token"' in text:
            self._token = json.loads(text)["token"]
