"""What is kept of a client's address and of the name it asked for.

Both can be kept in full, coarser, as a keyed hash, or not at all. Places are looked up before. A
keyed hash tells whether two connections are of one client to whoever lacks the key, and no more; the key
is 32 random bytes beside the data.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from hashlib import blake2b
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from halfopen.errors import UsageError
from halfopen.model import MAPPED_PREFIX

HASH_BYTES: Final = 12

KEY_BYTES: Final = 32

KEY_FILE: Final = "hash.key"
"""The key of an installation, in its data directory; made by the first ingestion that needs it."""


class Address(StrEnum):
    """What is kept of a client's address."""

    full = "full"
    truncated = "truncated"
    hash = "hash"
    none = "none"


class Name(StrEnum):
    """What is kept of a trigger name."""

    full = "full"
    domain = "domain"  # registrable: example.co.uk of www.example.co.uk
    hash = "hash"
    none = "none"


@dataclass(frozen=True, slots=True)
class Privacy:
    """What is kept; `key` is needed for hashes, prefixes are lengths in bits."""

    address: Address = Address.truncated
    name: Name = Name.domain
    key: bytes = b""
    ipv4_prefix: int = 24
    ipv6_prefix: int = 48

    def __post_init__(self) -> None:
        for what, prefix, most in (("IPv4", self.ipv4_prefix, 32), ("IPv6", self.ipv6_prefix, 128)):
            if not 0 <= prefix <= most:
                raise UsageError(f"{what} prefix", prefix, f"0 to {most}")
        if Address.hash in (self.address, self.name) and len(self.key) != KEY_BYTES:
            raise UsageError("key of hashes", f"{len(self.key)} bytes", f"{KEY_BYTES} bytes")

    def truncated(
        self, high: NDArray[np.uint64], low: NDArray[np.uint64]
    ) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Addresses in halves (IPv4 mapped, `model`) with all bits behind the prefix 0."""
        mapped = (high == 0) & (low >> np.uint64(32) == MAPPED_PREFIX >> 32)
        v4 = np.uint64(2**64 - 2 ** (32 - self.ipv4_prefix))
        v6 = (1 << 128) - (1 << 128 - self.ipv6_prefix)
        return (
            np.where(mapped, high, high & np.uint64(v6 >> 64)),
            np.where(mapped, low & v4, low & np.uint64(v6 & (2**64 - 1))),
        )

    def hashed_addresses(self, high: NDArray[np.uint64], low: NDArray[np.uint64]) -> list[str]:
        """Keyed hashes of addresses in halves, as hexadecimal."""
        halves = np.stack([high, low], axis=1).astype(">u8").tobytes()
        return [self._hash(halves[at : at + 16]) for at in range(0, len(halves), 16)]

    def names(self, names: list[str | None]) -> list[str | None]:
        """What is kept of names; None where there was none."""
        match self.name:
            case Name.full:
                return names
            case Name.none:
                return [None] * len(names)
            case Name.hash:
                return [None if name is None else self._hash(name.encode()) for name in names]
            case Name.domain:
                return [None if name is None else registrable(name) for name in names]

    def _hash(self, what: bytes) -> str:
        return blake2b(what, key=self.key, digest_size=HASH_BYTES).hexdigest()


def made_key(path: Path) -> bytes:
    """The key of hashes; made at its first use, readable by this user alone."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes()
    with os.fdopen(descriptor, "wb") as file:
        key = os.urandom(KEY_BYTES)
        file.write(key)
    return key


def kept_as(client: IPv4Address | IPv6Address, key: Path) -> list[str]:
    """What a client may be called where its address is kept: the address in full; the hash, if there is a key."""
    names = [str(client)]
    if key.is_file():
        number = int(client) | (MAPPED_PREFIX if client.version == 4 else 0)
        halves = (np.array([half], np.uint64) for half in (number >> 64, number & 2**64 - 1))
        names += Privacy(Address.hash, key=key.read_bytes()).hashed_addresses(*halves)
    return names


def network_of(client: IPv4Address | IPv6Address) -> IPv4Network | IPv6Network:
    """The network of a client as which truncated addresses are kept."""
    usual = Privacy()
    return ip_network((client, usual.ipv4_prefix if client.version == 4 else usual.ipv6_prefix), strict=False)


@cache
def _suffixes() -> object:
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()


@lru_cache(1 << 16)
def registrable(name: str) -> str:
    """The registrable domain of a host name, by the Public Suffix List; addresses stay as they are.

    A name that is itself a public suffix, or no name, stays, too.
    """
    if name.startswith("[") or name.replace(".", "").isdigit():
        return name
    found = _suffixes().privatesuffix(name.rstrip(".").lower())  # type: ignore[attr-defined]
    return found or name
