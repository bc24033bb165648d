"""Who calls: the credentials of a call become a Caller, or a Refusal."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Final, Literal, NoReturn

from server.core.addresses import is_loopback_target
from server.core.api_keys import PREFIX, ApiKey, ApiKeys, hash_secret, split_token
from server.core.caller import Caller
from server.core.jwt import JwtVerifier
from server.core.refusals import Refusal

AuthMode = Literal["auto", "required"]

NOTIFY_CHANNEL: Final = "patchbay_api_keys"
"""PostgreSQL notifies here with the id of each key that was made, changed or removed."""

_KEPT_SECONDS: Final = 30.0
_KEPT_KEYS: Final = 10_000
_OPEN_SECONDS: Final = 5.0
_LOOKUPS_AT_ONCE: Final = 4


@dataclass(frozen=True, slots=True)
class _Kept:
    key: ApiKey
    until: float


@dataclass(frozen=True, slots=True)
class _Verified:
    """What was presented opened a kept key. Counts while that is the one that is kept."""

    by: _Kept
    caller: Caller


class Authenticator:
    """Authenticates calls.

    Credentials that are presented are always verified. A call without any is refused, except in mode `auto`
    while the server listens on loopback only and neither a key was ever made nor an issuer of tokens is
    configured: then it is the caller `local`, who may do everything.

    Verified keys are kept in memory for up to 30 s, without their secrets; `forget` drops them earlier. Their end is
    checked by the clock on every call.

    Args:
        keys: Where keys are stored.
        tokens: Verifies JWTs. None: none count.
        mode: `auto` or `required`.
        listen: The addresses that the server listens on, such as `127.0.0.1:50051`.
        clock: Now, with time zone.
    """

    def __init__(
        self,
        keys: ApiKeys,
        *,
        tokens: JwtVerifier | None = None,
        mode: AuthMode = "auto",
        listen: tuple[str, ...] = (),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._keys = keys
        self._tokens = tokens
        self._clock = clock
        self._may_be_open = mode == "auto" and tokens is None and bool(listen) and all(map(is_loopback_target, listen))
        self._open_until = 0.0
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._verified: dict[tuple[bytes, str], _Verified] = {}
        self._epoch = 0
        self._lookups = asyncio.Semaphore(_LOOKUPS_AT_ONCE)

    async def authenticate(self, metadata: Mapping[str, str], peer: str) -> Caller:
        """Returns the caller of a call.

        Args:
            metadata: The call's metadata, names in lower case.
            peer: Address it comes from, as gRPC writes it.

        Raises:
            Refusal: CREDENTIALS_MISSING, CREDENTIALS_INVALID, CREDENTIALS_EXPIRED or CREDENTIALS_REVOKED.
        """
        header = metadata.get("authorization")
        if header is None:
            return await self._without_credentials(peer)
        scheme, _, token = header.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise Refusal("CREDENTIALS_INVALID", "The authorization metadata is not `Bearer <key or token>`.")
        if token.startswith(PREFIX):
            return await self._with_key(token, peer)
        if self._tokens is None:
            _refuse()
        return await self._tokens.verify(token, peer)

    def forget(self, key_id: str) -> None:
        """Drops what is known about a key; for notifications on NOTIFY_CHANNEL."""
        self._epoch += 1
        self._open_until = 0.0
        self._kept.pop(key_id, None)

    def forget_all(self) -> None:
        """Drops everything known about keys; for when notifications may have been lost."""
        self._epoch += 1
        self._open_until = 0.0
        self._kept.clear()

    async def _without_credentials(self, peer: str) -> Caller:
        if not (self._may_be_open and is_loopback_target(peer) and await self._open()):
            raise Refusal("CREDENTIALS_MISSING", "The call carries no credentials.")
        return Caller(name="local", tenants=None, permissions=("*",), peer=peer)

    async def _open(self) -> bool:
        """Says whether no key was ever made; asks the database at most every few seconds."""
        if monotonic() < self._open_until:
            return True
        epoch = self._epoch
        if await self._keys.any():
            self._may_be_open = False
            return False
        if epoch == self._epoch:
            self._open_until = monotonic() + _OPEN_SECONDS
        return True

    async def _with_key(self, token: str, peer: str) -> Caller:
        presented = (hash_secret(token), peer)
        verified = self._verified.get(presented)
        if verified is not None and self._recall(verified.by.key.id) is verified.by:
            return verified.by.key.admit(verified.caller, self._clock())
        parts = split_token(token)
        if parts is None:
            _refuse()
        key_id, secret = parts
        kept = await self._key(key_id)
        if kept is None or not kept.key.opened_by(secret):
            _refuse()
        caller = kept.key.caller(peer, self._clock())
        if len(self._verified) >= _KEPT_KEYS:
            self._verified.clear()
        self._verified[presented] = _Verified(kept, caller)
        return caller

    async def _key(self, key_id: str) -> _Kept | None:
        if (known := self._recall(key_id)) is not None:
            return known
        async with self._lookups:  # made-up keys must not take every connection of the pool
            if (known := self._recall(key_id)) is not None:
                return known
            epoch = self._epoch
            key = await self._keys.find(key_id)
        if key is None:
            return None
        kept = _Kept(key, monotonic() + _KEPT_SECONDS)
        if epoch == self._epoch:
            self._kept[key_id] = kept
            while len(self._kept) > _KEPT_KEYS:
                self._kept.popitem(last=False)
        return kept

    def _recall(self, key_id: str) -> _Kept | None:
        kept = self._kept.get(key_id)
        return kept if kept is not None and monotonic() < kept.until else None


def _refuse() -> NoReturn:
    """One answer for everything that is no valid credential, so that nobody learns which part was right."""
    raise Refusal("CREDENTIALS_INVALID", "The key or token is not known.")
