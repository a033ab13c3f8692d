"""Kernels of the flow table: finding, opening and forgetting entries, and who has been silent longest.

Row 0 of every pool is never used, so that 0 can mean none. The numbers of freed rows lie on stacks
and are used again before fresh ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from halfopen.connections.layout import (
    FEW,
    GONE,
    NAME_BYTES,
    NAME_START,
    WAIT_SYN,
)
from halfopen.connections.limits import SLOTS
from halfopen.connections.pools import (
    block_free_at,
    bucket_at,
    buffer_free_at,
    buffers,
    cell_at,
    cell_free_at,
    entry_at,
    entry_free_at,
    few_free_at,
    neighbours_at,
    ranges,
    server_at,
    server_free_at,
    text,
)
from halfopen.jit import I64, copy_bytes, copy_row, inlined, part
from halfopen.model import PACKETS_KEPT, SECOND

FIRST, LAST = 0, 1

copy_piece = copy_bytes(NAME_BYTES)


@inlined
def ahead(a: Any, b: Any) -> Any:
    """How far sequence number `a` lies ahead of `b` (negative: behind), modulo 2^32 (RFC 1982)."""
    distance = (I64(a) - I64(b)) & 0xFFFFFFFF
    if distance >= 0x80000000:
        distance -= 0x100000000
    return distance


@inlined
def end_hash(t: Any, hi: Any, lo: Any, port: Any) -> Any:
    """Hash of one end of a connection; its upper half is the better one."""
    x = (lo ^ t.seed) * np.uint64(0x9E3779B97F4A7C15) ^ (hi + np.uint64(port)) * np.uint64(0xC2B2AE3D27D4EB4F)
    return (x ^ x >> np.uint64(29)) * np.uint64(0xBF58476D1CE4E5B9)


@inlined
def hash_of(t: Any, row: Any) -> Any:
    """32-bit hash of a packet's 5-tuple, the same for both directions."""
    source = end_hash(t, row.src_hi, row.src_lo, row.src_port)
    target = end_hash(t, row.dst_hi, row.dst_lo, row.dst_port)
    return I64((source + target) >> np.uint64(32))


@inlined
def half_of(row: Any) -> Any:
    """In which half of a parted table a packet's connection is; without the seed, so always in the same."""
    x = row.src_lo ^ row.dst_lo ^ np.uint64(row.src_port ^ row.dst_port) << np.uint64(48)
    return I64(x * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(63))


@part
def grow(t: Any) -> Any:
    """Double the buckets in use: every chain is parted by the next bit of its hashes."""
    bit = t.mask + 1
    if bit >= t.buckets_length:
        return
    for bucket in range(bit):
        i = I64(bucket_at(t, bucket).first)
        bucket_at(t, bucket).first = 0
        while i:
            e = entry_at(t, i)
            following = I64(e.chain)
            new = bucket + (I64(e.hash) & bit)
            e.chain = bucket_at(t, new).first
            bucket_at(t, new).first = i
            i = following
    t.mask = bit + t.mask


@inlined
def find(t: Any, row: Any, flow: Any) -> Any:
    """Entry of a packet's 5-tuple and whether the packet comes from the client; (0, False) if none."""
    i = I64(bucket_at(t, flow & t.mask).first)
    while i:
        e = entry_at(t, i)
        if I64(e.hash) == flow:
            if (
                e.client_lo == row.src_lo
                and e.server_lo == row.dst_lo
                and e.client_port == row.src_port
                and e.server_port == row.dst_port
                and e.client_hi == row.src_hi
                and e.server_hi == row.dst_hi
            ):
                return i, True
            if (
                e.client_lo == row.dst_lo
                and e.server_lo == row.src_lo
                and e.client_port == row.dst_port
                and e.server_port == row.src_port
                and e.client_hi == row.dst_hi
                and e.server_hi == row.src_hi
            ):
                return i, False
        i = I64(e.chain)
    return I64(0), False


@inlined
def take_cell(t: Any) -> Any:
    """A single cell. There are always enough: the pools are sized by the connections."""
    if t.cell_free:
        t.cell_free -= 1
        return I64(cell_free_at(t, t.cell_free).number)
    t.cell_used += 1
    return t.cell_used - 1


@inlined
def give_cell(t: Any, cell: Any) -> Any:
    """Give a single cell back."""
    cell_free_at(t, t.cell_free).number = cell
    t.cell_free += 1


@inlined
def take_block(t: Any, few: bool) -> Any:
    """The first cell of a free block, small or for all ten."""
    if few:
        if t.few_free:
            t.few_free -= 1
            return I64(few_free_at(t, t.few_free).number)
        t.few_used += FEW
        return t.few_used - FEW
    if t.block_free:
        t.block_free -= 1
        return I64(block_free_at(t, t.block_free).number)
    t.block_used += PACKETS_KEPT
    return t.block_used - PACKETS_KEPT


@inlined
def give_cells(t: Any, e: Any) -> Any:
    """Give the cells of an entry's packets back: one, or a block."""
    if e.packets == 1:
        give_cell(t, I64(e.first_cell))
    elif e.packets <= FEW:
        few_free_at(t, t.few_free).number = e.first_cell
        t.few_free += 1
    else:
        block_free_at(t, t.block_free).number = e.first_cell
        t.block_free += 1


@inlined
def next_cell(t: Any, e: Any) -> Any:
    """The cell of an entry's next packet; they lie side by side and move where there is no room."""
    n = I64(e.packets)
    if n == 0:
        e.first_cell = take_cell(t)
    elif n in (1, FEW):
        block = take_block(t, n == 1)
        for k in range(n):
            copy_row(cell_at(t, block + k), cell_at(t, I64(e.first_cell) + k))
        give_cells(t, e)
        e.first_cell = block
    return I64(e.first_cell) + n


@inlined
def due(t: Any, e: Any, wait: Any) -> Any:
    """The second in which to look at an entry: its silence is over by then, if nothing is heard."""
    second = (e.last + t.silences[wait]) // SECOND + 1
    return max(min(second, t.second + SLOTS - 1), t.second + 1)


@inlined
def link(t: Any, i: Any, wait: Any, second: Any) -> Any:
    """Put an entry at the end of a slot of the wheel."""
    e = entry_at(t, i)
    slot = second & (SLOTS - 1)
    last = t.wheel[wait, slot, LAST]
    e.wait = wait
    e.slot = slot
    beside = neighbours_at(t, i)
    beside.before = last
    beside.after = 0
    if last:
        neighbours_at(t, last).after = i
    else:
        t.wheel[wait, slot, FIRST] = i
    t.wheel[wait, slot, LAST] = i
    t.waiting[wait] += 1


@inlined
def unlink(t: Any, i: Any) -> Any:
    """Take an entry out of the wheel."""
    e = entry_at(t, i)
    beside = neighbours_at(t, i)
    if beside.before:
        neighbours_at(t, beside.before).after = beside.after
    else:
        t.wheel[e.wait, e.slot, FIRST] = beside.after
    if beside.after:
        neighbours_at(t, beside.after).before = beside.before
    else:
        t.wheel[e.wait, e.slot, LAST] = beside.before
    t.waiting[e.wait] -= 1


@part
def free_name(t: Any, first: Any) -> Any:
    """Give a chain of name cells back."""
    cell = I64(first)
    while cell:
        following = I64(cell_at(t, cell).link)
        give_cell(t, cell)
        cell = following


@part
def free_buffer(t: Any, e: Any) -> Any:
    """Give the slot for first bytes back, if the entry has one."""
    if e.buffer:
        buffer_free_at(t, t.buffer_free).number = e.buffer
        t.buffer_free += 1
        e.buffer = 0


@part
def release(t: Any, i: Any) -> Any:
    """Free all that an entry holds beside its row; what is left knows the 5-tuple."""
    e = entry_at(t, i)
    if e.first_cell:
        give_cells(t, e)
    if e.name:
        free_name(t, e.name)
    free_buffer(t, e)
    if e.server:
        server_free_at(t, t.server_free).number = e.server
        t.server_free += 1
    e.first_cell = 0
    e.name = 0
    e.server = 0


@part
def forget(t: Any, i: Any) -> Any:
    """Take an entry out of the table."""
    release(t, i)
    unlink(t, i)
    e = entry_at(t, i)
    bucket = I64(e.hash) & t.mask
    j = I64(bucket_at(t, bucket).first)
    if j == i:
        bucket_at(t, bucket).first = e.chain
    else:
        while I64(entry_at(t, j).chain) != i:
            j = I64(entry_at(t, j).chain)
        entry_at(t, j).chain = e.chain
    e.wait = GONE
    entry_free_at(t, t.entry_free).number = i
    t.entry_free += 1
    t.live -= 1


@part
def open_entry(t: Any, row: Any, flow: Any, facts: Any, scanner: Any) -> Any:
    """A new entry for the SYN in `row`; there must be room. Returns its number."""
    if t.entry_free:
        t.entry_free -= 1
        i = I64(entry_free_at(t, t.entry_free).number)
    else:
        i = t.entry_used
        t.entry_used += 1
    t.live += 1
    e = entry_at(t, i)
    e.client_hi = row.src_hi
    e.client_lo = row.src_lo
    e.client_port = row.src_port
    e.server_hi = row.dst_hi
    e.server_lo = row.dst_lo
    e.server_port = row.dst_port
    e.start = row.ts
    e.last = row.ts
    e.isn = row.seq
    e.first_cell = 0
    e.high = 0
    e.server = 0
    e.name = 0
    e.buffer = 0
    e.facts = facts
    e.packets = 0
    e.marks = 0
    e.scanner = scanner
    e.duplicates = 0
    e.name_length = 0
    e.trigger = 0
    e.echoes = 0
    e.halvings = t.halvings
    bucket = flow & t.mask
    e.hash = flow
    e.chain = bucket_at(t, bucket).first
    bucket_at(t, bucket).first = i
    link(t, i, WAIT_SYN, due(t, e, WAIT_SYN))
    return i


@part
def take_server(t: Any, e: Any) -> Any:
    """The server's row of an entry, made at its first packet. Returns its number."""
    if e.server:
        return I64(e.server)
    if t.server_free:
        t.server_free -= 1
        v = I64(server_free_at(t, t.server_free).number)
    else:
        v = t.server_used
        t.server_used += 1
    answers = server_at(t, v)
    answers.facts = 0
    answers.acks_after = 0
    answers.recent = 0
    e.server = v
    return v


@part
def take_buffer(t: Any, e: Any) -> Any:
    """A slot where the entry's first bytes are put together; 0 if all are in use."""
    if e.buffer:
        return I64(e.buffer)
    if t.buffer_free:
        t.buffer_free -= 1
        b = I64(buffer_free_at(t, t.buffer_free).number)
    elif t.buffer_used < buffers(t).shape[0]:
        b = t.buffer_used
        t.buffer_used += 1
    else:
        return I64(0)
    ranges(t)[b, 0] = 0
    e.buffer = b
    return b


@part
def keep_name(t: Any, e: Any, data: Any, offset: Any, length: Any) -> Any:
    """Store a trigger name of an entry in cells."""
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
        cell_at(t, cell).link = 0
        if before:
            cell_at(t, before).link = cell
        else:
            e.name = cell
        before = cell
        at += NAME_BYTES
    e.name_length = length


@part
def whom_to_evict(t: Any) -> Any:
    """A judged entry if there is any, else the one of the first wait that would be over first."""
    for wait in range(4):
        if t.waiting[wait] == 0:
            continue
        for second in range(t.second + 1, t.second + SLOTS):
            i = I64(t.wheel[wait, second & (SLOTS - 1), FIRST])
            while i:
                later = due(t, entry_at(t, i), wait)
                if later <= second:
                    return i
                unlink(t, i)
                link(t, i, I64(wait), later)
                i = I64(t.wheel[wait, second & (SLOTS - 1), FIRST])
    return I64(0)
