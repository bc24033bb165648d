"""Access tokens that were granted. They live as long as the world."""

import secrets
from dataclasses import dataclass, field
from typing import Literal

from sandbox.teams.keys import Key


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a token allows.

    Attributes:
        app_id: Whose it is.
        directory: Id of the directory that granted it; empty: the directory of all bots.
        surface: What it was asked for.
        audience: The same as an address.
        expires_at: Unix time by the vendor's clock.
    """

    app_id: str
    directory: str
    surface: Literal["connector", "graph"]
    audience: str
    expires_at: float
    roles: list[str] = field(default_factory=list)


class Tokens:
    """Everything that was granted and is still known."""

    def __init__(self, key: Key) -> None:
        self._key = key
        self._known: dict[str, AccessToken] = {}

    def issue(self, granted: AccessToken, now: float) -> str:
        """A new token, a JWT as Entra's are."""
        claims = {
            "aud": granted.audience,
            "iss": f"https://sts.windows.net/{granted.directory or 'd6d49420-f39b-4df7-a1dc-d59a935871db'}/",
            "iat": int(now),
            "nbf": int(now),
            "exp": int(granted.expires_at),
            "appid": granted.app_id,
            "tid": granted.directory or "d6d49420-f39b-4df7-a1dc-d59a935871db",
            "uti": secrets.token_urlsafe(16),
        }
        value = self._key.sign({**claims, "roles": granted.roles} if granted.roles else claims)
        self._known[value] = granted
        return value

    def valid(self, value: str, now: float) -> AccessToken | None:
        """The token, unless it is unknown or expired."""
        found = self._known.get(value)
        return found if found is not None and found.expires_at > now else None

    def clear(self) -> None:
        """Ends all of them."""
        self._known.clear()

    def __len__(self) -> int:
        return len(self._known)
