"""Numbers of packets, as kernels read and compare them."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfopen.jit import I64, inlined

K1, K2, K3 = (np.uint64(k) for k in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9))
"""Odd numbers without a pattern in their bits (those of xxHash)."""


@inlined
def ahead(a: Any, b: Any) -> Any:
    """How far sequence number `a` lies ahead of `b` (negative: behind), modulo 2^32 (RFC 1982)."""
    distance = (I64(a) - I64(b)) & 0xFFFFFFFF
    if distance >= 0x80000000:
        distance -= 0x100000000
    return distance


@inlined
def print_of(row: Any) -> Any:
    """32-bit hash of all that two copies share (D14)."""
    numbers = np.uint64(row.seq) << np.uint64(32) | np.uint64(row.ack)
    shape = np.uint64(row.payload_length) << np.uint64(32) | np.uint64(row.options_hash)
    rest = (
        np.uint64(row.window) << np.uint64(24) | np.uint64(row.ip_id) << np.uint64(8) | np.uint64(row.flags)
    )
    return I64((numbers * K1 ^ shape) * K2 + rest * K3 >> np.uint64(32))


@inlined
def bit_of(mark: Any) -> Any:
    """Which of 64 bits stands for a packet with this `print_of`."""
    return np.uint64(mark) >> np.uint64(26)
