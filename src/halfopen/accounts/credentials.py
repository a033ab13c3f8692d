"""Tokens and keys: what they look like, how they are made, and what is kept of them.

A token has 40 characters of 64, 240 bits of chance, so a fast hash is enough: there is nothing to guess. What is
kept is a BLAKE2b digest under a key of the installation. Its first half finds the row by an index, and the
whole of it is compared in constant time; both depend on a key that nobody outside knows.
"""

from __future__ import annotations

import re
import secrets
from hashlib import blake2b
from hmac import compare_digest
from typing import Final

ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
TOKEN_LENGTH: Final = 40
"""The least that Terraform's provider accepts."""

TOKEN: Final = re.compile(r"[0-9A-Za-z_-]{40,80}")
KEY: Final = re.compile(r"[0-9A-Za-z_-]{32,80}")
EMAIL: Final = re.compile(r"[!-?A-~]{1,64}@[0-9A-Za-z.-]{1,189}")
IDENTIFIER: Final = re.compile(r"[0-9A-Za-z_-]{1,32}")

_LOOKUP: Final = 16  # bytes of a digest that find its row


def new_secret() -> str:
    """A token or key never seen before."""
    # Not the first: a leading dash would be read as an option where a token stands on a command line.
    first = secrets.choice(ALPHABET[:-2])
    return first + "".join(secrets.choice(ALPHABET) for _ in range(TOKEN_LENGTH - 1))


def new_identifier() -> str:
    """An identifier as Cloudflare's: 32 hexadecimal digits."""
    return secrets.token_hex(16)


def digest(secret: str, key: bytes) -> bytes:
    """What is kept of a token or key: 32 bytes."""
    return blake2b(secret.encode(), key=key, digest_size=32, person=b"halfopen").digest()


def lookup(whole: bytes) -> bytes:
    """The part of a digest that finds its row."""
    return whole[:_LOOKUP]


def same(one: bytes, other: bytes) -> bool:
    """Whether two digests are equal, in a time that does not tell where they differ."""
    return compare_digest(one, other)
