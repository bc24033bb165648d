"""Tokens of the Bot Framework: RS256, issuer and audience, the service URL among the claims.

Facts: bot-framework-rest-connector-authentication.md of MicrosoftDocs/bot-docs @ 14bf27f. They hold no `tid`.
"""

import json
import time
from typing import Any

import jwt
from jwt.utils import base64url_encode

from sandbox.control import StateError
from sandbox.teams.clouds import CLOUDS, CloudName
from sandbox.teams.inbound.wishes import TokenWish
from sandbox.teams.keys import Key, KeyRing


def signed(ring: KeyRing, app_id: str, service_url: str, cloud: CloudName, wish: TokenWish) -> str:
    """A token for a bot.

    Raises:
        StateError: The wish asks for a retired key before there was a roll-over.
    """
    now = int(time.time())
    claims: dict[str, Any] = {
        "serviceurl": service_url,
        "nbf": min(now, int(now + wish.expires_in)) - 300,
        "exp": int(now + wish.expires_in),
        "iss": CLOUDS[cloud].issuer,
        "aud": app_id,
        **wish.claims,
    }
    kept = {name: value for name, value in claims.items() if value is not None}
    token = _sealed(ring, kept, wish)
    return _tampered(token) if wish.tampered else token


def _sealed(ring: KeyRing, claims: dict[str, Any], wish: TokenWish) -> str:
    current = ring.keys[0]
    kid = wish.kid or None
    if wish.algorithm == "none":
        return jwt.encode(claims, "", "none", {"kid": kid or current.kid})
    if wish.algorithm == "HS256":
        public = current.published(None)["n"]
        return jwt.encode(claims, public, "HS256", {"kid": kid or current.kid})
    key = _key(ring, wish)
    return key.sign(claims, kid or (current.kid if key is ring.foreign else key.kid))


def _key(ring: KeyRing, wish: TokenWish) -> Key:
    if wish.key == "foreign":
        return ring.foreign
    if wish.key == "retired":
        if ring.retired is None:
            raise StateError("no key was retired yet: change the state with rotate_keys first")
        return ring.retired
    return ring.keys[0]


def _tampered(token: str) -> str:
    """The token with a longer life than was signed."""
    header, payload, signature = token.split(".")
    claims = json.loads(jwt.utils.base64url_decode(payload))
    claims["exp"] = claims.get("exp", 0) + 1
    return f"{header}.{base64url_encode(json.dumps(claims).encode()).decode()}.{signature}"
