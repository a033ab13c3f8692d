"""Packets recorded twice, as kernels (D14)."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfopen.connections.pools import cells, counters, entries
from halfopen.connections.table import mix
from halfopen.jit import I64, inlined
from halfopen.model import SECOND, Counter, Flag

RST = int(Flag.RST)
COPY, COPY_WITH_ID = SECOND // 200, SECOND // 10
"""How far apart two copies may be, without and with an IP-ID (ns)."""

C_DUPLICATES = int(Counter.duplicates)
LOW = np.uint64(0xFFFFFFFF)


@inlined
def print_of(row: Any) -> Any:
    """Hash of what else two copies share: window and options (D14)."""
    return np.uint32(mix(np.uint64(row.options_hash) << np.uint64(16) | np.uint64(row.window)) & LOW)


@inlined
def full_print(row: Any) -> Any:
    """Hash of all that two copies share (D14)."""
    numbers = np.uint64(row.seq) << np.uint64(32) | np.uint64(row.ack)
    shape = np.uint64(row.payload_length) << np.uint64(32) | np.uint64(row.options_hash)
    rest = (
        np.uint64(row.window) << np.uint64(24) | np.uint64(row.ip_id) << np.uint64(8) | np.uint64(row.flags)
    )
    return np.uint32(mix(mix(numbers) + shape ^ mix(rest)) & LOW)


@inlined
def bit_of(row: Any) -> Any:
    """Which of 64 bits stands for a packet; copies share it."""
    x = (np.uint64(row.seq) ^ np.uint64(row.ack) << np.uint64(16)) + (
        np.uint64(row.ip_id) << np.uint64(8) | np.uint64(row.flags)
    )
    return x * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(58)


@inlined
def is_copy(t: Any, i: Any, row: Any, bit: Any) -> Any:
    """The same packet recorded twice, by the kept ones (D14); counted."""
    e = entries(t)[i]
    if not e.marks >> bit & np.uint64(1):
        return False
    window = COPY_WITH_ID if row.ip_id else COPY
    mark = print_of(row)
    for k in range(I64(e.packets)):
        c = cells(t)[I64(e.first_cell) + k]
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
