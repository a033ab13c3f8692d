"""Secrets of tunnels: sealed where they are kept, compared without telling where they differ, handed out as tokens.

A secret must be given back (`cloudflared tunnel token`), so no hash will do: it is sealed with AES-256-GCM, bound to its tunnel, under a
key that lies in a file beside the data directory, not in it. A copy of the database alone tells no secret.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
import time
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from hmac import compare_digest
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Final
from uuid import UUID

from sqlalchemy import Connection, select

from halfopen.accounts.credentials import IDENTIFIER
from halfopen.accounts.schema import INSTALLATION
from halfopen.config import KEY_FILE
from halfopen.errors import KeyFileError, UsageError
from halfopen.tunnels.schema import TUNNELS

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SECRET_BYTES: Final = 32
"""Bytes of a secret that is made here, and the least that one brought along has."""

MOST_SECRET_BYTES: Final = 1024

_KEY_BYTES: Final = 32
_NONCE: Final = 12
_FORMAT: Final = b"\x01"  # of a sealed secret: this byte, the nonce, the ciphertext with its tag
_TOLD: Final = (("a", "AccountTag"), ("t", "TunnelID"), ("s", "TunnelSecret"))
_GOOD_FOR: Final = 3600  # seconds a management token is good


@dataclass(frozen=True)
class RunToken:
    """What `cloudflared tunnel run --token` is given: account, tunnel and secret."""

    account: str
    tunnel: str
    secret: bytes

    def __str__(self) -> str:
        told = {"a": self.account, "t": self.tunnel, "s": b64encode(self.secret).decode()}
        return b64encode(json.dumps(told, separators=(",", ":")).encode()).decode()

    @classmethod
    def parse(cls, text: str) -> RunToken | None:
        """The token that text says, or the credentials file of cloudflared; None where it is neither."""
        try:
            plain = text if text.lstrip().startswith("{") else b64decode(text.strip(), validate=True)
            told = json.loads(plain)
            account, tunnel, secret = (told.get(short) or told.get(long) for short, long in _TOLD)
            if not IDENTIFIER.fullmatch(account):
                return None
            return cls(account, str(UUID(tunnel)), secret_of(secret))
        except (ValueError, TypeError, AttributeError, RecursionError, UsageError):
            return None


class Vault:
    """Seals and opens the secrets of an installation's tunnels."""

    def __init__(self, path: Path) -> None:
        """Their key lies in the file `path`, which the first secret that is sealed makes, with mode 0600. Everything raises
        KeyFileError where it cannot be used."""
        self._path = path
        self._checked = False

    def check(self, connection: Connection) -> None:
        """Nothing, if this key opens the secrets that are kept, or none is: with a second key one part of them would be lost to
        either. Asked in the transaction that keeps another one."""
        if self._checked:
            return
        kept = select(TUNNELS.c.id, TUNNELS.c.secret).where(TUNNELS.c.deleted.is_(None)).limit(1)
        one = connection.execute(kept).first()
        if one is None:
            # Who keeps the first one does it alone: with files of their own, two hosts would each make a key.
            connection.execute(select(INSTALLATION.c.id).with_for_update())
            one = connection.execute(kept).first()
        if one is not None:
            self.unseal(one.id, one.secret)
            self._checked = True

    @cached_property
    def _key(self) -> bytes:
        with self._usable():
            if (mode := stat.S_IMODE(self._path.stat().st_mode)) & 0o077:
                reason = f"others than its owner may use it (mode {mode:04o}; chmod 600 {self._path})"
                raise KeyFileError(str(self._path), reason)
            key = self._path.read_bytes()
        if len(key) != _KEY_BYTES:
            raise KeyFileError(str(self._path), f"a key has {_KEY_BYTES} bytes, this file {len(key)}")
        return key

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = f"the key of tunnels' secrets: {error.strerror or error}; {KEY_FILE} names another file"
            raise KeyFileError(str(self._path), reason) from None

    @cached_property
    def _cipher(self) -> AESGCM:
        # Imported when it is first needed: a server without tunnels spares the memory.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(self._derived(b"halfopen tunnel secrets"))

    def seal(self, tunnel: str, secret: bytes) -> bytes:
        """What is kept of the secret of a tunnel."""
        with self._usable():
            if "_key" not in vars(self) and not self._path.exists():  # a key in use is not made anew
                _make(self._path)
        nonce = secrets.token_bytes(_NONCE)
        return _FORMAT + nonce + self._cipher.encrypt(nonce, secret, tunnel.encode())

    def unseal(self, tunnel: str, sealed: bytes) -> bytes:
        """The secret of a tunnel. KeyFileError where it was sealed under another key, or for another tunnel."""
        from cryptography.exceptions import InvalidTag

        try:
            if sealed[:1] != _FORMAT:
                raise InvalidTag
            return self._cipher.decrypt(sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :], tunnel.encode())
        except (InvalidTag, ValueError):
            raise KeyFileError(
                str(self._path), f"not the key that the secret of tunnel {tunnel} was sealed with"
            ) from None

    def holds(self, tunnel: str, sealed: bytes, given: bytes) -> bool:
        """Whether `given` is the secret of the tunnel."""
        return compare_digest(self.unseal(tunnel, sealed), given)

    def management_token(self, account: str, tunnel: str, actor: str, resources: Sequence[str]) -> str:
        """A JWT that opens `resources` of a tunnel's connectors for an hour, in the form cloudflared parses (ES256)."""
        import jwt
        from cryptography.hazmat.primitives.asymmetric import ec

        now = int(time.time())
        claims = {
            "tun": {"id": tunnel, "account_tag": account},
            "actor": {"id": actor, "support": False},
            "res": list(resources),
            "iss": "halfopen",
            "iat": now,
            "exp": now + _GOOD_FOR,
        }
        number = int.from_bytes(self._derived(b"halfopen management tokens"))
        # Of a derived key all numbers but one in 2^32 are keys of the curve; the others wrap around.
        key = ec.derive_private_key(number % (_ORDER - 1) + 1, ec.SECP256R1())
        return jwt.encode(claims, key, algorithm="ES256")

    def _derived(self, purpose: bytes) -> bytes:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        return HKDF(hashes.SHA256(), _KEY_BYTES, None, purpose).derive(self._key)


def _make(path: Path) -> None:
    """Make a key file, whole at once; one that somebody else made meanwhile stays."""
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.") as file:  # of mode 0600
        file.write(secrets.token_bytes(_KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(file.name, path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(directory)  # before anything is sealed with it
    finally:
        os.close(directory)


_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Order of the curve P-256 (SEC 2, 2.4.2)."""


def new_secret() -> bytes:
    """A secret never seen before."""
    return secrets.token_bytes(SECRET_BYTES)


def secret_of(text: str) -> bytes:
    """The secret that base64 text says; UsageError where it is none, too short or too long."""
    accepted = f"base64 of {SECRET_BYTES} to {MOST_SECRET_BYTES:,} bytes"
    try:
        secret = b64decode(text, validate=True)
    except (Base64Error, ValueError):
        raise UsageError("tunnel_secret", "(not shown)", accepted) from None
    if not SECRET_BYTES <= len(secret) <= MOST_SECRET_BYTES:
        raise UsageError("tunnel_secret", f"{len(secret)} bytes", accepted)
    return secret
