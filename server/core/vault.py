"""Secrets at rest: each is encrypted under a key of its own, and that key is wrapped by a master key.

AES-256-GCM twice. Both layers authenticate whose secret it is (tenant, connection, purpose), so a row that is
copied to another tenant or connection does not open. Rotation wraps the data keys again and leaves the secrets as
they are.
"""

import hashlib
import hmac
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from server.core.master_keys import KEY_BYTES, MasterKeys, MasterKeyUnknown
from server.errors import PatchbayError

_NONCE_BYTES = 12
_DOMAIN = b"patchbay-vault-1"


class SecretUnreadable(PatchbayError):
    """A stored secret is damaged or belongs to something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretContext:
    """Whose secret it is; authenticated, not stored with it."""

    tenant: str
    owner: str
    purpose: str

    def bind(self, layer: str) -> bytes:
        """Returns the bytes that are authenticated with a layer; no two contexts have the same."""
        parts = (layer, self.tenant, self.owner, self.purpose)
        return _DOMAIN + b"".join(len(part.encode()).to_bytes(4) + part.encode() for part in parts)


FINGERPRINT_CONTEXT = SecretContext(tenant="", owner="patchbay", purpose="fingerprint")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """An encrypted secret as it is stored.

    Attributes:
        key_id: Id of the master key that wrapped the data key.
        key_nonce: Nonce of the wrapping, 12 bytes.
        wrapped_key: The data key, encrypted.
        nonce: Nonce of the secret, 12 bytes.
        ciphertext: The secret, encrypted.
    """

    key_id: str
    key_nonce: bytes
    wrapped_key: bytes
    nonce: bytes
    ciphertext: bytes


class SystemSecrets(Protocol):
    """Where the server's own secrets are stored."""

    async def keep(self, name: str, candidate: Sealed) -> Sealed:
        """Stores the candidate unless the name has a secret already; returns the one that is stored."""


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """A stored secret with its place: `position` orders the rows of its table."""

    position: tuple[Any, ...]
    context: SecretContext
    sealed: Sealed


class RotatableSecrets(Protocol):
    """A table of secrets."""

    async def wrapped_by_others(self, key_id: str, after: tuple[Any, ...] | None, limit: int) -> Sequence[StoredSecret]:
        """Returns rows that another master key wrapped, by position, after the given one."""

    async def rewrap(self, changes: Sequence[tuple[StoredSecret, Sealed]]) -> int:
        """Replaces the wrapping of rows that are still as they were read; returns how many."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """Result of a rotation: rows wrapped again, and rows that could not be opened, by the id of their key."""

    rewrapped: int
    left: Mapping[str, int]


class Vault:
    """Encrypts and decrypts secrets.

    Args:
        keys: The master keys.
        fingerprint_key: 32 bytes for `keyed_hash`.
    """

    def __init__(self, keys: MasterKeys, fingerprint_key: bytes) -> None:
        self.keys = keys
        self._fingerprint_key = fingerprint_key

    @classmethod
    async def load(cls, keys: MasterKeys, store: SystemSecrets) -> "Vault":
        """Returns the vault of a database; its fingerprint key is made once and survives every rotation.

        Raises MasterKeyUnknown when the database was used with other master keys.
        """
        candidate = seal(keys, secrets.token_bytes(KEY_BYTES), FINGERPRINT_CONTEXT)
        stored = await store.keep("fingerprint", candidate)
        return cls(keys, unseal(keys, stored, FINGERPRINT_CONTEXT))

    def seal(self, plaintext: bytes, context: SecretContext) -> Sealed:
        """Encrypts a secret under the current master key."""
        return seal(self.keys, plaintext, context)

    def unseal(self, sealed: Sealed, context: SecretContext) -> bytes:
        """Decrypts a secret; raises MasterKeyUnknown or SecretUnreadable."""
        return unseal(self.keys, sealed, context)

    def keyed_hash(self, data: bytes) -> bytes:
        """Returns the HMAC-SHA256 of data under the database's fingerprint key."""
        return hmac.digest(self._fingerprint_key, data, hashlib.sha256)


def seal(keys: MasterKeys, plaintext: bytes, context: SecretContext) -> Sealed:
    """Encrypts a secret under a new data key and wraps that by the current master key."""
    data_key, nonce = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(_NONCE_BYTES)
    ciphertext = AESGCM(data_key).encrypt(nonce, plaintext, context.bind("secret"))
    return _wrap(keys, data_key, context, nonce, ciphertext)


def unseal(keys: MasterKeys, sealed: Sealed, context: SecretContext) -> bytes:
    """Decrypts a secret; raises MasterKeyUnknown or SecretUnreadable."""
    data_key = _unwrap(keys, sealed, context)
    return _decrypt(data_key, sealed.nonce, sealed.ciphertext, context.bind("secret"))


def rewrap(keys: MasterKeys, sealed: Sealed, context: SecretContext) -> Sealed:
    """Wraps the data key again by the current master key; the secret's own encryption stays."""
    return _wrap(keys, _unwrap(keys, sealed, context), context, sealed.nonce, sealed.ciphertext)


async def rotate_secrets(keys: MasterKeys, tables: Sequence[RotatableSecrets], batch: int = 200) -> Rotation:
    """Wraps every secret by the current master key.

    Safe while serving and when several run at once: a row that changed meanwhile is left to its writer. Can be
    stopped at any point and run again. Rows that cannot be opened are counted and do not stop the others.
    """
    rewrapped, left = 0, Counter[str]()
    for table in tables:
        current, after = keys.current, None
        while rows := await table.wrapped_by_others(current, after, batch):
            changes = []
            for row in rows:
                try:
                    changes.append((row, rewrap(keys, row.sealed, row.context)))
                except (MasterKeyUnknown, SecretUnreadable):
                    left[row.sealed.key_id] += 1
            rewrapped += await table.rewrap(changes)
            after = rows[-1].position
    return Rotation(rewrapped, dict(left))


def _wrap(keys: MasterKeys, data_key: bytes, context: SecretContext, nonce: bytes, ciphertext: bytes) -> Sealed:
    key_id, key_nonce = keys.current, secrets.token_bytes(_NONCE_BYTES)
    wrapped = AESGCM(keys.key(key_id)).encrypt(key_nonce, data_key, context.bind(f"key {key_id}"))
    return Sealed(key_id=key_id, key_nonce=key_nonce, wrapped_key=wrapped, nonce=nonce, ciphertext=ciphertext)


def _unwrap(keys: MasterKeys, sealed: Sealed, context: SecretContext) -> bytes:
    key = keys.key(sealed.key_id)
    return _decrypt(key, sealed.key_nonce, sealed.wrapped_key, context.bind(f"key {sealed.key_id}"))


def _decrypt(key: bytes, nonce: bytes, ciphertext: bytes, bound: bytes) -> bytes:
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, bound)
    except (InvalidTag, ValueError):
        raise SecretUnreadable("the stored secret is damaged or was moved from where it belongs") from None
