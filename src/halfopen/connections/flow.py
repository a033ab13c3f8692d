"""The flow kernel: packets in, final connections out.

The rules are those of `reference/tracker.py`, in the same order; read them there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from halfopen.connections.copies import is_copy
from halfopen.connections.extension import extended, next_cell, release
from halfopen.connections.final import (
    earliest,
    end_capture,
    fetch_entry,
    fetch_what_it_has,
    finish_entry,
    has_room,
    turn,
)
from halfopen.connections.first_bytes import take_first_bytes
from halfopen.connections.judge import AT_ONCE, EVICTED, NEWS, REPLACED, WAITED, emit
from halfopen.connections.kept import (
    accepted_syn_payload,
    has_real_reset,
    highest,
    is_real_reset,
    is_retransmitting,
    repeats,
)
from halfopen.connections.layout import COMING, FIRST_SCANNER, STATE, TOGETHER, WAIT_ENDED, WAIT_JUDGED, Fact
from halfopen.connections.numbers import ahead, bit_of, print_of
from halfopen.connections.pools import bucket_at, cell_at, counters, entry_at, extension_at, nets
from halfopen.connections.rules import Tag
from halfopen.connections.sample import in_sample, thin
from halfopen.connections.server_side import answer, rank, unreachable, void_refusal
from halfopen.connections.table import (
    find,
    forget,
    grow,
    half_of,
    hash_of,
    open_entry,
    wait_of,
    whom_to_evict,
)
from halfopen.jit import I64, inlined, kernel, part, prefetch
from halfopen.model import MAPPED_PREFIX, PACKET, PACKETS_KEPT, Counter, Flag, Kind, Option, Trait

FIN, SYN, RST, ACK = int(Flag.FIN), int(Flag.SYN), int(Flag.RST), int(Flag.ACK)
OPENER = FIN | SYN | RST | ACK
JUDGED, REFUSED, REUSED = int(Fact.JUDGED), int(Fact.REFUSED), int(Fact.REUSED)
ANY_RST, CLIENT_RST, CLIENT_FIN = int(Fact.ANY_RST), int(Fact.CLIENT_RST), int(Fact.FIN)
BEYOND_SYN, NOT_ONLY_SYN = int(Fact.BEYOND_SYN), int(Fact.NOT_ONLY_SYN)
SYN_PAYLOAD = int(Fact.SYN_PAYLOAD)
UNREACHABLE, BREAK = int(Kind.UNREACHABLE), int(Kind.BREAK)
IPV6, DONT_FRAGMENT = int(Trait.IPV6), int(Trait.DONT_FRAGMENT)
WINDOWS_LIKE = int(Option.MSS | Option.SACK_PERMITTED | Option.SCALE | Option.SCALE_8)
C_NO_SYN, C_LATE = int(Counter.no_syn), int(Counter.late)
C_NOT_SERVER, C_NOT_SAMPLED = int(Counter.not_server), int(Counter.not_sampled)
C_CONNECTIONS = int(Counter.connections)

BEGIN = I64(0)

MAPPED = MAPPED_PREFIX >> 32


@inlined
def keep(t: Any, i: Any, row: Any, data: Any, mark: Any) -> Any:
    """One more of the first ten packets, known again by its `mark` (`print_of`)."""
    e = entry_at(t, i)
    x = extension_at(t, extended(t, e))
    c = cell_at(t, next_cell(t, e))
    c.ts = row.ts
    c.seq = row.seq
    c.ack = row.ack
    c.length = row.payload_length
    c.window = row.window
    c.print = mark
    c.ip_id = row.ip_id
    c.flags = row.flags
    c.ttl = row.ttl
    e.packets += 1
    x.marks |= np.uint64(1) << bit_of(mark)
    if row.flags & RST:
        if e.facts & CLIENT_RST and not row.flags & ACK:
            for k in range(x.acks_after):
                if x.ack_after[k] == row.seq:
                    x.echoes += 1
        e.facts |= ANY_RST | NOT_ONLY_SYN
        n = I64(e.packets)
        if is_real_reset(c, e.isn, highest(t, e, n, accepted_syn_payload(t, e, n))):
            e.facts |= CLIENT_RST
    elif row.flags & SYN:
        if row.payload_length:
            e.facts |= SYN_PAYLOAD
    else:
        e.facts |= BEYOND_SYN | NOT_ONLY_SYN
        if row.flags & FIN:
            e.facts |= CLIENT_FIN
        if e.facts & REFUSED:
            void_refusal(t, e)
    if not row.flags & RST:
        x.high = max(I64(x.high), ahead(row.seq, e.isn) + I64(row.payload_length) + 1)
    take_first_bytes(t, e, x, row, data)
    if e.packets == PACKETS_KEPT and (
        e.facts & CLIENT_FIN or has_real_reset(t, e) or not is_retransmitting(t, e, I64(e.packets))
    ):
        emit(t, i, AT_ONCE, WAITED)
        release(t, e)
    rank(t, i)


@inlined
def inbound(t: Any, i: Any, row: Any, data: Any, mark: Any) -> Any:
    """A packet of the client on a live 5-tuple; `mark` as in `keep`."""
    e = entry_at(t, i)
    if e.facts & JUDGED:
        e.last = max(e.last, row.ts)
        counters(t)[C_LATE] += 1
        return
    extended(t, e)  # while `last` is the time of the SYN
    e.last = max(e.last, row.ts)
    if e.packets == PACKETS_KEPT:
        counters(t)[C_LATE] += 1
        n = I64(e.packets)
        high = highest(t, e, n, accepted_syn_payload(t, e, n))
        if not repeats(row.flags, row.seq, row.payload_length, e.isn, high):
            emit(t, i, AT_ONCE, NEWS)
            release(t, e)
        rank(t, i)
    else:
        keep(t, i, row, data, mark)


@part
def is_server(t: Any, hi: Any, lo: Any, port: Any) -> Any:
    """Whether an end is one of the servers asked for."""
    if t.ports_count and not t.ports[port]:
        return False
    if t.nets_count == 0:
        return True
    mapped = np.uint64(hi == 0 and lo >> np.uint64(32) == MAPPED)
    for k in range(t.nets_count):
        if (
            mapped == nets(t)[k, 4]
            and hi & nets(t)[k, 2] == nets(t)[k, 0]
            and lo & nets(t)[k, 3] == nets(t)[k, 1]
        ):
            return True
    return False


@part
def scanner_tags(row: Any) -> Any:
    """Which scanner's hand the first SYN shows, as bits from `FIRST_SCANNER` on (docs/method.md, scanners)."""
    tags = I64(0)
    if row.ip_id == 54321 and row.window == 65535:
        tags |= 1 << Z_MAP
    if row.traits & IPV6:
        return tags
    if row.window == 65535 and not row.traits & DONT_FRAGMENT and row.options == WINDOWS_LIKE:
        tags |= 1 << Z_MAP_NEW
    address = I64(row.dst_lo) & 0xFFFFFFFF
    if 1024 <= row.window <= 1025 and I64(row.ip_id) == (address ^ I64(row.dst_port) ^ I64(row.seq)) & 0xFFFF:
        tags |= 1 << MASSCAN
    if I64(row.seq) == address:
        tags |= 1 << MIRAI
    return tags


Z_MAP, Z_MAP_NEW, MASSCAN, MIRAI = (
    int(tag) - FIRST_SCANNER for tag in (Tag.zmap, Tag.zmap_new, Tag.masscan, Tag.mirai)
)


@part
def replace(t: Any, i: Any, ts: Any) -> Any:
    """Another SYN takes the 5-tuple (D3)."""
    e = entry_at(t, i)
    if not e.facts & JUDGED:
        silence = ts - e.last
        if silence > t.idle_timeout or wait_of(e) == WAIT_ENDED:
            emit(t, i, max(silence, AT_ONCE), WAITED)
        else:
            emit(t, i, AT_ONCE, REPLACED)
    forget(t, i)


@part
def open_connection(t: Any, row: Any, data: Any, flow: Any, facts: Any) -> Any:
    """A SYN opens a connection if that is in the sample; where the table is full another one goes."""
    if not in_sample(t, row.src_hi, row.src_lo, row.src_port):
        counters(t)[C_NOT_SAMPLED] += 1
        return
    if t.live >= t.limit:
        i = whom_to_evict(t)
        if not entry_at(t, i).facts & JUDGED:
            emit(t, i, AT_ONCE, EVICTED)
        forget(t, i)
    counters(t)[C_CONNECTIONS] += 1
    if t.live * 2 > t.mask:
        grow(t)
    i = open_entry(t, row, flow, facts, scanner_tags(row))
    if row.payload_length:
        entry_at(t, i).packets = 0
        keep(t, i, row, data, print_of(row))


@inlined
def segment(t: Any, row: Any, data: Any, flow: Any) -> Any:
    """One TCP packet, or an ICMP unreachable that quotes one; `flow` is the hash of its 5-tuple."""
    i, from_client = find(t, row, flow)
    if i and t.clock - entry_at(t, i).last > t.silences[wait_of(entry_at(t, i))]:
        finish_entry(t, i, t.silences[wait_of(entry_at(t, i))], WAITED)
        i = I64(0)
    if row.kind == UNREACHABLE:
        if i and from_client:
            unreachable(t, i, row)
        return
    opens = row.flags & OPENER == SYN
    facts = I64(0)
    if i:
        e = entry_at(t, i)
        if from_client:
            mark = print_of(row)
            if not e.facts & JUDGED and is_copy(t, e, row, mark):
                return
            if not opens or row.seq == e.isn:
                inbound(t, i, row, data, mark)
                return
            facts = I64(REUSED)
        elif (
            not opens
            or WAIT_JUDGED < wait_of(e) < WAIT_ENDED
            or not is_server(t, row.dst_hi, row.dst_lo, row.dst_port)
        ):
            answer(t, i, row)
            return
        replace(t, i, row.ts)
    if not is_server(t, row.dst_hi, row.dst_lo, row.dst_port):
        if not opens and is_server(t, row.src_hi, row.src_lo, row.src_port):
            counters(t)[C_NO_SYN] += 1
        else:
            counters(t)[C_NOT_SERVER] += 1
    elif opens:
        open_connection(t, row, data, flow, facts)
    else:
        counters(t)[C_NO_SYN] += 1


@inlined
def look_ahead(t: Any, rows: Any, at: Any, end: Any) -> Any:
    """Which of rows ``at`` to ``end`` are this table's, into `coming`, with their buckets on the way.

    Beside each its hash and the clock at it: others move the clock, too. Returns how many, and the
    clock behind them. No branch here depends on whose a packet is: it would be guessed wrong half the time.
    """
    n = I64(0)
    clock = I64(t.clock)
    for k in range(at, end):
        row = rows[k]
        if row.kind == BREAK:
            t.coming[n] = k
            t.clocks[n] = clock
            n += 1
            clock = I64(0)
            continue
        clock = max(clock, row.ts)
        flow = hash_of(t, row)
        prefetch(bucket_at(t, flow & t.mask), BEGIN)
        t.coming[n] = k
        t.flows[n] = flow
        t.clocks[n] = clock
        n += I64(half_of(row) & t.parted == t.share)
    return n, clock


@inlined
def fetch_entries(t: Any, begin: Any, end: Any) -> Any:
    """Have the entries of coming packets on their way."""
    for k in range(begin, end):
        fetch_entry(t, bucket_at(t, t.flows[k] & t.mask).first)


@inlined
def fetch_rest(t: Any, begin: Any, end: Any) -> Any:
    """Have what those entries have on its way."""
    for k in range(begin, end):
        fetch_what_it_has(t, bucket_at(t, t.flows[k] & t.mask).first)


@part
def take(t: Any, rows: Any, data: Any, at: Any, end: Any) -> Any:
    """Take the packets of rows ``at`` to ``end``. Returns how far it came."""
    n, clock = look_ahead(t, rows, at, end)
    fetch_entries(t, BEGIN, min(2 * TOGETHER, n))
    fetch_rest(t, BEGIN, min(TOGETHER, n))
    for k in range(n):
        if k & (TOGETHER - 1) == 0:
            fetch_entries(t, k + 2 * TOGETHER, min(k + 3 * TOGETHER, n))
            fetch_rest(t, k + TOGETHER, min(k + 2 * TOGETHER, n))
        place = I64(t.coming[k])
        t.clock = t.clocks[k]  # before anything ends this call: the next one begins at this row
        if not has_room(t):
            return place
        row = rows[place]
        if row.kind == BREAK:
            if not end_capture(t, row.ts):
                return place
            continue
        if t.clock >= t.turns_at and not turn(t):
            return place
        segment(t, row, data, t.flows[k])
    t.clock = clock
    return end


@kernel(STATE, PACKET, np.uint8, int)
def advance(state: Any, rows: Any, data: Any, at: Any) -> Any:
    """Take packets from row `at` on. Returns how far it came: less than all if the output is full."""
    t = state[0]
    size = I64(rows.shape[0])
    while at < size:
        end = min(at + COMING, size)
        at = take(t, rows, data, at, end)
        if at < end:
            break
    return at


@kernel(STATE, int)
def pass_time(state: Any, now: Any) -> Any:
    """It is `now`, and nothing came: make final whose silence is over; 0 if the output must be emptied first."""
    t = state[0]
    t.clock = max(t.clock, now)
    return I64(t.clock < t.turns_at or turn(t))


@kernel(STATE, int)
def end_all(state: Any, clock: Any) -> Any:
    """`end_capture` for callers from Python; 0 if the output must be emptied first."""
    return I64(end_capture(state[0], clock))


@kernel(STATE)
def thin_out(state: Any) -> Any:
    """`thin` for callers from Python. Returns how many left."""
    return thin(state[0])


@kernel(STATE)
def earliest_start(state: Any) -> Any:
    """`earliest` for callers from Python."""
    return earliest(state[0])
