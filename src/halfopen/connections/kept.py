"""What the kept packets of an entry say as a set, as kernels (D4, D5, D8, D16, D17)."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfopen.connections.extension import packet_number
from halfopen.connections.layout import Fact, Showed
from halfopen.connections.limits import STRAY_REACH
from halfopen.connections.numbers import ahead
from halfopen.connections.pools import cell_at, extension_at
from halfopen.jit import I64, inlined, part
from halfopen.model import PACKETS_KEPT, Flag, Stage

FIN, SYN, RST, PSH, ACK = (int(f) for f in (Flag.FIN, Flag.SYN, Flag.RST, Flag.PSH, Flag.ACK))
REACH = STRAY_REACH
FACT_ANY_RST, FACT_SYN_PAYLOAD = int(Fact.ANY_RST), int(Fact.SYN_PAYLOAD)
SHOWED_SPOKE, SHOWED_ACKED, SHOWED_REPEATED = int(Showed.SPOKE), int(Showed.ACKED), int(Showed.REPEATED)
POST_SYN, POST_ACK, POST_PSH, LATER = (
    int(s) for s in (Stage.post_syn, Stage.post_ack, Stage.post_psh, Stage.later_in_flow)
)


@inlined
def packet(t: Any, e: Any, k: Any) -> Any:
    """The cell of an entry's packet `k`."""
    return cell_at(t, packet_number(e, k))


@part
def accepted_syn_payload(t: Any, e: Any, n: Any) -> Any:
    """Length of SYN data that a later packet starts behind, else 0 (D5)."""
    length = I64(0)
    if e.facts & FACT_SYN_PAYLOAD:
        for k in range(n):
            c = packet(t, e, k)
            if c.flags & SYN and not c.flags & RST:
                length = max(length, I64(c.length))
        for k in range(n):
            c = packet(t, e, k)
            if not c.flags & (SYN | RST) and ahead(c.seq, e.isn) > length:
                return length
    return I64(0)


@inlined
def end_of(c: Any, isn: Any, accepted: Any) -> Any:
    """Relative sequence number behind a packet that is no RST."""
    if c.flags & SYN:
        return I64(1) + I64(c.length if accepted else 0)
    return ahead(c.seq, isn) + I64(c.length) + I64(c.flags & FIN)


@inlined
def highest(t: Any, e: Any, n: Any, accepted: Any) -> Any:
    """Relative sequence number that the client would send next, by its first `n` packets."""
    high = I64(0)
    for k in range(n):
        c = packet(t, e, k)
        if not c.flags & RST:
            high = max(high, end_of(c, e.isn, accepted))
    return high


@inlined
def is_real_reset(c: Any, isn: Any, high: Any) -> Any:
    """A RST that is not stray (D16)."""
    if not c.flags & RST:
        return False
    relative = ahead(c.seq, isn)
    return 0 <= relative <= high + REACH


@part
def has_real_reset(t: Any, e: Any) -> Any:
    """Whether any RST kept so far belongs to the connection."""
    if not e.facts & FACT_ANY_RST:
        return False
    n = I64(e.packets)
    high = highest(t, e, n, accepted_syn_payload(t, e, n))
    for k in range(n):  # noqa: SIM110 - kernels know no generators
        if is_real_reset(packet(t, e, k), e.isn, high):
            return True
    return False


@part
def repeats(flags: Any, seq: Any, length: Any, isn: Any, high: Any) -> Any:
    """A SYN again, or nothing but bytes already seen (D8); `high` of the packets before."""
    if flags & RST:
        return False
    if flags & SYN:
        return True
    if flags & FIN or length == 0:
        return False
    return ahead(seq, isn) + I64(length) <= high


@part
def is_retransmitting(t: Any, e: Any, n: Any) -> Any:
    """The last five of ten packets are repeats and span more than the idle timeout (D8)."""
    if n < PACKETS_KEPT:
        return False
    first = packet(t, e, PACKETS_KEPT - 5).ts
    last = packet(t, e, PACKETS_KEPT - 1).ts
    if last - first <= t.idle_timeout:
        return False
    accepted = accepted_syn_payload(t, e, n)
    for k in range(PACKETS_KEPT - 5, PACKETS_KEPT):
        c = packet(t, e, k)
        if not repeats(c.flags, c.seq, c.length, e.isn, highest(t, e, k, accepted)):
            return False
    return True


@inlined
def spread(t: Any, e: Any, n: Any, accepted: Any) -> Any:
    """Start and end of every packet's data into `starts` and `ends`, 0 and 0 if none (D5)."""
    for k in range(n):
        c = packet(t, e, k)
        start = I64(0)
        end = I64(0)
        syn = c.flags & SYN
        if not c.flags & RST and c.length and (not syn or accepted):
            start = ahead(c.seq, e.isn)
            if syn:
                start += 1
            end = start + I64(c.length)
            start = max(start, 1)
            if end <= start:
                start = I64(0)
                end = I64(0)
        t.starts[k] = start
        t.ends[k] = end


@inlined
def stage_reached(t: Any, e: Any, n: Any) -> Any:
    """How far the client came (D5). Needs `spread`."""
    pushes = I64(0)
    last_push = I64(0)
    data_end = I64(0)
    empty_push = False
    acknowledged = False
    for k in range(n):
        c = packet(t, e, k)
        end = t.ends[k]
        data_end = max(data_end, end)
        if end and c.flags & (PSH | SYN):
            known = False
            for j in range(pushes):
                if t.pushed[j] == end:
                    known = True
            if not known:
                t.pushed[pushes] = end
                pushes += 1
                last_push = max(last_push, end)
        if not c.flags & (RST | SYN):
            if c.flags & ACK:
                acknowledged = True
            if c.flags & PSH and c.length == 0 and not c.flags & FIN:
                empty_push = True
    if data_end > last_push:
        pushes += 1
    if pushes == 0 and empty_push:
        pushes = 1
    if pushes > 1:
        return LATER
    if pushes:
        return POST_PSH
    return POST_ACK if acknowledged else POST_SYN


@inlined
def is_answered(t: Any, e: Any, n: Any) -> Any:
    """After its last new data the client acknowledged more than before, be it by its RST+ACK (D1).

    Needs `spread`.
    """
    data_end = I64(0)
    for k in range(n):
        data_end = max(data_end, t.ends[k])
    if data_end == 0:
        return False
    found = False
    before = np.uint32(0)
    for k in range(n):
        c = packet(t, e, k)
        if t.ends[k] == data_end and c.flags & ACK and (not found or ahead(c.ack, before) < 0):
            before = np.uint32(c.ack)
            found = True
    if not found:
        return False
    for k in range(n):
        c = packet(t, e, k)
        if c.flags & ACK and ahead(c.ack, before) > 0:
            return True
    return False


@part
def unacknowledged(t: Any, e: Any, n: Any) -> Any:
    """Whether either side has something outstanding, and whether any of it was never repeated (D17)."""
    outstanding = False
    never_repeated = False
    answers = extension_at(t, e.extension)
    if answers.showed & SHOWED_SPOKE:
        all_behind = True
        all_behind_repeat = answers.showed & SHOWED_REPEATED != 0
        for k in range(n):
            c = packet(t, e, k)
            if c.flags & ACK and not c.flags & RST:
                if ahead(answers.end, c.ack) <= 0:
                    all_behind = False
                if ahead(answers.repeated, c.ack) <= 0:
                    all_behind_repeat = False
        if all_behind:
            outstanding = True
            if not all_behind_repeat:
                never_repeated = True
    if answers.showed & SHOWED_ACKED:
        acked = ahead(answers.acked, e.isn)
        data_end = I64(0)
        repeated_end = I64(0)
        for k in range(n):
            end = t.ends[k]
            if end == 0:
                continue
            data_end = max(data_end, end)
            for j in range(k):
                if t.ends[j] and t.starts[k] < t.ends[j] and t.starts[j] < end:
                    repeated_end = max(repeated_end, min(end, t.ends[j]))
        if data_end > acked:
            outstanding = True
            if repeated_end <= acked:
                never_repeated = True
    return outstanding, never_repeated
