"""Tokens with which the Bot Framework vouches for what it sends to a bot.

Facts: bot-framework-rest-connector-authentication.md of MicrosoftDocs/bot-docs @ 14bf27f. Such a token names neither
person nor directory (`oid`, `tid`): it vouches for the bot and the service URL only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt

from server.core.bot_clouds import issuers
from server.core.jwks import KeyPolicy, KeySet, check_url
from server.core.jwt import public_key, read_header
from server.core.refusals import Refusal

_ALGORITHMS: Final = ("RS256",)
_LEEWAY: Final = 300.0  # as Microsoft's page says
_CHANNEL: Final = "msteams"
_POLICY: Final = KeyPolicy(fresh=3600.0, stale=24 * 3600.0, pause=60.0)
_REQUIRED: Final = ("exp", "nbf", "iss", "aud", "serviceurl")


@dataclass(frozen=True, slots=True, kw_only=True)
class BotToken:
    """What a token vouches for.

    Attributes:
        issuer: Who signed it.
        bot_app_id: The bot that it is for, lower case.
        service_url: Where the conversation lives, without a last slash.
        endorsed: Whether its key may sign for Teams.
    """

    issuer: str
    bot_app_id: str
    service_url: str
    endorsed: bool


class BotTokens:
    """Checks tokens. Keys are kept for an hour, and up to a day while they cannot be fetched; a key nobody knows causes
    a fetch once a minute at most.

    Args:
        identity_url: A simulated identity on this machine, in place of the public cloud's.
        policy: How long keys count.

    Raises:
        UrlRefused: The simulated identity is not on this machine and not https.
    """

    def __init__(self, identity_url: str | None = None, *, policy: KeyPolicy = _POLICY) -> None:
        found = issuers(identity_url)
        for url in found.values():
            check_url(url, allow_loopback_http=True)
        self._keys = {issuer: KeySet(url, policy=policy) for issuer, url in found.items()}

    async def aclose(self) -> None:
        """Ends fetches of keys that are under way."""
        for keys in self._keys.values():
            await keys.aclose()

    async def verify(self, token: str) -> BotToken:
        """Returns what a token vouches for; whether the bot is one of ours is for the caller to see.

        Raises:
            Refusal: CREDENTIALS_INVALID; ISSUER_UNAVAILABLE while keys cannot be fetched.
        """
        algorithm, key_id = read_header(token, _ALGORITHMS)
        issuer = _told_issuer(token)
        if key_id is None or (keys := self._keys.get(issuer)) is None:
            raise _invalid()
        if (key := await keys.key(key_id)) is None:
            raise _invalid()
        claims = _claims(token, public_key(key, algorithm), issuer)
        audience, service_url = claims["aud"], claims["serviceurl"]
        if not isinstance(audience, str) or not isinstance(service_url, str) or not service_url:
            raise _invalid()
        return BotToken(
            issuer=issuer,
            bot_app_id=audience.lower(),
            service_url=service_url.rstrip("/"),
            endorsed=_CHANNEL in key["endorsements"] if isinstance(key.get("endorsements"), list) else True,
        )


def _told_issuer(token: str) -> str:
    """Returns the issuer that the token names, not trusted yet: it only chooses among keys that are."""
    try:
        issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
    except jwt.PyJWTError:
        raise _invalid() from None
    return issuer if isinstance(issuer, str) else ""


def _claims(token: str, key: Any, issuer: str) -> Mapping[str, Any]:
    try:
        claims: Mapping[str, Any] = jwt.decode(
            token,
            key=key,
            algorithms=list(_ALGORITHMS),
            issuer=issuer,
            leeway=_LEEWAY,
            options={"require": list(_REQUIRED), "verify_aud": False},
        )
    except jwt.PyJWTError:
        raise _invalid() from None
    return claims


def _invalid() -> Refusal:
    return Refusal("CREDENTIALS_INVALID", "The token does not hold.")
