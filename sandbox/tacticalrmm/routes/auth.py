"""Login by password, with and without a one-time code."""

import time
from datetime import UTC, datetime
from typing import Any

import pyotp

from sandbox.tacticalrmm.access import anyone, logged_in, session_token
from sandbox.tacticalrmm.models import User
from sandbox.tacticalrmm.render import stamp
from sandbox.tacticalrmm.routing import Endpoint
from sandbox.tacticalrmm.sessions import FIRST_SECONDS, SESSION_SECONDS
from sandbox.tacticalrmm.wire import Answer, Call, Crash, bad, detail, reply

_BAD = "Bad credentials"
_WRONG = {"non_field_errors": ["Unable to log in with provided credentials."]}
_WINDOW = 10
_COOKIES = [
    (b"set-cookie", b"csrftoken=simulated; Path=/; SameSite=Lax"),
    (b"set-cookie", b"sessionid=simulated; HttpOnly; Path=/; SameSite=Lax; Secure"),
]


def _throttle(call: Call, view: str) -> None:
    allowed, now = call.world.settings.login_per_minute, time.time()
    if call.user is not None or not allowed:
        return
    recent = [at for at in call.world.logins[f"{view} {call.peer}"] if at > now - 60]
    call.world.logins[f"{view} {call.peer}"] = recent
    if len(recent) >= allowed:
        wait = max(1, round(recent[0] + 60 - now))
        refused = detail(429, f"Request was throttled. Expected available in {wait} seconds.")
        refused.answer.headers.append((b"retry-after", b"%d" % wait))
        raise refused
    recent.append(now)


def _account(call: Call, data: dict[str, Any]) -> User | None:
    user = call.world.users.get(str(data.get("username")))
    if user is None or not user.active or data.get("password") != call.world.vault.passwords[user.name]:
        return None
    return user


def _barred(call: Call, user: User) -> bool:
    role = call.world.roles.get(user.role or "")
    superuser = role is not None and role.superuser
    return user.block_dashboard_login or (call.world.settings.block_local_logon and not superuser)


def _opened(call: Call, user: User, seconds: float) -> dict[str, str]:
    value, token = call.world.sessions.open(user.name, seconds)
    return {"expiry": stamp(datetime.fromtimestamp(token.expiry, UTC)), "token": value}


def _with_cookies(value: Any) -> Answer:
    answer = reply(value)
    answer.headers.extend(_COOKIES)
    answer.vary = b"Cookie, origin"
    return answer


async def check_credentials(call: Call) -> Answer:
    """The first step: a short-lived token for an account without TOTP, else only word that a code is needed."""
    _throttle(call, "checkcreds")
    user = _account(call, call.data())
    if user is None or _barred(call, user):
        return bad(_BAD)
    if user.totp:
        return reply({"totp": True})
    return _with_cookies({**_opened(call, user, FIRST_SECONDS), "totp": False})


async def login(call: Call) -> Answer:
    """The second step: password and one-time code; an account without TOTP cannot use it."""
    _throttle(call, "login")
    data = call.data()
    user = _account(call, data)
    if user is None:
        return bad(_WRONG)
    code = str(data.need("twofactor"))
    if not user.totp:
        raise Crash
    if _barred(call, user) or not pyotp.TOTP(call.world.vault.totp[user.name]).verify(code, valid_window=_WINDOW):
        return bad(_BAD)
    return _with_cookies({**_opened(call, user, SESSION_SECONDS), "username": user.name, "name": None})


async def logout(call: Call) -> Answer:
    """Forget the token of this request."""
    value = session_token(call)
    if value is not None:
        call.world.sessions.close(value)
    return Answer(204, content_type=None)


ENDPOINTS = [
    Endpoint("v2/checkcreds/", {"POST": check_credentials}, anyone, "POST, OPTIONS", "Check Creds V2"),
    Endpoint("v2/login/", {"POST": login}, anyone, "POST, OPTIONS", "Login View V2"),
    Endpoint("logout/", {"POST": logout}, logged_in, "POST, OPTIONS", "Logout"),
]
