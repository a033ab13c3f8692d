"""Kernels of the flow table: finding, opening and forgetting entries, and who has been silent longest.

Row 0 of every pool is never used, so that 0 can mean none. The numbers of freed rows lie on stacks
and are used again before fresh ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from halfopen.connections.ends import end_hash, leave_end, take_end
from halfopen.connections.extension import folded, release
from halfopen.connections.layout import GONE, WAIT_SYN
from halfopen.connections.limits import SLOTS
from halfopen.connections.numbers import print_of
from halfopen.connections.pools import bucket_at, end_at, entry_at, entry_free_at
from halfopen.jit import I64, inlined, part
from halfopen.model import SECOND

FIRST, LAST = 0, 1


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
            server = end_at(t, e.server)
            if (
                e.client_lo == row.src_lo
                and server.lo == row.dst_lo
                and e.client_port == row.src_port
                and server.port == row.dst_port
                and e.client_hi == row.src_hi
                and server.hi == row.dst_hi
            ):
                return i, True
            if (
                e.client_lo == row.dst_lo
                and server.lo == row.src_lo
                and e.client_port == row.dst_port
                and server.port == row.src_port
                and e.client_hi == row.dst_hi
                and server.hi == row.src_hi
            ):
                return i, False
        i = I64(e.chain)
    return I64(0), False


@inlined
def due(t: Any, e: Any, wait: Any) -> Any:
    """The second in which to look at an entry: its silence is over by then, if nothing is heard."""
    second = (e.last + t.silences[wait]) // SECOND + 1
    return max(min(second, t.second + SLOTS - 1), t.second + 1)


@inlined
def wait_of(e: Any) -> Any:
    """What an entry waits for."""
    return I64(e.place) // SLOTS


@inlined
def link(t: Any, i: Any, wait: Any, second: Any) -> Any:
    """Put an entry at the end of a slot of the wheel."""
    e = entry_at(t, i)
    place = wait * SLOTS + (second & (SLOTS - 1))
    last = t.wheel[place, LAST]
    e.place = place
    e.before = last
    e.after = 0
    if last:
        entry_at(t, last).after = i
    else:
        t.wheel[place, FIRST] = i
    t.wheel[place, LAST] = i
    t.waiting[wait] += 1


@inlined
def unlink(t: Any, i: Any) -> Any:
    """Take an entry out of the wheel."""
    e = entry_at(t, i)
    if e.before:
        entry_at(t, e.before).after = e.after
    else:
        t.wheel[e.place, FIRST] = e.after
    if e.after:
        entry_at(t, e.after).before = e.before
    else:
        t.wheel[e.place, LAST] = e.before
    t.waiting[wait_of(e)] -= 1


@part
def forget(t: Any, i: Any) -> Any:
    """Take an entry out of the table."""
    e = entry_at(t, i)
    release(t, e)
    unlink(t, i)
    leave_end(t, I64(e.server))
    bucket = I64(e.hash) & t.mask
    j = I64(bucket_at(t, bucket).first)
    if j == i:
        bucket_at(t, bucket).first = e.chain
    else:
        while I64(entry_at(t, j).chain) != i:
            j = I64(entry_at(t, j).chain)
        entry_at(t, j).chain = e.chain
    e.place = GONE * SLOTS
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
    e.server = take_end(t, row.dst_hi, row.dst_lo, row.dst_port)
    e.last = row.ts
    e.isn = row.seq
    e.extension = print_of(row)
    e.later = folded(row, scanner)
    e.facts = facts
    e.packets = 1
    e.halvings = t.halvings
    bucket = flow & t.mask
    e.hash = flow
    e.chain = bucket_at(t, bucket).first
    bucket_at(t, bucket).first = i
    link(t, i, WAIT_SYN, due(t, e, WAIT_SYN))
    return i


@part
def whom_to_evict(t: Any) -> Any:
    """A judged entry if there is any, else the one of the first wait that would be over first."""
    for wait in range(4):
        if t.waiting[wait] == 0:
            continue
        for second in range(t.second + 1, t.second + SLOTS):
            place = wait * SLOTS + (second & (SLOTS - 1))
            i = I64(t.wheel[place, FIRST])
            while i:
                later = due(t, entry_at(t, i), wait)
                if later <= second:
                    return i
                unlink(t, i)
                link(t, i, I64(wait), later)
                i = I64(t.wheel[place, FIRST])
    return I64(0)
