"""What connectors trust an edge by: a private authority, and the certificate it gives the edge under the names cloudflared asks for.

The authority may speak for nothing but those names (RFC 5280, 4.2.1.10): whoever trusts it gives nothing else away.
"""

from __future__ import annotations

import logging
import os
import ssl
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from qh3.quic.configuration import QuicConfiguration

from halfopen.errors import UsageError

LOG: Final = logging.getLogger("halfopen.edge")

DOMAIN: Final = "cftunnel.com"
NAMES: Final = (f"h2.{DOMAIN}", f"quic.{DOMAIN}", f"probe.{DOMAIN}")
"""What cloudflared asks for in SNI: over HTTP/2, over QUIC, and for its checks before either."""

AUTHORITY: Final = "ca.pem"
"""Name of the file, in the folder, of which connectors get a copy."""

_AUTHORITY_KEY: Final = "ca.key"
_EDGE: Final = "edge.pem"  # certificate and key in one file: both change at once
_FOR_AUTHORITY: Final = timedelta(days=10 * 365)
_FOR_EDGE: Final = timedelta(days=90)
_RENEWED: Final = timedelta(days=30)  # before its end
_EARLIER: Final = timedelta(hours=1)  # clocks differ


@dataclass(frozen=True)
class Trust:
    """The authority and the certificate of an edge, in a folder that is made where it does not exist (0700, keys 0600).

    Everything raises UsageError where the folder cannot be used, or the authority in it: its files are damaged, or others may read its key.
    """

    folder: Path

    def authority(self, now: datetime | None = None) -> str:
        """The certificate of the authority (PEM), which cloudflared is given with --cacert."""
        with self._alone():
            return _pem(self._authority(now or datetime.now(UTC))[0])

    def context(self, now: datetime | None = None) -> ssl.SSLContext:
        """What TLS servers of the edge are made with: TLS 1.3, and a certificate that is good for a month at least."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.reload(context, now)
        return context

    def reload(self, context: ssl.SSLContext, now: datetime | None = None) -> None:
        """Let a context that is in use go on with a certificate that is good for a month at least."""
        self.renew(now or datetime.now(UTC))
        context.load_cert_chain(self.folder / _EDGE)

    def load(self, configuration: QuicConfiguration) -> None:
        """Let connections over QUIC that begin from now on go by the certificate."""
        configuration.load_cert_chain(*self._pair())  # it misreads files that hold both

    def renew(self, now: datetime) -> bool:
        """Make the certificate of the edge where there is none that is good for another month; whether it was made."""
        with self._alone():
            authority, key = self._authority(now)
            if self._is_good(authority, now):
                return False
            own = ec.generate_private_key(ec.SECP256R1())
            name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAMES[0])])
            made = (
                _builder(name, authority.subject, own, now, _FOR_EDGE)
                .add_extension(x509.SubjectAlternativeName(map(x509.DNSName, NAMES)), critical=False)
                .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
                .add_extension(
                    x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
                )
                .sign(key, hashes.SHA256())
            )
            self._write(_EDGE, _pem(made) + _key_pem(own))
            return True

    def ends(self) -> datetime | None:
        """Until when the certificate of the edge is good, None where it has none that can be read."""
        try:
            return x509.load_pem_x509_certificate(self._pair()[0]).not_valid_after_utc
        except (OSError, ValueError):
            return None

    def _is_good(self, authority: x509.Certificate, now: datetime) -> bool:
        """Whether there is a certificate of the edge for another month. One that is damaged is no loss: the authority makes another."""
        try:
            certificate, key = self._pair()
            kept = x509.load_pem_x509_certificate(certificate)
            whole = kept.public_key() == load_pem_private_key(key, None).public_key()
        except FileNotFoundError:
            return False
        except (ValueError, TypeError):
            whole = False
        if not whole:
            LOG.warning("%s is damaged, and made anew", self.folder / _EDGE)
            return False
        return kept.issuer == authority.subject and kept.not_valid_after_utc - now > _RENEWED

    def _pair(self) -> tuple[bytes, bytes]:
        """The certificate of the edge and its key."""
        certificate, mark, key = (self.folder / _EDGE).read_bytes().partition(b"-----BEGIN PRIVATE KEY-----")
        return certificate, mark + key

    def _authority(self, now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        certificate, key_file = self.folder / AUTHORITY, self.folder / _AUTHORITY_KEY
        if not certificate.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            # Told apart from that of another installation: libraries look for an issuer by its name.
            name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Halfopen {os.urandom(8).hex()}")])
            made = (
                _builder(name, name, key, now, _FOR_AUTHORITY)
                .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
                .add_extension(x509.NameConstraints([x509.DNSName(DOMAIN)], None), critical=True)
                .add_extension(_SIGNS, critical=True)
                .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
                .sign(key, hashes.SHA256())
            )
            self._write(_AUTHORITY_KEY, _key_pem(key))
            self._write(AUTHORITY, _pem(made))  # last: the pair is whole once it is there
        try:
            mode = stat.S_IMODE(key_file.stat().st_mode)
            loaded = load_pem_private_key(key_file.read_bytes(), None)
        except (OSError, ValueError, TypeError) as error:
            raise UsageError("edge", key_file, f"the key of {AUTHORITY} ({error})") from None
        if mode & 0o077:
            words = f"a key that its owner alone may use (mode {mode:04o}; chmod 600 {key_file})"
            raise UsageError("edge", key_file, words)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise UsageError("edge", key_file, f"the key of {AUTHORITY}, of an elliptic curve")
        return _certificate(certificate), loaded

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        fresh = path.with_name(f".{name}.new")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock of the folder; processes that start at once make one authority."""
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(self.folder, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise UsageError("edge", self.folder, f"a folder for certificates ({error.strerror})") from None
        try:
            flock(descriptor, LOCK_EX)
            yield
        except OSError as error:
            raise UsageError("edge", self.folder, f"a folder for certificates ({error.strerror})") from None
        finally:
            os.close(descriptor)


_SIGNS: Final = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, span: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + span)
    )


def _certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError:
        raise UsageError("edge", path, "a certificate (PEM)") from None


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
