"""Login sessions of the simulated server."""

import secrets
import time
from dataclasses import dataclass

SESSION_SECONDS = 5 * 3600.0
FIRST_SECONDS = 180.0
_MIN_GAIN_SECONDS = 600.0


@dataclass(slots=True)
class Token:
    """A login session; `expiry` is epoch seconds and moves on when it is used."""

    user: str
    expiry: float


class Sessions:
    """Tokens handed out by the login views. They live as long as the world."""

    def __init__(self) -> None:
        self._tokens: dict[str, Token] = {}

    def open(self, user: str, seconds: float) -> tuple[str, Token]:
        """A new token and its record."""
        value = secrets.token_hex(32)
        self._tokens[value] = Token(user, time.time() + seconds)
        return value, self._tokens[value]

    def use(self, value: str) -> Token | None:
        """The valid token, its life extended; None when unknown or expired."""
        token = self._tokens.get(value)
        now = time.time()
        if token is None or token.expiry <= now:
            self._tokens.pop(value, None)
            return None
        if now + SESSION_SECONDS - token.expiry >= _MIN_GAIN_SECONDS:
            token.expiry = now + SESSION_SECONDS
        return token

    def expire_all(self) -> None:
        """Make every token invalid at once."""
        self._tokens.clear()

    def close(self, value: str) -> None:
        """Forget one token."""
        self._tokens.pop(value, None)
