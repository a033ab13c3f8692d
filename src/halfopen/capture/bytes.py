"""Reading numbers out of bytes, for kernels.

Offsets and values are signed 64-bit throughout, so a subtraction cannot wrap and never turns into
a float; only the index itself is made unsigned, which spares the check for negative indices.
"""

from __future__ import annotations

import numpy as np

from halfopen.jit import inlined
from halfopen.model import Bytes


@inlined
def u8(data: Bytes, at: int) -> int:
    """The byte at `at`."""
    return np.int64(data[np.uint64(at)])  # type: ignore[return-value]


@inlined
def u16(data: Bytes, at: int) -> int:
    """Two bytes at `at`, most significant first (network order)."""
    return u8(data, at) << 8 | u8(data, at + 1)


@inlined
def u32(data: Bytes, at: int) -> int:
    """Four bytes at `at`, most significant first (network order)."""
    return u8(data, at) << 24 | u8(data, at + 1) << 16 | u8(data, at + 2) << 8 | u8(data, at + 3)


@inlined
def u64(data: Bytes, at: int) -> np.uint64:
    """Eight bytes at `at`, most significant first; unsigned, as an address half is."""
    return np.uint64(u32(data, at)) << np.uint64(32) | np.uint64(u32(data, at + 4))


@inlined
def file16(data: Bytes, at: int, big: bool) -> int:
    """Two bytes at `at` in the byte order of the file."""
    if big:
        return u16(data, at)
    return u8(data, at) | u8(data, at + 1) << 8


@inlined
def file32(data: Bytes, at: int, big: bool) -> int:
    """Four bytes at `at` in the byte order of the file."""
    if big:
        return u32(data, at)
    return u8(data, at) | u8(data, at + 1) << 8 | u8(data, at + 2) << 16 | u8(data, at + 3) << 24
