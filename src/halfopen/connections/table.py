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
    WAIT_JUDGED,
    WAIT_SYN,
    Fact,
    Table,
)
from halfopen.jit import I64, inlined, part

JUDGED = int(Fact.JUDGED)
TRIGGER_DONE = int(Fact.TRIGGER_DONE)
OLDEST, NEWEST, SILENCE = 0, 1, 2


@inlined
def ahead(a: Any, b: Any) -> Any:
    """How far sequence number `a` lies ahead of `b` (negative: behind), modulo 2^32 (RFC 1982)."""
    distance = (I64(a) - I64(b)) & 0xFFFFFFFF
    if distance >= 0x80000000:
        distance -= 0x100000000
    return distance


@inlined
def mix(x: Any) -> Any:
    """Spread the bits of a 64-bit number (the finaliser of MurmurHash3)."""
    x ^= x >> np.uint64(33)
    x *= np.uint64(0xFF51AFD7ED558CCD)
    x ^= x >> np.uint64(29)
    return x


@inlined
def bucket_of(t: Table, row: Any) -> Any:
    """Bucket of a packet's 5-tuple, the same for both directions."""
    s = t.state[0]
    source = (row.src_lo ^ s.seed) * np.uint64(0x9E3779B97F4A7C15) ^ (row.src_hi + s.seed) * np.uint64(0xC2B2AE3D27D4EB4F)
    target = (row.dst_lo ^ s.seed) * np.uint64(0x9E3779B97F4A7C15) ^ (row.dst_hi + s.seed) * np.uint64(0xC2B2AE3D27D4EB4F)
    source ^= np.uint64(row.src_port) * np.uint64(0x165667B19E3779F9)
    target ^= np.uint64(row.dst_port) * np.uint64(0x165667B19E3779F9)
    return I64(mix(mix(source) + mix(target)) & s.mask)


@inlined
def find(t: Table, row: Any, bucket: Any) -> Any:
    """Entry of a packet's 5-tuple and whether the packet comes from the client; (0, False) if none."""
    entries = t.entries
    i = I64(t.buckets[bucket])
    while i:
        e = entries[i]
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
    t.cells[cell].next = 0
    return cell


@inlined
def link_end(t: Table, i: Any, wait: Any) -> Any:
    """Put an entry last among those that wait for the same silence."""
    e = t.entries[i]
    newest = t.waits[wait, NEWEST]
    e.wait = wait
    e.older = newest
    e.newer = 0
    if newest:
        t.entries[newest].newer = i
    else:
        t.waits[wait, OLDEST] = i
    t.waits[wait, NEWEST] = i


@inlined
def unlink(t: Table, i: Any) -> Any:
    """Take an entry out of its wait."""
    e = t.entries[i]
    if e.older:
        t.entries[e.older].newer = e.newer
    else:
        t.waits[e.wait, OLDEST] = e.newer
    if e.newer:
        t.entries[e.newer].older = e.older
    else:
        t.waits[e.wait, NEWEST] = e.older


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
    free_cells(t, e.first_cell)
    free_name(t, e.name)
    free_buffer(t, e)
    if e.server:
        s = t.state[0]
        t.servers[e.server].end = s.free_server
        s.free_server = I64(e.server)
    e.first_cell = 0
    e.last_cell = 0
    e.name = 0
    e.server = 0


@part
def forget(t: Table, i: Any) -> Any:
    """Take an entry out of the table."""
    s = t.state[0]
    release(t, i)
    unlink(t, i)
    e = t.entries[i]
    bucket = I64(e.bucket)
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
def open_entry(t: Table, row: Any, bucket: Any, facts: Any, scanner: Any) -> Any:
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
    e.first_cell = 0
    e.last_cell = 0
    e.server = 0
    e.name = 0
    e.buffer = 0
    e.facts = facts
    e.packets = 0
    e.scanner = scanner
    e.duplicates = 0
    e.name_length = 0
    e.trigger = 0
    e.echoes = 0
    e.bucket = bucket
    e.chain = t.buckets[bucket]
    t.buckets[bucket] = i
    link_end(t, i, WAIT_SYN)
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
def oldest_silent(t: Table) -> Any:
    """Whom to evict: a judged entry if there is any, else the one silent longest."""
    if t.waits[WAIT_JUDGED, OLDEST]:
        return t.waits[WAIT_JUDGED, OLDEST]
    found = I64(0)
    for wait in range(1, 4):
        i = t.waits[wait, OLDEST]
        if i and (found == 0 or t.entries[i].last < t.entries[found].last):
            found = i
    return found

