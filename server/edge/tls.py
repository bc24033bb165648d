"""TLS of the gRPC port: certificate, key and authorities come from files, which are read again when they change."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from server.errors import PatchbayError

_CURVES = (ec.SECP256R1, ec.SECP384R1)  # gRPC's TLS library offers no signature by another one
_PEM = serialization.Encoding.PEM
_Signature = tuple[tuple[int, ...], ...]

_log = structlog.get_logger(__name__)


class TlsFileUnusable(PatchbayError):
    """A file of the gRPC port's TLS cannot be used. The message names it and holds nothing of a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Where TLS comes from, all in PEM.

    Attributes:
        certificate: The server's certificate, then those between it and its authority.
        key: Its key, RSA or on the curves P-256 or P-384, without a passphrase.
        client_ca: Authorities of clients, of which each then has to show a certificate. None: none has to.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None

    @property
    def signature(self) -> _Signature:
        """What differs when a file was replaced, written or given other rights; links are followed."""
        return tuple(_facts(file) for file in (self.certificate, self.key, self.client_ca) if file is not None)


class PortTls:
    """What the port shows and demands in handshakes.

    A handshake looks whether the files have changed. While they cannot be used, such as between the renewal of the
    certificate and that of its key, what was read before is shown, and the log tells why. Connections that are open
    stay as they are.

    Args:
        files: The files.

    Raises:
        TlsFileUnusable: One is missing, unreadable or not what it has to be, or the key is another certificate's.
    """

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._seen = files.signature
        self._first = _read(files)

    def credentials(self) -> grpc.ServerCredentials:
        """Returns them for a port."""
        demanding = self._files.client_ca is not None
        renewed: Any = self._renewed  # None is allowed, and means that nothing has changed
        made: grpc.ServerCredentials = grpc.dynamic_ssl_server_credentials(self._first, renewed, demanding)
        return made

    def _renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """Returns what files hold that have changed, else None. gRPC calls it in handshakes, one at a time."""
        signature = self._files.signature
        if signature == self._seen:
            return None
        self._seen = signature
        try:
            return _read(self._files)
        except TlsFileUnusable as defect:
            _log.warning("tls files unusable", error=str(defect))
            return None


def _read(files: TlsFiles) -> grpc.ServerCertificateConfiguration:
    chain = _certificates(files.certificate)
    key = _key(files.key)
    if not _is_of(key, chain[0]):
        raise TlsFileUnusable(f"{files.key} is not the key of the first certificate in {files.certificate}")
    clients = _certificates(files.client_ca) if files.client_ca is not None else []
    _tell(chain[0])
    plain = serialization.NoEncryption()
    pair = (key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, plain), _pem(chain))
    made: grpc.ServerCertificateConfiguration = grpc.ssl_server_certificate_configuration([pair], _pem(clients) or None)
    return made


def _is_of(key: Any, certificate: x509.Certificate) -> bool:
    try:
        return bool(key.public_key() == certificate.public_key())
    except (ValueError, UnsupportedAlgorithm):  # a certificate for a key of another kind
        return False


def _tell(certificate: x509.Certificate) -> None:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    valid = begins <= datetime.now(UTC) < ends
    told = _log.info if valid else _log.warning
    told("tls certificate", valid=valid, begins=begins.isoformat(), ends=ends.isoformat())


def _certificates(file: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_content(file))
    except ValueError:
        raise TlsFileUnusable(f"{file}: holds no certificate in PEM form, or one that is damaged") from None


def _key(file: Path) -> Any:
    """Returns a key that gRPC can sign with."""
    try:
        key = serialization.load_pem_private_key(_content(file), None)
    except TypeError:
        raise TlsFileUnusable(f"{file}: the key is encrypted; give one without a passphrase") from None
    except (ValueError, UnsupportedAlgorithm):
        raise TlsFileUnusable(f"{file}: holds no private key in PEM form, or one that is damaged") from None
    if isinstance(key, rsa.RSAPrivateKey) or (
        isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, _CURVES)
    ):
        return key
    raise TlsFileUnusable(f"{file}: the key has to be RSA, or on the curve P-256 or P-384")


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise TlsFileUnusable(f"{file}: {error.strerror}") from None


def _pem(certificates: list[x509.Certificate]) -> bytes:
    return b"".join(one.public_bytes(_PEM) for one in certificates)


def _facts(file: Path) -> tuple[int, ...]:
    try:
        facts = file.stat()
    except OSError:
        return ()
    return facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns
