"""What was granted: codes, access tokens, refresh tokens. They live as long as the world."""

import base64
import hashlib
import secrets
import time
from dataclasses import dataclass

from sandbox.ninjaone.models import Settings

CODE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Grant:
    """Who may do what. `user` is empty for client credentials."""

    client_id: str
    scopes: tuple[str, ...]
    user: str = ""


@dataclass(slots=True)
class AccessToken:
    """A bearer token; `expires_at` in epoch seconds."""

    grant: Grant
    expires_at: float


@dataclass(frozen=True, slots=True)
class Code:
    """An authorization code and what it is bound to."""

    grant: Grant
    redirect_uri: str
    challenge: str
    expires_at: float


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token; `parent` is the one it replaced, which ends when this one is used."""

    grant: Grant
    parent: str = ""


def challenge_of(verifier: str) -> str:
    """The S256 challenge of a verifier (RFC 7636, 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


class Tokens:
    """Everything that was handed out and is still valid."""

    def __init__(self) -> None:
        self.codes: dict[str, Code] = {}
        self.access: dict[str, AccessToken] = {}
        self.refresh: dict[str, RefreshToken] = {}

    def sign_in(self, grant: Grant, redirect_uri: str, challenge: str) -> str:
        """A new code; valid once and for a minute."""
        code = secrets.token_urlsafe(24)
        self.codes[code] = Code(grant, redirect_uri, challenge, time.time() + CODE_SECONDS)
        return code

    def redeem(self, code: str, redirect_uri: str, verifier: str) -> Grant | None:
        """The grant of a code; None when it is unknown, used, too old, or bound to something else."""
        found = self.codes.pop(code, None)
        if found is None or found.expires_at < time.time() or found.redirect_uri != redirect_uri:
            return None
        return found.grant if found.challenge in {"", challenge_of(verifier)} else None

    def issue(self, grant: Grant, seconds: int) -> str:
        """A new access token."""
        value = f"at-{secrets.token_urlsafe(24)}"
        self.access[value] = AccessToken(grant, time.time() + seconds)
        return value

    def remember(self, grant: Grant, parent: str = "") -> str:
        """A new refresh token."""
        value = f"rt-{secrets.token_urlsafe(24)}"
        self.refresh[value] = RefreshToken(grant, parent)
        return value

    def use(self, value: str, rotation: str) -> str | None:
        """Uses a valid refresh token: the one that replaces it, None when it stays."""
        token = self.refresh[value]
        self.refresh.pop(token.parent, None)
        if rotation == "off":
            return None
        if rotation == "strict":
            del self.refresh[value]
        return self.remember(token.grant, value)

    def valid(self, value: str) -> AccessToken | None:
        """The access token, unless it is unknown or expired."""
        token = self.access.get(value)
        return token if token is not None and token.expires_at > time.time() else None

    def revoke(self, user: str = "") -> None:
        """Ends all refresh tokens, or those of one user."""
        self.refresh = {value: one for value, one in self.refresh.items() if user and one.grant.user != user}

    def describe(self, settings: Settings) -> dict[str, object]:
        """How much is valid, without a value."""
        access = sum(self.valid(value) is not None for value in self.access)
        return {"access": access, "refresh": len(self.refresh), "rotation": settings.rotation}
