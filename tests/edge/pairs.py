"""Certificates that tests make for visitors to see."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

KEY: Final = ec.generate_private_key(ec.SECP256R1())


def write(
    certificate: Path, key: Path, *names: str, days: int = 10, private: ec.EllipticCurvePrivateKey = KEY,
    encryption: KeySerializationEncryption | None = None,
) -> None:  # fmt: skip
    """A certificate for names, signed by itself, and its key."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(KEY.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=100))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(map(x509.DNSName, names)), critical=False)
    )  # fmt: skip
    certificate.parent.mkdir(exist_ok=True)
    certificate.write_bytes(made.sign(KEY, hashes.SHA256()).public_bytes(Encoding.PEM))
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()))


def pair(folder: Path, stem: str, *names: str, days: int = 10) -> None:
    write(folder / f"{stem}.pem", folder / f"{stem}.key", *names, days=days)
