"""Certificates for tests, all for 127.0.0.1."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOUR = timedelta(hours=1)
_PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, both PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """Signs certificates; `certificate` is its own, PEM."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        extension = x509.BasicConstraints(ca=True, path_length=None)
        self.certificate = _signed(self._name, self._name, self._key, self._key, extension).public_bytes(_PEM)

    def issue(self, key: Any = None, *, ends: timedelta = HOUR) -> Pair:
        """Returns a certificate for a key, a new one on P-256 by default, that ends in some time."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        made = _signed(_named("test"), self._name, key, self._key, address, ends)
        return Pair(made.public_bytes(_PEM), key_pem(key))


def trusting(authority: Authority, shown: Pair | None = None) -> grpc.ChannelCredentials:
    """A client's credentials: whom it trusts, what it shows."""
    pair = (shown.key, shown.certificate) if shown else (None, None)
    return grpc.ssl_channel_credentials(authority.certificate, *pair)


def key_pem(key: Any, passphrase: bytes = b"") -> bytes:
    """Returns a private key, encrypted when there is a passphrase."""
    plain = serialization.NoEncryption()
    how = serialization.BestAvailableEncryption(passphrase) if passphrase else plain
    pem: bytes = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, how)
    return pem


def self_signed(folder: Path) -> ssl.SSLContext:
    """Returns a server's context with a certificate that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = _signed(_named("test"), _named("test"), key, key, address)
    file = folder / "self-signed.pem"
    file.write_bytes(key_pem(key) + certificate.public_bytes(_PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _signed(
    subject: x509.Name,
    issuer: x509.Name,
    key: Any,
    signer: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
    ends: timedelta = HOUR,
) -> x509.Certificate:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(min(now, now + ends) - HOUR)
        .not_valid_after(now + ends)
        .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        .sign(signer, hashes.SHA256())
    )
