"""Packets recorded twice, as kernels (D14)."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfopen.connections.pools import cell_at, counters, entry_at
from halfopen.jit import I64, inlined
from halfopen.model import SECOND, Counter, Flag

RST = int(Flag.RST)
COPY, COPY_WITH_ID = SECOND // 200, SECOND // 10
"""How far apart two copies may be, without and with an IP-ID (ns)."""

C_DUPLICATES = int(Counter.duplicates)
K1, K2, K3 = (np.uint64(k) for k in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9))
"""Odd numbers without a pattern in their bits (those of xxHash)."""


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


@inlined
def is_copy(t: Any, i: Any, row: Any, mark: Any) -> Any:
    """The same packet recorded twice, by the kept ones (D14); counted. `mark` is its `print_of`."""
    e = entry_at(t, i)
    if not e.marks >> bit_of(mark) & np.uint64(1):
        return False
    window = COPY_WITH_ID if row.ip_id else COPY
    for k in range(I64(e.packets)):
        c = cell_at(t, I64(e.first_cell) + k)
        if (
            c.seq == row.seq
            and c.ack == row.ack
            and c.flags == row.flags
            and c.length == row.payload_length
            and c.ip_id == row.ip_id
            and c.print == mark
            and abs(row.ts - c.ts) <= window
        ):
            if row.flags & RST and row.ip_id == 0 and e.duplicates == 0:
                return False
            e.duplicates += 1
            counters(t)[C_DUPLICATES] += 1
            return True
    return False
