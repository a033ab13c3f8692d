"""Messages in a stream: how many segments, how long each is (words), padding to a word, the segments."""

from __future__ import annotations

from collections.abc import Sequence
from struct import pack, unpack_from
from typing import Final

from halfopen.errors import WireError

_SEGMENTS: Final = 64
"""More than any writer needs for a message of our sizes: most take one."""


def frame(segments: Sequence[bytes]) -> bytes:
    """The bytes of a message in a stream."""
    sizes = pack(f"<{len(segments) + 1}I", len(segments) - 1, *(len(each) // 8 for each in segments))
    return b"".join((sizes, b"\0" * (-len(sizes) % 8), *segments))


def take_message(stream: bytearray, limit: int) -> tuple[bytes, ...] | None:
    """Take the segments of the first message off a stream; None while not all of it is there.

    Raises WireError where it would be longer than `limit` bytes, as soon as it says so.
    """
    if len(stream) < 4:
        return None
    count = unpack_from("<I", stream)[0] + 1
    if count > _SEGMENTS:
        raise WireError(f"a message of {count:,} segments; accepted: at most {_SEGMENTS}")
    start = (4 + 4 * count + 7) // 8 * 8
    if len(stream) < 4 + 4 * count:
        return None
    sizes = [8 * words for words in unpack_from(f"<{count}I", stream, 4)]
    if (size := sum(sizes)) > limit:
        raise WireError(f"a message of {size:,} bytes; accepted: at most {limit:,}")
    if len(stream) < start + size:
        return None
    segments = []
    for each in sizes:
        segments.append(bytes(stream[start : start + each]))
        start += each
    del stream[:start]
    return tuple(segments)
