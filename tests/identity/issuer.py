"""A token issuer: signs what it is told to and serves its public keys over HTTP."""

import base64
import hashlib
import hmac
import json
from functools import cache
from time import time
from types import TracebackType
from typing import Any, Self

import jwt
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from server.core.jwks import Fetch, KeyPolicy, KeySet, fetch_document
from server.core.jwt import JwtSettings, JwtVerifier

ISSUER = "https://login.example.test"
AUDIENCE = "patchbay"
TENANT = "0b9ed1a4-6f4f-4c0e-9f0a-3d4c5b6a7980"


@cache
def rsa_key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Returns the RSA key of that name; made once in a test run, since making one takes a while."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def public_jwk(private: Any, key_id: str, **facts: str) -> dict[str, Any]:
    """Returns the public half as a JWK."""
    public = private.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        jwk = jwt.algorithms.RSAAlgorithm.to_jwk(public, as_dict=True)
    elif isinstance(public, ec.EllipticCurvePublicKey):
        jwk = jwt.algorithms.ECAlgorithm.to_jwk(public, as_dict=True)
    else:
        jwk = jwt.algorithms.OKPAlgorithm.to_jwk(public, as_dict=True)
    return {**jwk, "kid": key_id, **facts}


def claims(**changes: Any) -> dict[str, Any]:
    """Returns good claims with changes; None removes one."""
    now = int(time())
    good = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "workflow-engine",
        "iat": now,
        "exp": now + 600,
        "patchbay_tenants": [TENANT],
        "patchbay_permissions": ["catalog", "tacticalrmm.*"],
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def forged(header: dict[str, Any], payload: dict[str, Any], secret: bytes | None) -> str:
    """Returns a token that no library would make: unsigned, or signed by HMAC with any bytes as the secret."""
    signed = f"{_part(json.dumps(header).encode())}.{_part(json.dumps(payload).encode())}"
    signature = hmac.digest(secret, signed.encode(), hashlib.sha256) if secret else b""
    return f"{signed}.{_part(signature)}"


def public_pem(private: rsa.RSAPrivateKey) -> bytes:
    """Returns the public key as everybody can have it."""
    return private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def ec_key() -> ec.EllipticCurvePrivateKey:
    """Returns a P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def ed_key() -> ed25519.Ed25519PrivateKey:
    """Returns an Ed25519 key."""
    return ed25519.Ed25519PrivateKey.generate()


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    """Serves `document` at `url`, or `status` when that is not 200; counts fetches. `now` is the key set's clock."""

    def __init__(self) -> None:
        self.key = rsa_key("first")
        self.document: Any = {"keys": [public_jwk(self.key, "first")]}
        self.status = 200
        self.fetches = 0
        self.url = ""
        self.now = 1000.0
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/jwks.json", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/jwks.json"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, _request: web.Request) -> web.Response:
        self.fetches += 1
        if self.status != 200:
            return web.Response(status=self.status, headers={"location": self.url})
        return web.json_response(self.document)

    def verifier(self, fetch: Fetch = fetch_document, **changes: Any) -> JwtVerifier:
        """Returns a verifier that trusts this issuer."""
        settings = JwtSettings(issuer=ISSUER, audience=AUDIENCE, jwks_url=self.url, allow_loopback_http=True, **changes)
        policy = KeyPolicy(fresh=300, stale=3600, pause=10)
        return JwtVerifier(settings, KeySet(self.url, fetch=fetch, policy=policy, clock=lambda: self.now))

    def token(self, key: Any = None, key_id: str | None = "first", algorithm: str = "RS256", **changes: Any) -> str:
        """Returns a signed token with good claims, changed as told."""
        headers = {"kid": key_id} if key_id else None
        return jwt.encode(claims(**changes), key or self.key, algorithm=algorithm, headers=headers)
