"""What a capture is known by, wherever its files lie and whatever they are called."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final

from halfopen.capture.source import Capture

_PIECE: Final = 1 << 24
"""Bytes hashed at once: long enough that waiting for the interpreter in between does not count."""

_BYTES: Final = 16

DIGEST: Final = rf"[0-9a-f]{{{2 * _BYTES}}}"
"""A pattern that digests match."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a capture is known by: its content alone.

    `digest` is 128 bits of the BLAKE2b hash of the file, as hexadecimal. Of a joined capture it is the hash of the
    digests of its files in their order, and those are the `members`.
    """

    digest: str
    members: tuple[str, ...] = ()


def known(capture: Capture) -> Known:
    """What a capture is known by; OSError names the file that cannot be read."""
    digests = tuple(digest(Path(file)) for file in capture.files)
    if len(digests) == 1:
        return Known(digests[0])
    return Known(blake2b("".join(digests).encode(), digest_size=_BYTES).hexdigest(), digests)


def digest(path: Path) -> str:
    """What a capture file is known by; OSError where it cannot be read."""
    content = blake2b(digest_size=_BYTES)
    piece = memoryview(bytearray(_PIECE))
    with path.open("rb", buffering=0) as file:
        while length := file.readinto(piece):
            content.update(piece[:length])
    return content.hexdigest()
