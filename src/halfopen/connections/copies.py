"""Packets recorded twice, as kernels (D14)."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfopen.connections.extension import extended, packet_number
from halfopen.connections.layout import Fact
from halfopen.connections.numbers import bit_of
from halfopen.connections.pools import cell_at, counters, extension_at
from halfopen.jit import I64, inlined
from halfopen.model import SECOND, Counter, Flag

RST = int(Flag.RST)
EXTENDED = int(Fact.EXTENDED)
COPY, COPY_WITH_ID = SECOND // 200, SECOND // 10
"""How far apart two copies may be, without and with an IP-ID (ns)."""

C_DUPLICATES = int(Counter.duplicates)


@inlined
def is_copy(t: Any, e: Any, row: Any, mark: Any) -> Any:
    """The same packet recorded twice, by the kept ones (D14); counted. `mark` is its `print_of`."""
    window = COPY_WITH_ID if row.ip_id else COPY
    if not e.facts & EXTENDED:
        if e.extension != mark or row.seq != e.isn or abs(row.ts - e.last) > window:
            return False
    elif not extension_at(t, e.extension).marks >> bit_of(mark) & np.uint64(1):
        return False
    x = extension_at(t, extended(t, e))
    for k in range(I64(e.packets)):
        c = cell_at(t, packet_number(e, k))
        if (
            c.print == mark
            and c.seq == row.seq
            and c.flags == row.flags
            and c.length == row.payload_length
            and c.ip_id == row.ip_id
            and abs(row.ts - c.ts) <= window
        ):
            if row.flags & RST and row.ip_id == 0 and x.duplicates == 0:
                return False
            x.duplicates += 1
            counters(t)[C_DUPLICATES] += 1
            return True
    return False
