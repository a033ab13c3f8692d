"""Kernels of the flow table: finding, opening and forgetting entries, and who has been silent longest.

Row 0 of every pool is never used, so that 0 can mean none. Freed rows are linked through the
first number of the row and used again before fresh ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from halfopen.connections.layout import (
    NAME_BYTES,
    NAME_LINK,
    WAIT_SYN,
    Fact,
    Table,
)
from halfopen.connections.limits import SLOTS
from halfopen.jit import I64, inlined, part
from halfopen.model import SECOND

JUDGED = int(Fact.JUDGED)
TRIGGER_DONE = int(Fact.TRIGGER_DONE)
FIRST, LAST = 0, 1


@inlined
def ahead(a: Any, b: Any) -> Any:
    """How far sequence number `a` lies ahead of `b` (negative: behind), modulo 2^32 (RFC 1982)."""
    distance = (I64(a) - I64(b)) & 0xFFFFFFFF
    if distance >= 0x80000000:
        distance -= 0x100000000
    return distance


@inlined
def mix(x: Any) -> Any:
    """Spread the bits of a 64-bit number (one round of MurmurHash3's finaliser)."""
    x ^= x >> np.uint64(32)
    x *= np.uint64(0xFF51AFD7ED558CCD)
    return x ^ x >> np.uint64(32)


@inlined
def hash_of(t: Table, row: Any) -> Any:
    """32-bit hash of a packet's 5-tuple, the same for both directions."""
    s = t.state[0]
    source = (row.src_lo ^ s.seed) * np.uint64(0x9E3779B97F4A7C15) ^ row.src_hi + s.seed
    target = (row.dst_lo ^ s.seed) * np.uint64(0x9E3779B97F4A7C15) ^ row.dst_hi + s.seed
    source ^= np.uint64(row.src_port) * np.uint64(0x165667B19E3779F9)
    target ^= np.uint64(row.dst_port) * np.uint64(0x165667B19E3779F9)
    return I64(mix(mix(source) + mix(target)) & np.uint64(0xFFFFFFFF))


@part
def grow(t: Table) -> Any:
    """Double the buckets in use: every chain is parted by the next bit of its hashes."""
    s = t.state[0]
    bit = s.mask + 1
    if bit >= t.buckets.shape[0]:
        return
    for bucket in range(bit):
        i = I64(t.buckets[bucket])
        t.buckets[bucket] = 0
        while i:
            e = t.entries[i]
            following = I64(e.chain)
            new = bucket + (I64(e.hash) & bit)
            e.chain = t.buckets[new]
            t.buckets[new] = i
            i = following
    s.mask = bit + s.mask


@inlined
def find(t: Table, row: Any, mark: Any) -> Any:
    """Entry of a packet's 5-tuple and whether the packet comes from the client; (0, False) if none."""
    entries = t.entries
    i = I64(t.buckets[mark & t.state[0].mask])
    while i:
        e = entries[i]
        if I64(e.hash) == mark:
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
def take_cell(t: Table) -> Any:
    """A free cell. There are always enough: the pool is sized by the connections."""
    s = t.state[0]
    cell = s.free_cell
    if cell:
        s.free_cell = I64(t.cells[cell].next)
    else:
        cell = s.used_cells
        s.used_cells += 1
    return cell


@inlined
def due(t: Table, e: Any, wait: Any) -> Any:
    """The second in which to look at an entry: its silence is over by then, if nothing is heard."""
    s = t.state[0]
    second = (e.last + t.silences[wait]) // SECOND + 1
    return max(min(second, s.second + SLOTS - 1), s.second + 1)


@inlined
def link(t: Table, i: Any, wait: Any, second: Any) -> Any:
    """Put an entry at the end of a slot of the wheel."""
    e = t.entries[i]
    slot = second & (SLOTS - 1)
    last = t.wheel[wait, slot, LAST]
    e.wait = wait
    e.slot = slot
    e.before = last
    e.after = 0
    if last:
        t.entries[last].after = i
    else:
        t.wheel[wait, slot, FIRST] = i
    t.wheel[wait, slot, LAST] = i
    t.waiting[wait] += 1


@inlined
def unlink(t: Table, i: Any) -> Any:
    """Take an entry out of the wheel."""
    e = t.entries[i]
    if e.before:
        t.entries[e.before].after = e.after
    else:
        t.wheel[e.wait, e.slot, FIRST] = e.after
    if e.after:
        t.entries[e.after].before = e.before
    else:
        t.wheel[e.wait, e.slot, LAST] = e.before
    t.waiting[e.wait] -= 1


@inlined
def free_cells(t: Table, first: Any) -> Any:
    """Give a chain of packet cells back."""
    s = t.state[0]
    cell = I64(first)
    while cell:
        following = I64(t.cells[cell].next)
        t.cells[cell].next = s.free_cell
        s.free_cell = cell
        cell = following


@inlined
def free_name(t: Table, first: Any) -> Any:
    """Give a chain of name cells back."""
    s = t.state[0]
    cell = I64(first)
    while cell:
        following = I64(0)
        for k in range(NAME_LINK):
            following |= I64(t.text[cell, k]) << (8 * k)
        t.cells[cell].next = s.free_cell
        s.free_cell = cell
        cell = following


@inlined
def free_buffer(t: Table, e: Any) -> Any:
    """Give the slot for first bytes back, if the entry has one."""
    if e.buffer:
        s = t.state[0]
        t.ranges[e.buffer, 1] = s.free_buffer
        s.free_buffer = I64(e.buffer)
        e.buffer = 0


@inlined
def release(t: Table, i: Any) -> Any:
    """Free all that an entry holds beside its row; what is left knows the 5-tuple."""
    e = t.entries[i]
    free_cells(t, e.newest_cell)
    free_name(t, e.name)
    free_buffer(t, e)
    if e.server:
        s = t.state[0]
        t.servers[e.server].end = s.free_server
        s.free_server = I64(e.server)
    e.newest_cell = 0
    e.name = 0
    e.server = 0


@part
def forget(t: Table, i: Any) -> Any:
    """Take an entry out of the table."""
    s = t.state[0]
    release(t, i)
    unlink(t, i)
    e = t.entries[i]
    bucket = I64(e.hash) & s.mask
    j = I64(t.buckets[bucket])
    if j == i:
        t.buckets[bucket] = e.chain
    else:
        while I64(t.entries[j].chain) != i:
            j = I64(t.entries[j].chain)
        t.entries[j].chain = e.chain
    e.chain = s.free_entry
    s.free_entry = i
    s.live -= 1


@inlined
def open_entry(t: Table, row: Any, mark: Any, facts: Any, scanner: Any) -> Any:
    """A new entry for the SYN in `row`; there must be room. Returns its number."""
    s = t.state[0]
    i = s.free_entry
    if i:
        s.free_entry = I64(t.entries[i].chain)
    else:
        i = s.used_entries
        s.used_entries += 1
    s.live += 1
    e = t.entries[i]
    e.client_hi = row.src_hi
    e.client_lo = row.src_lo
    e.client_port = row.src_port
    e.server_hi = row.dst_hi
    e.server_lo = row.dst_lo
    e.server_port = row.dst_port
    e.start = row.ts
    e.last = row.ts
    e.isn = row.seq
    e.newest_cell = 0
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
    bucket = mark & s.mask
    e.hash = mark
    e.chain = t.buckets[bucket]
    t.buckets[bucket] = i
    link(t, i, WAIT_SYN, due(t, e, WAIT_SYN))
    return i


@inlined
def take_server(t: Table, e: Any) -> Any:
    """The server's row of an entry, made at its first packet. Returns its number."""
    if e.server:
        return I64(e.server)
    s = t.state[0]
    v = s.free_server
    if v:
        s.free_server = I64(t.servers[v].end)
    else:
        v = s.used_servers
        s.used_servers += 1
    answers = t.servers[v]
    answers.facts = 0
    answers.acks_after = 0
    answers.recent = 0
    e.server = v
    return v


@part
def take_buffer(t: Table, e: Any) -> Any:
    """A slot where the entry's first bytes are put together; 0 if all are in use."""
    if e.buffer:
        return I64(e.buffer)
    s = t.state[0]
    b = s.free_buffer
    if b:
        s.free_buffer = t.ranges[b, 1]
    elif s.used_buffers < t.buffers.shape[0]:
        b = s.used_buffers
        s.used_buffers += 1
    else:
        return I64(0)
    t.ranges[b, 0] = 0
    e.buffer = b
    return b


@part
def keep_name(t: Table, e: Any, data: Any, offset: Any, length: Any) -> Any:
    """Store a trigger name of an entry in cells."""
    before = I64(0)
    at = I64(0)
    while at < length:
        cell = take_cell(t)
        for k in range(NAME_LINK):
            t.text[cell, k] = 0
        for k in range(min(NAME_BYTES, length - at)):
            t.text[cell, NAME_LINK + k] = data[offset + at + k]
        if before:
            for k in range(NAME_LINK):
                t.text[before, k] = (cell >> (8 * k)) & 0xFF
        else:
            e.name = cell
        before = cell
        at += NAME_BYTES
    e.name_length = length


@part
def whom_to_evict(t: Table) -> Any:
    """A judged entry if there is any, else the one of the first wait that would be over first."""
    s = t.state[0]
    for wait in range(4):
        if t.waiting[wait] == 0:
            continue
        for second in range(s.second + 1, s.second + SLOTS):
            i = I64(t.wheel[wait, second & (SLOTS - 1), FIRST])
            while i:
                later = due(t, t.entries[i], wait)
                if later <= second:
                    return i
                unlink(t, i)
                link(t, i, I64(wait), later)
                i = I64(t.wheel[wait, second & (SLOTS - 1), FIRST])
    return I64(0)
