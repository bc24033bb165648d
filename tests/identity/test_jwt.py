"""Tokens of an identity provider."""

import asyncio
from time import time
from typing import Any

import jwt
import pytest

from server.core.jwks import KeySet, UrlRefused
from server.core.jwt import JwtSettings, JwtVerifier
from server.core.refusals import Refusal
from tests.identity.issuer import (
    AUDIENCE,
    ISSUER,
    TENANT,
    Issuer,
    claims,
    ec_key,
    ed_key,
    forged,
    public_jwk,
    public_pem,
    rsa_key,
)

pytestmark = pytest.mark.anyio

PEER = "ipv4:127.0.0.1:4711"


async def refused(verifier: JwtVerifier, token: str) -> Refusal:
    """Returns the refusal of a token, after making sure that no part of the token is told."""
    with pytest.raises(Refusal) as caught:
        await verifier.verify(token, PEER)
    assert not any(len(part) > 8 and part in caught.value.message for part in token.split("."))
    return caught.value


async def test_a_good_token_makes_a_caller_with_its_claims(issuer: Issuer) -> None:
    """Subject, tenants and permissions come from the claims, the peer from the call."""
    caller = await issuer.verifier().verify(issuer.token(), PEER)
    assert caller.name == "jwt:workflow-engine"
    assert caller.tenants == frozenset({TENANT})
    assert caller.permissions == ("catalog", "tacticalrmm.*")
    assert caller.peer == PEER


async def test_a_token_without_our_claims_may_do_nothing(issuer: Issuer) -> None:
    """Absent claims grant neither a tenant nor a permission."""
    token = issuer.token(patchbay_tenants=None, patchbay_permissions=None)
    caller = await issuer.verifier().verify(token, PEER)
    assert caller.tenants == frozenset()
    assert caller.permissions == ()


async def test_a_star_in_the_tenants_claim_means_every_tenant(issuer: Issuer) -> None:
    """Only the exact list with one star does; beside ids it is no UUID."""
    caller = await issuer.verifier().verify(issuer.token(patchbay_tenants=["*"]), PEER)
    assert caller.tenants is None
    refusal = await refused(issuer.verifier(), issuer.token(patchbay_tenants=["*", TENANT]))
    assert refusal.reason == "CREDENTIALS_INVALID"


async def test_claims_can_have_other_names_and_permissions_can_be_one_text(issuer: Issuer) -> None:
    """A scope claim is split at spaces; words that cannot be permissions grant nothing, wildcards of globs neither."""
    verifier = issuer.verifier(tenants_claim="tids", permissions_claim="scope")
    token = issuer.token(tids=[TENANT.upper()], scope="openid https://x.test/a catalog ? [a-z]*")
    caller = await verifier.verify(token, PEER)
    assert caller.tenants == frozenset({TENANT})
    assert caller.permissions == ("openid", "catalog")


HOUR = 3600
BAD_CLAIMS: dict[str, tuple[dict[str, Any], str]] = {
    "other issuer": ({"iss": "https://evil.example.test"}, "CREDENTIALS_INVALID"),
    "no issuer": ({"iss": None}, "CREDENTIALS_INVALID"),
    "other audience": ({"aud": "another-service"}, "CREDENTIALS_INVALID"),
    "no audience": ({"aud": None}, "CREDENTIALS_INVALID"),
    "no end": ({"exp": None}, "CREDENTIALS_INVALID"),
    "end is text": ({"exp": "soon"}, "CREDENTIALS_INVALID"),
    "no time of issue": ({"iat": None}, "CREDENTIALS_INVALID"),
    "no subject": ({"sub": None}, "CREDENTIALS_INVALID"),
    "empty subject": ({"sub": ""}, "CREDENTIALS_INVALID"),
    "subject with a line break": ({"sub": "a\nb"}, "CREDENTIALS_INVALID"),
    "ended": ({"exp": int(time()) - HOUR}, "CREDENTIALS_EXPIRED"),
    "not yet": ({"nbf": int(time()) + HOUR}, "CREDENTIALS_INVALID"),
    "issued in the future": ({"iat": int(time()) + HOUR}, "CREDENTIALS_INVALID"),
    "tenant is no UUID": ({"patchbay_tenants": ["acme"]}, "CREDENTIALS_INVALID"),
    "tenants are no list": ({"patchbay_tenants": TENANT}, "CREDENTIALS_INVALID"),
    "permissions are no texts": ({"patchbay_permissions": [1]}, "CREDENTIALS_INVALID"),
}


@pytest.mark.parametrize("case", BAD_CLAIMS)
async def test_claims_that_do_not_hold_are_refused(issuer: Issuer, case: str) -> None:
    """Each claim that is missing, foreign, out of time or malformed refuses the token."""
    changes, reason = BAD_CLAIMS[case]
    refusal = await refused(issuer.verifier(), issuer.token(**changes))
    assert refusal.reason == reason


async def test_small_differences_of_clocks_are_forgiven(issuer: Issuer) -> None:
    """Ten seconds after its end and ten seconds before its beginning a token still counts."""
    now = int(time())
    token = issuer.token(exp=now - 10, nbf=now + 10, iat=now + 10)
    assert (await issuer.verifier().verify(token, PEER)).name == "jwt:workflow-engine"


async def test_unsigned_tokens_are_refused(issuer: Issuer) -> None:
    """`alg: none` in any spelling is no signature."""
    for name in ("none", "None", "NONE", "nOnE", ""):
        refusal = await refused(issuer.verifier(), forged({"alg": name, "kid": "first"}, claims(), None))
        assert refusal.reason == "CREDENTIALS_INVALID"


async def test_a_public_key_is_no_shared_secret(issuer: Issuer) -> None:
    """A token signed by HMAC with the public key as its secret is refused, whatever the header says."""
    for name in ("HS256", "RS256"):
        token = forged({"alg": name, "kid": "first", "typ": "JWT"}, claims(), public_pem(issuer.key))
        assert (await refused(issuer.verifier(), token)).reason == "CREDENTIALS_INVALID"


async def test_a_shared_secret_in_the_key_set_is_not_used(issuer: Issuer) -> None:
    """A symmetric key in the public document does not make everybody an issuer."""
    secret = {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "kid": "shared", "alg": "HS256"}
    issuer.document = {"keys": [secret]}
    token = jwt.encode(claims(), b"secret-secret-secret-secret-secret", algorithm="HS256", headers={"kid": "shared"})
    assert (await refused(issuer.verifier(), token)).reason == "CREDENTIALS_INVALID"


async def test_algorithms_with_shared_secrets_cannot_be_configured(issuer: Issuer) -> None:
    """The settings refuse them, and an empty list."""
    for algorithms in (("HS256",), ("none",), ("RS256", "HS512"), ()):
        with pytest.raises(ValueError, match="algorithms"):
            issuer.verifier(algorithms=algorithms)


@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS256", "ES256", "EdDSA"])
async def test_asymmetric_signatures_count(issuer: Issuer, algorithm: str) -> None:
    """RSA, RSA-PSS, ECDSA and Ed25519 keys of the issuer verify their tokens."""
    key = {"ES": ec_key, "Ed": ed_key}.get(algorithm[:2], lambda: issuer.key)()
    issuer.document = {"keys": [public_jwk(key, "any")]}
    token = issuer.token(key, "any", algorithm)
    assert (await issuer.verifier().verify(token, PEER)).name == "jwt:workflow-engine"


async def test_a_key_is_used_for_its_own_algorithm_only(issuer: Issuer) -> None:
    """A key that is marked for another algorithm or for encryption, or that everybody can sign with, is not used."""
    private = jwt.algorithms.RSAAlgorithm.to_jwk(issuer.key, as_dict=True)
    private["key_ops"] = ["sign", "verify"]
    for facts in ({"alg": "PS256"}, {"use": "enc"}, {"key_ops": ["sign"]}, private):
        issuer.document = {"keys": [{**public_jwk(issuer.key, "first"), **facts}]}
        assert (await refused(issuer.verifier(), issuer.token())).reason == "CREDENTIALS_INVALID"


async def test_short_rsa_keys_are_refused(issuer: Issuer) -> None:
    """1,024 bits are too few."""
    short = rsa_key("short", 1024)
    issuer.document = {"keys": [public_jwk(short, "short")]}
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = issuer.token(short, "short")
    assert (await refused(issuer.verifier(), token)).reason == "CREDENTIALS_INVALID"


async def test_a_foreign_signature_and_a_changed_payload_are_refused(issuer: Issuer) -> None:
    """The signature must be the named key's, over exactly these claims."""
    foreign = issuer.token(rsa_key("foreign"), "first")
    head, _, signature = issuer.token().split(".")
    changed = f"{head}.{issuer.token(sub='admin').split('.')[1]}.{signature}"
    for token in (foreign, changed):
        assert (await refused(issuer.verifier(), token)).reason == "CREDENTIALS_INVALID"


@pytest.mark.parametrize("token", ["x", "a.b", "a.b.c", "....", "ä.b.c", "e30.e30.", "." * 20_000])
async def test_what_is_no_token_is_refused(issuer: Issuer, token: str) -> None:
    """Garbage of every shape ends in one refusal, without a fetch of keys."""
    assert (await refused(issuer.verifier(), token)).reason == "CREDENTIALS_INVALID"
    assert issuer.fetches == 0


async def test_critical_extensions_are_refused(issuer: Issuer) -> None:
    """A header that demands what is not understood refuses the token."""
    token = jwt.encode(claims(), issuer.key, algorithm="RS256", headers={"kid": "first", "crit": ["b64"], "b64": True})
    assert (await refused(issuer.verifier(), token)).reason == "CREDENTIALS_INVALID"


async def test_a_token_without_key_id_counts_while_there_is_one_key(issuer: Issuer) -> None:
    """With two keys it would have to be tried against both; it is refused."""
    assert await issuer.verifier().verify(issuer.token(key_id=None), PEER)
    issuer.document["keys"].append(public_jwk(rsa_key("second"), "second"))
    assert (await refused(issuer.verifier(), issuer.token(key_id=None))).reason == "CREDENTIALS_INVALID"


async def test_keys_are_fetched_once_for_all_who_wait(issuer: Issuer) -> None:
    """Fifty tokens at once cause one fetch, further ones none."""
    verifier = issuer.verifier()
    tokens = [issuer.token(sub=f"engine-{number}") for number in range(50)]
    await asyncio.gather(*(verifier.verify(token, PEER) for token in tokens))
    await verifier.verify(issuer.token(sub="late"), PEER)
    assert issuer.fetches == 1


async def test_a_new_key_of_the_issuer_is_fetched_when_it_is_first_named(issuer: Issuer) -> None:
    """Roll-over: an unknown key id causes a fetch, after the pause; tokens of the old key end with it."""
    verifier = issuer.verifier()
    old = issuer.token()
    await verifier.verify(old, PEER)
    issuer.document = {"keys": [public_jwk(rsa_key("second"), "second")]}
    issuer.now += 11
    new = issuer.token(rsa_key("second"), "second")
    assert (await verifier.verify(new, PEER)).name == "jwt:workflow-engine"
    assert (await refused(verifier, old)).reason == "CREDENTIALS_INVALID"


async def test_made_up_key_ids_cannot_cause_a_storm_of_fetches(issuer: Issuer) -> None:
    """However many unknown key ids arrive, one fetch happens within the pause."""
    verifier = issuer.verifier()
    for number in range(20):
        await refused(verifier, issuer.token(key_id=f"made-up-{number}"))
    assert issuer.fetches == 1


async def test_known_keys_count_while_the_issuer_is_down(issuer: Issuer) -> None:
    """Stale keys answer for a bounded time; afterwards tokens are refused with advice when to come again."""
    verifier = issuer.verifier()
    await verifier.verify(issuer.token(), PEER)
    issuer.status = 503
    issuer.now += 301
    assert await verifier.verify(issuer.token(sub="still"), PEER)
    issuer.now += 3600
    refusal = await refused(verifier, issuer.token(sub="too-late"))
    assert (refusal.reason, refusal.retry_after) == ("ISSUER_UNAVAILABLE", 10)
    assert issuer.fetches >= 2


async def test_old_keys_are_renewed_behind_the_callers_back(issuer: Issuer) -> None:
    """A caller with a known key does not wait for the renewal that its call starts."""
    fetched = asyncio.Event()

    async def fetch(_url: str) -> dict[str, object]:
        if not fetched.is_set():
            fetched.set()
            return dict(issuer.document)
        await asyncio.Event().wait()
        raise AssertionError

    verifier = issuer.verifier(fetch)
    await verifier.verify(issuer.token(), PEER)
    issuer.now += 301
    assert await verifier.verify(issuer.token(sub="again"), PEER)
    await verifier.aclose()


async def test_a_remembered_token_ends_on_time(issuer: Issuer) -> None:
    """Memory of a verified token does not outlive the token."""
    clock = [time()]
    settings = JwtSettings(issuer=ISSUER, audience=AUDIENCE, jwks_url=issuer.url, allow_loopback_http=True)
    verifier = JwtVerifier(settings, KeySet(issuer.url), wall=lambda: clock[0])
    token = issuer.token()
    await verifier.verify(token, PEER)
    assert (await verifier.verify(token, "ipv4:127.0.0.1:1")).peer == "ipv4:127.0.0.1:1"
    clock[0] += 700
    assert (await refused(verifier, token)).reason == "CREDENTIALS_EXPIRED"


@pytest.mark.parametrize("answer", [404, 302, 500])
async def test_an_issuer_that_answers_without_keys_makes_no_caller(issuer: Issuer, answer: int) -> None:
    """Errors and redirects of the JWKS address are no keys."""
    issuer.status = answer
    assert (await refused(issuer.verifier(), issuer.token())).retry_after == 10


@pytest.mark.parametrize("document", [[], {}, {"keys": 1}, {"keys": [1, {}]}, "x" * 600_000])
async def test_a_document_that_is_no_key_set_makes_no_caller(issuer: Issuer, document: object) -> None:
    """Other JSON, broken entries and huge documents are no keys."""
    issuer.document = document
    expected = {"CREDENTIALS_INVALID", "ISSUER_UNAVAILABLE"}
    assert (await refused(issuer.verifier(), issuer.token())).reason in expected


@pytest.mark.parametrize(
    ("url", "allowed", "good"),
    [
        ("https://login.example.test/jwks", False, True),
        ("http://127.0.0.1:8080/jwks", False, False),
        ("http://127.0.0.1:8080/jwks", True, True),
        ("http://localhost/jwks", True, True),
        ("http://login.example.test/jwks", True, False),
        ("http://127.0.0.1.example.test/jwks", True, False),
        ("ftp://127.0.0.1/jwks", True, False),
        ("file:///etc/passwd", True, False),
        ("https://", True, False),
    ],
)
async def test_keys_come_over_https_or_from_this_machine_when_told_so(url: str, allowed: bool, good: bool) -> None:
    """Plain http needs the setting and a loopback address."""
    settings = JwtSettings(issuer=ISSUER, audience=AUDIENCE, jwks_url=url, allow_loopback_http=allowed)
    if good:
        JwtVerifier(settings)
        return
    with pytest.raises(UrlRefused):
        JwtVerifier(settings)
