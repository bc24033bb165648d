"""Callers that present a token of an identity provider."""

import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import isfinite
from time import monotonic, time
from typing import Any
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from server.core.caller import Caller
from server.core.jwks import KeySet, check_url, fetch_document
from server.core.refusals import Refusal

ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
"""Signatures with a public key; never `none`, never a shared secret."""

_FAMILIES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
_LEAST_RSA_BITS = 2048
_LONGEST_TOKEN = 16 * 1024
_LONGEST_SUBJECT = 200
_REMEMBERED = 4096
_REMEMBERED_SECONDS = 30.0
_PERMISSION = re.compile(r"[a-z0-9_.*-]{1,200}")


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtSettings:
    """Whose tokens count and what their claims mean.

    Attributes:
        issuer: Exact value of `iss`.
        audience: Value that `aud` must hold.
        jwks_url: Address of the issuer's keys.
        algorithms: Accepted signatures, a part of ALGORITHMS.
        leeway: Seconds that clocks may differ.
        required: Claims that must be there.
        tenants_claim: Claim with the list of tenant ids (UUIDs); `["*"]` means every tenant, absence none.
        permissions_claim: Claim with the list of permissions, or one text with spaces between; absence: none.
        allow_loopback_http: Whether the keys may come from this machine without TLS.
        ca_file: Certificates that vouch for the JWKS address, PEM. Empty: the public ones.
    """

    issuer: str
    audience: str
    jwks_url: str
    algorithms: tuple[str, ...] = ALGORITHMS
    leeway: float = 30.0
    required: tuple[str, ...] = ("exp", "iat", "iss", "aud", "sub")
    tenants_claim: str = "patchbay_tenants"
    permissions_claim: str = "patchbay_permissions"
    allow_loopback_http: bool = False
    ca_file: str = ""


@dataclass(frozen=True, slots=True)
class _Remembered:
    caller: Caller
    key: Mapping[str, Any]
    key_id: str | None
    expires: float
    until: float


class JwtVerifier:
    """Turns tokens into callers.

    A verified token is remembered for up to 30 s by its digest, never past its own end, and only while its
    key is still the issuer's.

    Args:
        settings: Whose tokens count.
        keys: The issuer's keys.
        wall: Seconds since 1970, for the token's own times.

    Raises:
        ValueError: The settings name an algorithm that is not accepted, or none.
        UrlRefused: The JWKS address is not one that keys may be fetched from.
    """

    def __init__(self, settings: JwtSettings, keys: KeySet | None = None, *, wall: Callable[[], float] = time) -> None:
        foreign = sorted(set(settings.algorithms) - set(ALGORITHMS))
        if foreign or not settings.algorithms:
            raise ValueError(f"token algorithms must be some of {', '.join(ALGORITHMS)}")
        check_url(settings.jwks_url, allow_loopback_http=settings.allow_loopback_http)
        self._settings = settings
        self._keys = keys or KeySet(settings.jwks_url, fetch=partial(fetch_document, ca_file=settings.ca_file))
        self._wall = wall
        self._remembered: OrderedDict[bytes, _Remembered] = OrderedDict()

    async def aclose(self) -> None:
        """Ends a fetch of keys that is under way."""
        await self._keys.aclose()

    async def verify(self, token: str, peer: str) -> Caller:
        """Returns the caller of a token; raises Refusal CREDENTIALS_INVALID or CREDENTIALS_EXPIRED."""
        if len(token) > _LONGEST_TOKEN or not token.isascii():
            raise _invalid("is too long or holds characters that no token has")
        digest = hashlib.sha256(token.encode()).digest()
        caller = await self._recall(digest) or await self._verify(token, digest)
        return replace(caller, peer=peer)

    async def _recall(self, digest: bytes) -> Caller | None:
        known = self._remembered.get(digest)
        if known is None:
            return None
        in_time = monotonic() < known.until and self._wall() < known.expires
        if in_time and await self._keys.key(known.key_id) == known.key:
            return known.caller
        self._remembered.pop(digest, None)
        return None

    async def _verify(self, token: str, digest: bytes) -> Caller:
        algorithm, key_id = read_header(token, self._settings.algorithms)
        key = await self._keys.key(key_id)
        if key is None:
            raise _invalid("is not signed by a key of the issuer")
        claims = self._claims(token, public_key(key, algorithm), algorithm)
        caller = self._caller(claims)
        expires = float(claims["exp"]) + self._settings.leeway
        self._remembered[digest] = _Remembered(caller, key, key_id, expires, monotonic() + _REMEMBERED_SECONDS)
        while len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)
        return caller

    def _claims(self, token: str, key: Any, algorithm: str) -> Mapping[str, Any]:
        wanted = self._settings
        try:
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key=key,
                algorithms=[algorithm],
                issuer=wanted.issuer,
                audience=wanted.audience,
                leeway=wanted.leeway,
                options={
                    "require": sorted({*wanted.required, "exp", "iss", "aud", "sub"}),
                    "verify_exp": False,
                },
            )
        except jwt.PyJWTError as error:
            raise _invalid(_DEFECTS.get(type(error), "does not hold")) from None
        if _expiry(claims) + wanted.leeway <= self._wall():
            raise Refusal("CREDENTIALS_EXPIRED", "The token has ended.")
        return claims

    def _caller(self, claims: Mapping[str, Any]) -> Caller:
        subject = claims["sub"]
        if not isinstance(subject, str) or not subject.isprintable() or not 0 < len(subject) <= _LONGEST_SUBJECT:
            raise _invalid("has a subject that cannot be used as a name")
        return Caller(
            name=f"jwt:{subject}",
            tenants=_tenants(claims.get(self._settings.tenants_claim)),
            permissions=_permissions(claims.get(self._settings.permissions_claim)),
        )


_DEFECTS: Mapping[type[jwt.PyJWTError], str] = {
    jwt.InvalidSignatureError: "has a signature that does not hold",
    jwt.InvalidIssuerError: "comes from another issuer",
    jwt.InvalidAudienceError: "is meant for another service",
    jwt.ImmatureSignatureError: "does not count yet",
    jwt.MissingRequiredClaimError: "lacks a claim that is required",
}


def read_header(token: str, algorithms: Collection[str]) -> tuple[str, str | None]:
    """Returns algorithm and key id, not trusted yet; raises Refusal CREDENTIALS_INVALID."""
    if len(token) > _LONGEST_TOKEN or not token.isascii():
        raise _invalid("is too long or holds characters that no token has")
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError:
        raise _invalid("cannot be read") from None
    algorithm = header.get("alg")
    if algorithm not in algorithms:
        raise _invalid("is signed in a way that is not accepted")
    if "crit" in header or header.get("b64", True) is not True:
        raise _invalid("asks for an extension that is not known")
    return str(algorithm), header.get("kid")


def _invalid(defect: str) -> Refusal:
    return Refusal("CREDENTIALS_INVALID", f"The token {defect}.")


def _expiry(claims: Mapping[str, Any]) -> float:
    value = claims["exp"]
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise _invalid("has an end that is no time")
    return float(value)


def public_key(key: Mapping[str, Any], algorithm: str) -> Any:
    """Returns the key for one algorithm; raises Refusal CREDENTIALS_INVALID when it is for another one, or weak."""
    fits = (
        key.get("kty") == _FAMILIES[algorithm[:2]]
        and key.get("alg", algorithm) == algorithm
        and key.get("crv") == _CURVES.get(algorithm, key.get("crv"))
    )
    if not fits:
        raise _invalid("is signed in a way that its key is not for")
    try:
        public = jwt.PyJWK(dict(key), algorithm=algorithm).key
    except jwt.PyJWTError:
        raise _invalid("is signed by a key that cannot be read") from None
    if isinstance(public, RSAPublicKey) and public.key_size < _LEAST_RSA_BITS:
        raise _invalid("is signed by a key that is too short")
    return public


def _tenants(claim: Any) -> frozenset[str] | None:
    if claim is None:
        return frozenset()
    if claim == ["*"]:
        return None
    try:
        return frozenset(str(UUID(tenant)) for tenant in _texts(claim))
    except ValueError:
        raise _invalid("names a tenant that is no UUID") from None


def _permissions(claim: Any) -> tuple[str, ...]:
    """Returns the claim's permissions; words that cannot be one, such as an address, grant nothing."""
    words = claim.split() if isinstance(claim, str) else _texts([] if claim is None else claim)
    return tuple(word for word in words if _PERMISSION.fullmatch(word))


def _texts(claim: Any) -> list[str]:
    if not isinstance(claim, list) or not all(isinstance(entry, str) for entry in claim):
        raise _invalid("has a claim that is no list of texts")
    return claim
