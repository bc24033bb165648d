"""API keys: `pb_<id>_<secret>`. The secret is shown once; what is stored is its SHA-256."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from server.core.caller import Caller
from server.core.refusals import Refusal

PREFIX: Final = "pb_"

_ID_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz234567"
_ID_LENGTH: Final = 12
_FORM: Final = re.compile(r"pb_([a-z2-7]{12})_([0-9a-f]{64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key's facts.

    Attributes:
        id: The part of the key that is no secret.
        secret_hash: SHA-256 of the secret part. 32 random bytes need no slow hash: they cannot be guessed.
        label: What it is for.
        tenants: Ids of the tenants that it may name. None: every tenant.
        permissions: Patterns, as in Caller.
        created_at: When it was made.
        created_by: Name of the caller that made it.
        expires_at: When it ends. None: never.
        revoked_at: When it was revoked. None: it was not.
    """

    id: str
    secret_hash: bytes = field(repr=False)
    label: str
    tenants: frozenset[str] | None
    permissions: tuple[str, ...]
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def opened_by(self, secret: str) -> bool:
        """Compares in constant time."""
        return hmac.compare_digest(self.secret_hash, hash_secret(secret))

    def caller(self, peer: str, now: datetime) -> Caller:
        """Returns the key's caller; raises Refusal CREDENTIALS_REVOKED or CREDENTIALS_EXPIRED."""
        caller = Caller(name=f"key:{self.id}", tenants=self.tenants, permissions=self.permissions, peer=peer)
        return self.admit(caller, now)

    def admit(self, caller: Caller, now: datetime) -> Caller:
        """Returns a caller of this key; raises Refusal CREDENTIALS_REVOKED or CREDENTIALS_EXPIRED."""
        if self.revoked_at is not None:
            raise Refusal("CREDENTIALS_REVOKED", "The API key was revoked.")
        if self.expires_at is not None and self.expires_at <= now:
            raise Refusal("CREDENTIALS_EXPIRED", "The API key has ended.")
        return caller


class ApiKeys(Protocol):
    """Where keys are stored. Belongs to the server as a whole, to no tenant."""

    async def find(self, key_id: str) -> ApiKey | None:
        """Returns a key, revoked and ended ones too."""

    async def any(self) -> bool:
        """Says whether a key was ever made. Revoked ones count: revoking the last opens nothing."""

    async def add(self, key: ApiKey) -> ApiKey:
        """Stores a new key and returns it."""

    async def add_first(self, make: Callable[[], ApiKey]) -> ApiKey | None:
        """Stores what `make` returns when no key was ever made, under a lock; None when there is one."""

    async def list(self, within: frozenset[str] | None) -> Sequence[ApiKey]:
        """Returns keys, newest first: all, or those whose tenants are all within the given ones."""

    async def revoke(self, key_id: str) -> ApiKey | None:
        """Revokes a key once; returns it, or None when there is none."""


def hash_secret(secret: str) -> bytes:
    """Returns the SHA-256 of a secret part."""
    return hashlib.sha256(secret.encode()).digest()


def new_token() -> tuple[str, str, bytes]:
    """Returns id, whole key and hash of a new random key."""
    key_id = "".join(secrets.choice(_ID_ALPHABET) for _ in range(_ID_LENGTH))
    secret = secrets.token_hex(32)
    return key_id, f"{PREFIX}{key_id}_{secret}", hash_secret(secret)


def split_token(token: str) -> tuple[str, str] | None:
    """Returns id and secret of a whole key; None when it does not have the form of one."""
    found = _FORM.fullmatch(token)
    return (found[1], found[2]) if found else None
