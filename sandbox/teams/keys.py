"""RSA keys that sign tokens, and their roll-over."""

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import count
from typing import Any, Literal

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import RSAAlgorithm

_BITS, _EXPONENT = 2048, 65537


class Key:
    """A signing key; its numbers are made when they are first needed."""

    def __init__(self, kid: str) -> None:
        self.kid = kid

    @cached_property
    def private(self) -> RSAPrivateKey:
        """The private half."""
        return generate_private_key(_EXPONENT, _BITS)

    def sign(self, claims: Mapping[str, Any], kid: str | None = None) -> str:
        """A JWT, signed with RS256. Its header names this key, or another one."""
        return jwt.encode(dict(claims), self.private, "RS256", {"kid": kid or self.kid})

    def published(self, endorsements: list[str] | None) -> dict[str, Any]:
        """The public half as a JSON Web Key."""
        numbers: dict[str, Any] = json.loads(RSAAlgorithm.to_jwk(self.private.public_key()))
        shown = {"kty": "RSA", "use": "sig", "kid": self.kid, "alg": "RS256", "n": numbers["n"], "e": numbers["e"]}
        return shown if endorsements is None else {**shown, "endorsements": endorsements}


class KeyRing:
    """The key that signs now, and those that did before.

    Attributes:
        keys: The current key first, then older ones that are still published.
        retired: The key that was replaced last, published or not.
    """

    def __init__(self) -> None:
        self._numbers = count(1)
        self._first = Key(f"sim-{next(self._numbers)}")
        self.foreign = Key("nobody")
        self.reset()

    def reset(self) -> None:
        """Back to the first key."""
        self.keys = [self._first]
        self.retired: Key | None = None

    def rotate(self, old: Literal["keep", "drop"]) -> None:
        """Takes a new key; the old ones stay published or not."""
        self.retired = self.keys[0]
        self.keys = [Key(f"sim-{next(self._numbers)}"), *(self.keys if old == "keep" else [])]

    def __iter__(self) -> Iterator[Key]:
        return iter(self.keys)
