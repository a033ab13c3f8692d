"""Which connections are in the sample, and who leaves it when it is made smaller: kernels."""

from __future__ import annotations

from typing import Any

from halfopen.connections.layout import GONE, TOGETHER, Fact
from halfopen.connections.pools import bucket_at, counters, entry_at
from halfopen.connections.table import forget, wait_of
from halfopen.jit import I64, inlined, part, prefetch
from halfopen.model import Counter
from halfopen.sampling import WHOLE, sample_hash

JUDGED = int(Fact.JUDGED)
C_UNSAMPLED = int(Counter.unsampled)
EVERYBODY = I64(WHOLE)
BEGIN = I64(0)


@inlined
def in_sample(t: Any, high: Any, low: Any, port: Any) -> Any:
    """Whether a client's connections are in the sample that the table holds."""
    return t.threshold == EVERYBODY or sample_hash(t.key[0], t.key[1], high, low, port) < t.threshold


@inlined
def leaves(t: Any, i: Any) -> Any:
    """Whether an entry is in the table and no longer in the sample."""
    e = entry_at(t, i)
    return wait_of(e) != GONE and not in_sample(t, e.client_hi, e.client_lo, e.client_port)


@part
def thin(t: Any) -> Any:
    """The sample was made smaller: who is no longer in it leaves without a verdict. Returns how many."""
    left = I64(t.live)
    size = I64(t.entry_used)
    for i in range(1, size):
        if i + TOGETHER < size and leaves(t, i + TOGETHER):
            prefetch(entry_at(t, entry_at(t, i + TOGETHER).before), BEGIN)
            prefetch(entry_at(t, entry_at(t, i + TOGETHER).after), BEGIN)
            prefetch(bucket_at(t, I64(entry_at(t, i + TOGETHER).hash) & t.mask), BEGIN)
        e = entry_at(t, i)
        if leaves(t, i):
            if not e.facts & JUDGED:
                counters(t)[C_UNSAMPLED] += 1
            forget(t, i)
        else:
            e.halvings = max(e.halvings, t.halvings)
    return left - t.live
