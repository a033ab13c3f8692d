"""The flow kernel: packets in, final connections out.

The rules are those of `reference/tracker.py`, in the same order; read them there. What differs is
how seldom the silent are looked for (`SWEEP_EVERY`): whether a silence is over is asked again
whenever an entry is met, so that this changes when a row comes out and never what it says.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from halfopen.connections.judge import (
    AT_END,
    AT_ONCE,
    EVICTED,
    NEWS,
    REPLACED,
    WAITED,
    accepted_syn_payload,
    emit,
    gather,
    has_real_reset,
    highest,
    is_retransmitting,
    repeats,
)
from halfopen.connections.layout import (
    OUT_NAMES,
    OUT_ROWS,
    WAIT_ENDED,
    WAIT_JUDGED,
    WAIT_OPEN,
    WAIT_SYN,
    Fact,
    Showed,
    Table,
)
from halfopen.connections.rules import Tag
from halfopen.connections.table import (
    ahead,
    bucket_of,
    find,
    forget,
    free_buffer,
    keep_name,
    link_end,
    mix,
    oldest_silent,
    open_entry,
    release,
    take_buffer,
    take_cell,
    take_server,
    unlink,
)
from halfopen.connections.trigger import FOUND, MORE, find_trigger
from halfopen.connections.trigger import LIMIT as FIRST_BYTES
from halfopen.jit import I64, inlined, kernel, part
from halfopen.model import MAPPED_PREFIX, PACKETS_KEPT, SECOND, Counter, Flag, Kind, Option, Trait

FIN, SYN, RST, ACK = int(Flag.FIN), int(Flag.SYN), int(Flag.RST), int(Flag.ACK)
OPENER = FIN | SYN | RST | ACK
COPY, COPY_WITH_ID = SECOND // 200, SECOND // 10

JUDGED, REFUSED, ROUTER = int(Fact.JUDGED), int(Fact.REFUSED), int(Fact.ICMP_ROUTER)
CLIENT_RST, CLIENT_FIN, TRIGGER_DONE = int(Fact.CLIENT_RST), int(Fact.FIN), int(Fact.TRIGGER_DONE)
SERVER_FIN_FIRST, BEYOND_SYN = int(Fact.SERVER_FIN_FIRST), int(Fact.BEYOND_SYN)
NOT_ONLY_SYN, SEEN, REUSED = int(Fact.NOT_ONLY_SYN), int(Fact.SERVER_SEEN), int(Fact.REUSED)
SYN_PAYLOAD = int(Fact.SYN_PAYLOAD)

SPOKE, ACKED, REPEATED = int(Showed.SPOKE), int(Showed.ACKED), int(Showed.REPEATED)
SHOWED_FIN, SHOWED_RST = int(Showed.FIN), int(Showed.RST)
DIFFERENT, RESET, GAVE_UP = int(Showed.DIFFERENT_RSTS), int(Showed.RESET), int(Showed.GAVE_UP)

UNREACHABLE, BREAK = int(Kind.UNREACHABLE), int(Kind.BREAK)
IPV6, DONT_FRAGMENT = int(Trait.IPV6), int(Trait.DONT_FRAGMENT)
FROM_RESPONDER = int(Trait.FROM_RESPONDER)
WINDOWS_LIKE = int(Option.MSS | Option.SACK_PERMITTED | Option.SCALE | Option.SCALE_8)

C_DUPLICATES, C_NO_SYN, C_LATE = int(Counter.duplicates), int(Counter.no_syn), int(Counter.late)
C_NOT_SERVER, C_CONNECTIONS = int(Counter.not_server), int(Counter.connections)
C_TRIGGER = int(Counter.trigger_dropped)

MAPPED = MAPPED_PREFIX >> 32
SWEEP_EVERY = 64
ROOM_ROWS = 4
"""Rows that one packet can make final, and then some; `ROOM_NAMES` is the same in name bytes."""
ROOM_NAMES = ROOM_ROWS * 255


@inlined
def has_room(t: Table) -> Any:
    """Whether the output takes what one packet can make final."""
    s = t.state[0]
    return s.out + ROOM_ROWS <= OUT_ROWS and s.names + ROOM_NAMES <= OUT_NAMES


@inlined
def finish_entry(t: Table, i: Any, silence: Any, how: Any) -> Any:
    """Judge an entry unless that was done, and forget it."""
    if not t.entries[i].facts & JUDGED:
        emit(t, i, silence, how)
    forget(t, i)


@part
def sweep(t: Table) -> Any:
    """Make final whom the clock has left behind, while there is room."""
    s = t.state[0]
    for wait in range(4):
        silence = t.waits[wait, 2]
        i = t.waits[wait, 0]
        while i and s.clock - t.entries[i].last > silence and has_room(t):
            finish_entry(t, i, silence, WAITED)
            i = t.waits[wait, 0]


@inlined
def rank(t: Table, i: Any) -> Any:
    """Put an entry among those that wait for the same silence (D1)."""
    e = t.entries[i]
    if e.facts & JUDGED:
        wait = WAIT_JUDGED
    elif (
        e.facts & (CLIENT_FIN | REFUSED)
        or (e.server and t.servers[e.server].facts & RESET)
        or has_real_reset(t, e)
    ):
        wait = WAIT_ENDED
    elif not e.facts & NOT_ONLY_SYN:
        wait = WAIT_SYN
    else:
        wait = WAIT_OPEN
    if wait != e.wait:
        unlink(t, i)
        link_end(t, i, wait)


@inlined
def touch(t: Table, i: Any) -> Any:
    """The client was heard: last in its wait, whichever that is now."""
    unlink(t, i)
    link_end(t, i, I64(t.entries[i].wait))
    rank(t, i)


@inlined
def print_of(row: Any) -> Any:
    """Hash of what else two copies share: window and options (D14)."""
    return np.uint32(mix(np.uint64(row.options_hash) << np.uint64(16) | np.uint64(row.window)) & np.uint64(0xFFFFFFFF))


@inlined
def full_print(row: Any) -> Any:
    """Hash of all that two copies of a server's packet share but the IP-ID (D14)."""
    numbers = np.uint64(row.seq) << np.uint64(32) | np.uint64(row.ack)
    shape = np.uint64(row.payload_length) << np.uint64(32) | np.uint64(print_of(row))
    return mix(mix(numbers) + shape) ^ np.uint64(row.flags)


@inlined
def is_copy(t: Table, i: Any, row: Any) -> Any:
    """The same packet recorded twice, by the kept ones (D14); counted."""
    e = t.entries[i]
    window = COPY_WITH_ID if row.ip_id else COPY
    mark = print_of(row)
    cell = I64(e.first_cell)
    while cell:
        c = t.cells[cell]
        if (
            c.seq == row.seq
            and c.ack == row.ack
            and c.flags == row.flags
            and c.length == row.payload_length
            and c.ip_id == row.ip_id
            and c.print == mark
            and abs(row.ts - c.ts) <= window
        ):
            if row.flags & RST and row.ip_id == 0 and e.duplicates == 0:
                return False
            e.duplicates += 1
            t.counters[C_DUPLICATES] += 1
            return True
        cell = I64(c.next)
    return False


@part
def cover(t: Table, b: int, start: Any, end: Any) -> Any:
    """Note that bytes start..end of a slot are there. Returns how many stand at its beginning."""
    count = t.ranges[b, 0]
    t.ranges[b, 2 + 2 * count] = start
    t.ranges[b, 3 + 2 * count] = end
    count += 1
    t.ranges[b, 0] = count
    reach = I64(0)
    grown = True
    while grown:
        grown = False
        for k in range(count):
            if t.ranges[b, 2 + 2 * k] <= reach < t.ranges[b, 3 + 2 * k]:
                reach = t.ranges[b, 3 + 2 * k]
                grown = True
    return reach


@inlined
def take_first_bytes(t: Table, e: Any, row: Any, data: Any) -> Any:
    """Look for a name in the client's first bytes, put together where they came in pieces."""
    if e.facts & TRIGGER_DONE or row.flags & RST or row.payload_captured == 0:
        return
    begin = I64(row.payload_offset)
    length = I64(row.payload_captured)
    offset = ahead(row.seq, e.isn) - 1
    if row.flags & SYN:
        offset += 1
    if offset < 0:
        begin -= offset
        length += offset
        offset = I64(0)
    length = min(length, FIRST_BYTES - offset)
    if length <= 0:
        return
    if offset == 0 and e.buffer == 0:
        status, kind, at, size = find_trigger(data, begin, length)
        if status == FOUND:
            keep_name(t, e, data, at, size)
            e.trigger = kind
        if status != MORE:
            e.facts |= TRIGGER_DONE
            return
    b = take_buffer(t, e)
    if b == 0:
        e.facts |= TRIGGER_DONE
        t.counters[C_TRIGGER] += 1
        return
    for k in range(length):
        t.buffers[b, offset + k] = data[begin + k]
    reach = cover(t, b, offset, offset + length)
    status, kind, at, size = find_trigger(t.buffers[b], AT_ONCE, reach)
    if status == FOUND:
        keep_name(t, e, t.buffers[b], at, size)
        e.trigger = kind
    if status != MORE:
        e.facts |= TRIGGER_DONE
        free_buffer(t, e)


@part
def void_refusal(t: Table, e: Any) -> Any:
    """The client went on after a refused SYN: the refusal never was (D9)."""
    e.facts &= ~REFUSED
    if e.server:
        t.servers[e.server].facts &= ~(SHOWED_RST | GAVE_UP | DIFFERENT)


@inlined
def keep(t: Table, i: Any, row: Any, data: Any) -> Any:
    """One more of the first ten packets."""
    e = t.entries[i]
    cell = take_cell(t)
    c = t.cells[cell]
    c.ts = row.ts
    c.seq = row.seq
    c.ack = row.ack
    c.length = row.payload_length
    c.print = print_of(row)
    c.ip_id = row.ip_id
    c.flags = row.flags
    c.ttl = row.ttl
    if e.last_cell:
        t.cells[e.last_cell].next = cell
    else:
        e.first_cell = cell
    e.last_cell = cell
    e.packets += 1
    if row.flags & RST:
        if e.facts & CLIENT_RST and not row.flags & ACK and e.server:
            answers = t.servers[e.server]
            for k in range(answers.acks_after):
                if answers.ack_after[k] == row.seq:
                    e.echoes += 1
        e.facts |= CLIENT_RST | NOT_ONLY_SYN
    elif row.flags & SYN:
        if row.payload_length:
            e.facts |= SYN_PAYLOAD
    else:
        e.facts |= BEYOND_SYN | NOT_ONLY_SYN
        if row.flags & FIN:
            e.facts |= CLIENT_FIN
        if e.facts & REFUSED:
            void_refusal(t, e)
    take_first_bytes(t, e, row, data)
    if e.packets == PACKETS_KEPT and (
        e.facts & CLIENT_FIN or has_real_reset(t, e) or not is_retransmitting(t, e, gather(t, e))
    ):
        emit(t, i, AT_ONCE, WAITED)
        release(t, i)
    touch(t, i)


@inlined
def inbound(t: Table, i: Any, row: Any, data: Any) -> Any:
    """A packet of the client on a live 5-tuple."""
    e = t.entries[i]
    e.last = max(e.last, row.ts)
    if e.facts & JUDGED:
        t.counters[C_LATE] += 1
        touch(t, i)
    elif e.packets == PACKETS_KEPT:
        t.counters[C_LATE] += 1
        n = gather(t, e)
        high = highest(t, e, n, accepted_syn_payload(t, e, n))
        if not row_repeats(row, e.isn, high):
            emit(t, i, AT_ONCE, NEWS)
            release(t, i)
        touch(t, i)
    else:
        keep(t, i, row, data)


@inlined
def row_repeats(row: Any, isn: Any, high: Any) -> Any:
    """`judge.repeats` for a packet that has no cell."""
    if row.flags & RST:
        return False
    if row.flags & SYN:
        return True
    if row.flags & FIN or row.payload_length == 0:
        return False
    return ahead(row.seq, isn) + I64(row.payload_length) <= high


@inlined
def answer(t: Table, i: Any, row: Any) -> Any:
    """A packet of the server's side (D9, D17)."""
    e = t.entries[i]
    if e.facts & JUDGED:
        return
    answers = t.servers[take_server(t, e)]
    window = COPY_WITH_ID if row.ip_id else COPY
    mark = full_print(row)
    for k in range(2 - I64(answers.recent), 2):
        if (
            answers.recent_print[k] == mark
            and answers.recent_id[k] == row.ip_id
            and abs(row.ts - answers.recent_ts[k]) <= window
        ):
            t.counters[C_DUPLICATES] += 1
            return
    answers.recent_print[0] = answers.recent_print[1]
    answers.recent_id[0] = answers.recent_id[1]
    answers.recent_ts[0] = answers.recent_ts[1]
    answers.recent_print[1] = mark
    answers.recent_id[1] = row.ip_id
    answers.recent_ts[1] = row.ts
    answers.recent = min(I64(answers.recent) + 1, 2)
    e.facts |= SEEN
    if row.flags & RST:
        if not answers.facts & SHOWED_RST:
            answers.facts |= SHOWED_RST
            answers.first_rst = row.seq
            answers.furthest_rst = row.seq
            if row.ts - e.last > t.state[0].idle_timeout:
                answers.facts |= GAVE_UP
        elif row.seq != answers.first_rst:
            answers.facts |= DIFFERENT
        if ahead(row.seq, answers.furthest_rst) > 0:
            answers.furthest_rst = row.seq
        if not answers.facts & SPOKE and not e.facts & BEYOND_SYN:
            e.facts |= REFUSED
        else:
            answers.facts |= RESET
    else:
        length = I64(row.payload_length)
        if row.flags & SYN:
            length += 1
        elif row.flags & FIN:
            length += 1
        end = (I64(row.seq) + length) & 0xFFFFFFFF
        if not answers.facts & SPOKE:
            answers.facts |= SPOKE
            answers.end = end
        else:
            if length and ahead(row.seq, answers.end) < 0:
                if not answers.facts & REPEATED or ahead(end, answers.repeated) > 0:
                    answers.repeated = end
                answers.facts |= REPEATED
            if ahead(end, answers.end) > 0:
                answers.end = end
        if row.flags & FIN and not row.flags & SYN:
            answers.facts |= SHOWED_FIN
            answers.fin_end = end
            if not e.facts & CLIENT_RST:
                e.facts |= SERVER_FIN_FIRST
        if row.flags & ACK:
            if not answers.facts & ACKED or ahead(row.ack, answers.acked) > 0:
                answers.acked = row.ack
            answers.facts |= ACKED
            if e.facts & CLIENT_RST:
                remember_ack(answers, row.ack)
    rank(t, i)


@inlined
def remember_ack(answers: Any, ack: Any) -> Any:
    """Keep the last two different ack numbers that the server sent after the first RST (D13)."""
    for k in range(answers.acks_after):
        if answers.ack_after[k] == ack:
            return
    if answers.acks_after == 2:
        answers.ack_after[0] = answers.ack_after[1]
        answers.ack_after[1] = ack
    else:
        answers.ack_after[answers.acks_after] = ack
        answers.acks_after += 1


@part
def unreachable(t: Table, i: Any, row: Any) -> Any:
    """ICMP unreachable that quotes the SYN: from a router a tag, from the server a refusal (D9)."""
    e = t.entries[i]
    if e.facts & (JUDGED | BEYOND_SYN) or row.seq != e.isn:
        return
    if row.traits & FROM_RESPONDER:
        e.facts |= REFUSED | SEEN
        rank(t, i)
    else:
        e.facts |= ROUTER


@inlined
def is_server(t: Table, hi: Any, lo: Any, port: Any) -> Any:
    """Whether an end is one of the servers asked for."""
    s = t.state[0]
    if s.ports and not t.ports[port]:
        return False
    if s.nets == 0:
        return True
    mapped = np.uint64(hi == 0 and lo >> np.uint64(32) == MAPPED)
    for k in range(s.nets):
        if mapped == t.nets[k, 4] and hi & t.nets[k, 2] == t.nets[k, 0] and lo & t.nets[k, 3] == t.nets[k, 1]:
            return True
    return False


@inlined
def scanner_tags(row: Any) -> Any:
    """Which scanner's hand the first SYN shows, as tag bits (docs/method.md, scanners)."""
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


Z_MAP, Z_MAP_NEW, MASSCAN, MIRAI = int(Tag.zmap), int(Tag.zmap_new), int(Tag.masscan), int(Tag.mirai)


@part
def replace(t: Table, i: Any, ts: Any) -> Any:
    """Another SYN takes the 5-tuple (D3)."""
    e = t.entries[i]
    if not e.facts & JUDGED:
        silence = ts - e.last
        if silence > t.state[0].idle_timeout or e.wait == WAIT_ENDED:
            emit(t, i, max(silence, AT_ONCE), WAITED)
        else:
            emit(t, i, AT_ONCE, REPLACED)
    forget(t, i)


@inlined
def open_connection(t: Table, row: Any, data: Any, bucket: Any, facts: Any) -> Any:
    """A SYN opens a connection; where the table is full another one goes."""
    s = t.state[0]
    if s.live >= s.limit:
        sweep(t)
    if s.live >= s.limit:
        i = oldest_silent(t)
        if not t.entries[i].facts & JUDGED:
            emit(t, i, AT_ONCE, EVICTED)
        forget(t, i)
    t.counters[C_CONNECTIONS] += 1
    keep(t, open_entry(t, row, bucket, facts, scanner_tags(row)), row, data)


@inlined
def segment(t: Table, row: Any, data: Any) -> Any:
    """One TCP packet, or an ICMP unreachable that quotes one."""
    s = t.state[0]
    bucket = bucket_of(t, row)
    i, from_client = find(t, row, bucket)
    if i and s.clock - t.entries[i].last > t.waits[t.entries[i].wait, 2]:
        finish_entry(t, i, t.waits[t.entries[i].wait, 2], WAITED)
        i = I64(0)
    if row.kind == UNREACHABLE:
        if i and from_client:
            unreachable(t, i, row)
        return
    opens = row.flags & OPENER == SYN
    facts = I64(0)
    if i:
        e = t.entries[i]
        if from_client:
            if not e.facts & JUDGED and is_copy(t, i, row):
                return
            if not opens or row.seq == e.isn:
                inbound(t, i, row, data)
                return
            facts = I64(REUSED)
        elif not opens or e.wait > WAIT_ENDED or not is_server(t, row.dst_hi, row.dst_lo, row.dst_port):
            answer(t, i, row)
            return
        replace(t, i, row.ts)
    if not is_server(t, row.dst_hi, row.dst_lo, row.dst_port):
        if not opens and is_server(t, row.src_hi, row.src_lo, row.src_port):
            t.counters[C_NO_SYN] += 1
        else:
            t.counters[C_NOT_SERVER] += 1
    elif opens:
        open_connection(t, row, data, bucket, facts)
    else:
        t.counters[C_NO_SYN] += 1


@kernel
def end_all(t: Table, clock: Any) -> Any:
    """The capture ends at `clock`: make all final. False if the output must be emptied first."""
    s = t.state[0]
    s.clock = max(s.clock, clock)
    sweep(t)
    for wait in range(4):
        i = t.waits[wait, 0]
        while i:
            if not has_room(t):
                return False
            silence = s.clock - t.entries[i].last
            if silence > t.waits[wait, 2]:
                finish_entry(t, i, t.waits[wait, 2], WAITED)
            else:
                finish_entry(t, i, silence, AT_END)
            i = t.waits[wait, 0]
    s.clock = 0
    return True


@kernel
def advance(t: Table, rows: Any, data: Any, at: Any) -> Any:
    """Take packets from row `at` on. Returns how far it came: less than all if the output is full."""
    s = t.state[0]
    for k in range(at, rows.shape[0]):
        if not has_room(t):
            return k
        row = rows[k]
        if row.kind == BREAK:
            if not end_all(t, row.ts):
                return k
            continue
        s.clock = max(s.clock, row.ts)
        segment(t, row, data)
        s.sweep -= 1
        if s.sweep < 0:
            s.sweep = SWEEP_EVERY
            sweep(t)
    return rows.shape[0]
