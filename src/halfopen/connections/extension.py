"""Kernels of what an entry holds beside its row: its extension, later packets, its name and first bytes."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfopen.connections.layout import CELLS_EACH, FEW, FIRST_CELL, NAME_BYTES, NAME_START, Fact
from halfopen.connections.numbers import bit_of
from halfopen.connections.pools import (
    buffer_free_at,
    buffers,
    cell_at,
    cell_free_at,
    extension_at,
    extension_free_at,
    later_free_at,
    piece_at,
    ranges,
    text,
)
from halfopen.jit import I64, copy_bytes, inlined, part
from halfopen.model import PACKETS_KEPT, Flag

SYN = int(Flag.SYN)
EXTENDED = int(Fact.EXTENDED)

copy_piece = copy_bytes(NAME_BYTES)


@inlined
def packet_number(e: Any, k: Any) -> Any:
    """The cell of packet `k` of an entry that has an extension."""
    if k < FEW:
        return I64(e.extension) * CELLS_EACH + FIRST_CELL + k
    return I64(e.later) + k - FEW


@inlined
def folded(row: Any, scanner: Any) -> Any:
    """What an entry remembers of a SYN while it is alone, beside its numbers and hash, in 32 bits.

    IP-ID, TTL, the flags PSH, URG, ECE and CWR, and the bits of the scanner.
    """
    flags = I64(row.flags)
    return I64(row.ip_id) << 16 | I64(row.ttl) << 8 | flags & 0xE0 | (flags & 8) << 1 | scanner


@inlined
def extended(t: Any, e: Any) -> Any:
    """The number of an entry's extension, made where it was alone."""
    if not e.facts & EXTENDED:
        extend(t, e)
    return I64(e.extension)


@part
def extend(t: Any, e: Any) -> Any:
    """Make the extension of an entry that is alone; the SYN becomes the first of its packets."""
    if t.extension_free:
        t.extension_free -= 1
        number = I64(extension_free_at(t, t.extension_free).number)
    else:
        number = I64(t.extension_used)
        t.extension_used += 1
    x = extension_at(t, number)
    x.start = e.last
    x.marks = np.uint64(1) << bit_of(e.extension)
    x.high = 1
    x.duplicates = 0
    x.name = 0
    x.buffer = 0
    x.showed = 0
    x.acks_after = 0
    x.recent = 0
    x.scanner = e.later & 0xF
    x.name_length = 0
    x.trigger = 0
    x.echoes = 0
    c = cell_at(t, number * CELLS_EACH + FIRST_CELL)
    c.ts = e.last
    c.seq = e.isn
    c.ack = 0
    c.length = 0
    c.window = 0
    c.print = e.extension
    c.ip_id = e.later >> 16
    c.flags = SYN | e.later & 0xE0 | e.later >> 1 & 8
    c.ttl = e.later >> 8 & 0xFF
    e.facts |= EXTENDED
    e.extension = number
    e.later = 0


@inlined
def next_cell(t: Any, e: Any) -> Any:
    """The cell of the next packet of an entry that has an extension."""
    if e.packets == FEW:
        if t.later_free:
            t.later_free -= 1
            e.later = later_free_at(t, t.later_free).number
        else:
            e.later = t.later_used
            t.later_used += PACKETS_KEPT - FEW
    return packet_number(e, I64(e.packets))


@inlined
def take_cell(t: Any) -> Any:
    """A cell for a piece of a name. There are always enough: the pools are sized by the connections."""
    if t.cell_free:
        t.cell_free -= 1
        return I64(cell_free_at(t, t.cell_free).number)
    t.cell_used += 1
    return t.cell_used - 1


@inlined
def give_cell(t: Any, cell: Any) -> Any:
    """Give such a cell back."""
    cell_free_at(t, t.cell_free).number = cell
    t.cell_free += 1


@part
def free_name(t: Any, first: Any) -> Any:
    """Give a chain of name cells back."""
    cell = I64(first)
    while cell:
        following = I64(piece_at(t, cell).link)
        give_cell(t, cell)
        cell = following


@part
def free_buffer(t: Any, x: Any) -> Any:
    """Give the slot for first bytes back, if there is one."""
    if x.buffer:
        buffer_free_at(t, t.buffer_free).number = x.buffer
        t.buffer_free += 1
        x.buffer = 0


@part
def release(t: Any, e: Any) -> Any:
    """Free all that an entry holds beside its row; what is left knows the 5-tuple."""
    if not e.facts & EXTENDED:
        return
    x = extension_at(t, e.extension)
    if e.packets > FEW:
        later_free_at(t, t.later_free).number = e.later
        t.later_free += 1
    if x.name:
        free_name(t, x.name)
    free_buffer(t, x)
    extension_free_at(t, t.extension_free).number = e.extension
    t.extension_free += 1
    e.facts &= ~EXTENDED


@part
def take_buffer(t: Any, x: Any) -> Any:
    """A slot where a client's first bytes are put together; 0 if all are in use."""
    if x.buffer:
        return I64(x.buffer)
    if t.buffer_free:
        t.buffer_free -= 1
        b = I64(buffer_free_at(t, t.buffer_free).number)
    elif t.buffer_used < buffers(t).shape[0]:
        b = t.buffer_used
        t.buffer_used += 1
    else:
        return I64(0)
    ranges(t)[b, 0] = 0
    x.buffer = b
    return b


@part
def keep_name(t: Any, x: Any, data: Any, offset: Any, length: Any) -> Any:
    """Store a trigger name in cells."""
    before = I64(0)
    at = I64(0)
    while at < length:
        cell = take_cell(t)
        begin = offset + at
        if begin + NAME_BYTES <= data.shape[0]:
            copy_piece(text(t)[cell], NAME_START, data, begin)
        else:
            for k in range(min(NAME_BYTES, length - at)):
                text(t)[cell, NAME_START + k] = data[begin + k]
        piece_at(t, cell).link = 0
        if before:
            piece_at(t, before).link = cell
        else:
            x.name = cell
        before = cell
        at += NAME_BYTES
    x.name_length = length
