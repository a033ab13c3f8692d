"""Kernels of the servers' ends: which there are, each once, with how many entries have it."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfopen.connections.pools import end_at, end_bucket_at, end_free_at
from halfopen.jit import I64, inlined, part


@inlined
def end_hash(t: Any, hi: Any, lo: Any, port: Any) -> Any:
    """Hash of one end of a connection; its upper half is the better one."""
    x = (lo ^ t.seed) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ x >> np.uint64(32) ^ hi) * np.uint64(
        0xC2B2AE3D27D4EB4F
    )  # not hi + port: a client may choose both
    x = (x ^ x >> np.uint64(29)) + np.uint64(port) * np.uint64(0xFF51AFD7ED558CCD)
    return (x ^ x >> np.uint64(32)) * np.uint64(0xBF58476D1CE4E5B9)


@inlined
def bucket_of(t: Any, hi: Any, lo: Any, port: Any) -> Any:
    """Where an end is to be looked for."""
    return I64(end_hash(t, hi, lo, port) >> np.uint64(32)) & t.end_mask


@part
def grow_ends(t: Any) -> Any:
    """Double the buckets in use, as `table.grow`."""
    size = t.end_mask + 1
    if size >= t.end_buckets_length:
        return
    t.end_mask = 2 * size - 1
    for bucket in range(size):
        i = I64(end_bucket_at(t, bucket).first)
        end_bucket_at(t, bucket).first = 0
        while i:
            end = end_at(t, i)
            following = I64(end.chain)
            new = bucket_of(t, end.hi, end.lo, end.port)
            end.chain = end_bucket_at(t, new).first
            end_bucket_at(t, new).first = i
            i = following


@part
def take_end(t: Any, hi: Any, lo: Any, port: Any) -> Any:
    """The number of an end, for one entry more."""
    bucket = bucket_of(t, hi, lo, port)
    i = I64(end_bucket_at(t, bucket).first)
    while i:
        end = end_at(t, i)
        if end.lo == lo and end.port == port and end.hi == hi:
            end.users += 1
            return i
        i = I64(end.chain)
    if t.end_free:
        t.end_free -= 1
        i = I64(end_free_at(t, t.end_free).number)
    else:
        if t.end_used > t.end_mask:
            grow_ends(t)
            bucket = bucket_of(t, hi, lo, port)
        i = I64(t.end_used)
        t.end_used += 1
    end = end_at(t, i)
    end.hi = hi
    end.lo = lo
    end.port = port
    end.users = 1
    end.chain = end_bucket_at(t, bucket).first
    end_bucket_at(t, bucket).first = i
    return i


@part
def leave_end(t: Any, i: Any) -> Any:
    """One entry less has this end; the last one takes it along."""
    end = end_at(t, i)
    if end.users > 1:
        end.users -= 1
        return
    bucket = bucket_of(t, end.hi, end.lo, end.port)
    j = I64(end_bucket_at(t, bucket).first)
    if j == i:
        end_bucket_at(t, bucket).first = end.chain
    else:
        while I64(end_at(t, j).chain) != i:
            j = I64(end_at(t, j).chain)
        end_at(t, j).chain = end.chain
    end_free_at(t, t.end_free).number = i
    t.end_free += 1
