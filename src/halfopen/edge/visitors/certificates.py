"""Certificates for visitors: pairs of files in a folder, chosen by the name that a visitor asks for, and looked at for changes."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from cryptography import x509

from halfopen.errors import UsageError

LOG: Final = logging.getLogger("halfopen.edge")

CHANGES: Final = 5.0
"""Seconds between two looks at the files."""

_NAMED: Final = 20  # names that the log tells
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2; HTTP/2 wants no others (RFC 9113, appendix A)
_PROTOCOLS: Final = ["h2", "http/1.1"]

Context = TypeVar("Context", bound=ssl.SSLContext)

Facts = tuple[tuple[int, int, int], ...]
"""What tells that files have changed: inode, size and time of each; of a certificate alone where it has no key."""


_AGREEING: ContextVar[socket.socket] = ContextVar("connection that agrees on TLS")

_UNRECOGNIZED: Final = b"\x15\x03\x03\0\x02\x02\x70"
"""The alert unrecognized_name (RFC 6066, 3). Loops close a connection on which TLS is not agreed on without sending what TLS says of it."""


class Pair(ssl.SSLContext):
    """A certificate with its key, as visitors are shown it."""

    names: frozenset[str] = frozenset()
    ends: datetime


class Certificates:
    """The pairs in a folder: NAME.pem with NAME.key, or NAME/fullchain.pem with NAME/privkey.pem, as certbot keeps them."""

    def __init__(self, folder: Path) -> None:
        """Raises UsageError where there is no such folder. Pairs that cannot be used are told in the log."""
        if not folder.is_dir():
            raise UsageError(
                "--certificates",
                folder,
                "a folder with NAME.pem and NAME.key, or with certbot's NAME/fullchain.pem",
            )
        self._folder = folder
        self._seen: dict[Path, Facts] = {}
        self._pairs: dict[Path, Pair] = {}
        self._by_name: dict[str, Pair] = {}
        self._unreadable = False
        self._context = _fresh(ssl.SSLContext)
        self._context.sni_callback = self._choose
        self.look()
        if not self._seen:
            self._tell()  # nothing has changed, but that is told, too

    def agree(self, taken: socket.socket) -> ssl.SSLContext:
        """What to agree on TLS with, over a connection that the task at work has taken."""
        _AGREEING.set(taken)
        return self._context

    def names(self, context: ssl.SSLContext) -> frozenset[str]:
        """The names of the certificate that was chosen."""
        return context.names if isinstance(context, Pair) else frozenset()

    def pairs(self) -> list[tuple[frozenset[str], datetime]]:
        """Names of each certificate that can be used, and until when it is good."""
        return [(pair.names, pair.ends) for pair in self._pairs.values()]

    async def watch(self) -> None:
        """Look for changes every few seconds, and at SIGHUP, until cancelled."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.look)
        while True:
            await asyncio.sleep(CHANGES)
            self.look()

    def look(self) -> None:
        """Take in what is new or has changed, and tell what is in use then. Of a pair that is broken the former one stays."""
        try:
            found = dict(_files(self._folder))
        except OSError as error:
            if not self._unreadable:
                LOG.warning("the certificates of before stay in use: %s (%s)", self._folder, error.strerror)
            self._unreadable = True
            return
        self._unreadable = False
        if found == self._seen:
            return
        for path in [each for each in self._pairs if len(found.get(each, ())) < 2]:
            LOG.warning("the certificate %s, or its key, is gone", path)
            del self._pairs[path]
        for path, facts in found.items():
            if self._seen.get(path) != facts:
                self._take(path)
        self._seen = found
        self._by_name = {}
        for pair in sorted(self._pairs.values(), key=lambda each: each.ends):
            self._by_name.update(dict.fromkeys(pair.names, pair))  # who is good for longer wins
        self._tell()

    def _tell(self) -> None:
        if not self._pairs:
            LOG.warning("no certificates in %s: visitors over TLS are turned away", self._folder)
            return
        names = sorted(self._by_name)
        more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
        count = "1 certificate is" if len(self._pairs) == 1 else f"{len(self._pairs):,} certificates are"
        LOG.info("%s in use, for %s%s", count, ", ".join(names[:_NAMED]), more)

    def _take(self, path: Path) -> None:
        try:
            pair = _read(path, _key_of(path))
        except (OSError, ValueError) as error:
            LOG.warning(
                "the certificate %s cannot be used: %s%s",
                path,
                error,
                "; the former one stays" if path in self._pairs else "",
            )
            return
        if pair.ends < datetime.now(UTC):
            LOG.warning("the certificate %s has ended on %s", path, pair.ends.date())
        self._pairs[path] = pair

    def _choose(self, visitor: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
        pair = self._for(name) if name else None
        if pair is None:
            with suppress(OSError):
                _AGREEING.get().send(_UNRECOGNIZED)
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        visitor.context = pair
        return None

    def _for(self, name: str) -> Pair | None:
        host = name.lower()
        return self._by_name.get(host) or self._by_name.get(f"*.{host.partition('.')[2]}")


def _files(folder: Path) -> Iterator[tuple[Path, Facts]]:
    for path in sorted(folder.iterdir()):
        certificate = path / "fullchain.pem" if path.is_dir() else path
        if certificate.suffix == ".pem" and certificate.exists():
            both = certificate, _key_of(certificate)
            yield certificate, tuple(_fact(each) for each in both if each.exists())


def _fact(path: Path) -> tuple[int, int, int]:
    told = path.stat()
    return told.st_ino, told.st_size, told.st_mtime_ns


def _key_of(certificate: Path) -> Path:
    if certificate.name == "fullchain.pem":
        return certificate.with_name("privkey.pem")
    return certificate.with_suffix(".key")


def _read(certificate: Path, key: Path) -> Pair:
    """Raises OSError or ValueError, with words, where the two cannot be used."""
    pair = _fresh(Pair)
    if not key.exists():
        raise ValueError(f"there is no {key.name} beside it")
    try:
        pair.load_cert_chain(certificate, key, password=_no_password)
    except ssl.SSLError as error:
        raise ValueError((error.reason or "not PEM").replace("_", " ").lower()) from None
    told = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
    stands = [each.value for each in told.extensions if isinstance(each.value, x509.SubjectAlternativeName)]
    pair.names = frozenset(name.lower() for each in stands for name in each.get_values_for_type(x509.DNSName))
    if not pair.names:
        raise ValueError("it names no host (subjectAltName)")
    pair.ends = told.not_valid_after_utc
    return pair


def _no_password() -> str:
    raise ValueError("its key wants a password")


def _fresh(kind: type[Context]) -> Context:
    context = kind(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols(_PROTOCOLS)
    return context
