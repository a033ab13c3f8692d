"""What a capture is known by, wherever its files lie and whatever they are called."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from halfopen.capture.source import Capture

_PIECE: Final = 1 << 22
"""Bytes hashed at once: long enough that waiting for the interpreter in between does not count."""

DIGEST: Final = "[0-9a-f]{64}"
"""A pattern that digests match."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a capture is known by: its content alone.

    `digest` is the SHA-256 of the file, as ``sha256sum`` prints it. Of a joined capture it is that of the digests of
    its files in their order, and those are the `members`.
    """

    digest: str
    members: tuple[str, ...] = ()


def known(capture: Capture) -> Known:
    """What a capture is known by; OSError names the file that cannot be read."""
    digests = tuple(digest(Path(file)) for file in capture.files)
    if len(digests) == 1:
        return Known(digests[0])
    return Known(sha256("".join(digests).encode()).hexdigest(), digests)


def digest(path: Path) -> str:
    """What a capture file is known by; OSError where it cannot be read."""
    content = sha256()
    piece = memoryview(bytearray(_PIECE))
    with path.open("rb", buffering=0) as file:
        while length := file.readinto(piece):
            content.update(piece[:length])
    return content.hexdigest()
