"""The judge as a kernel: from an entry's cells to one row of CONNECTION.

The rules are those of `reference/verdict.py`, in the same order; read them there.
"""

from __future__ import annotations

from typing import Any

from halfopen.connections.extension import copy_piece, extended, packet_number
from halfopen.connections.first_packets import write_packets
from halfopen.connections.kept import (
    LATER,
    POST_PSH,
    POST_SYN,
    accepted_syn_payload,
    highest,
    is_answered,
    is_real_reset,
    is_retransmitting,
    packet,
    spread,
    stage_reached,
    unacknowledged,
)
from halfopen.connections.layout import FIRST_SCANNER, NAME_BYTES, NAME_START, WAIT_OPEN, Fact, Showed
from halfopen.connections.limits import STRAY_REACH
from halfopen.connections.numbers import ahead
from halfopen.connections.pools import (
    cell_at,
    counters,
    end_at,
    entry_at,
    extension_at,
    names,
    out_at,
    piece_at,
    text,
)
from halfopen.connections.rules import Acks, Tag
from halfopen.jit import I64, inlined, part
from halfopen.model import (
    NO_TIME,
    PACKETS_KEPT,
    UNKNOWN_DELTA,
    Counter,
    Flag,
    LeftOut,
    Relation,
    Stage,
)

SYN, RST, ACK = int(Flag.SYN), int(Flag.RST), int(Flag.ACK)
OPENER = int(Flag.FIN) | SYN | RST | ACK
REACH = STRAY_REACH

FACT_JUDGED = int(Fact.JUDGED)
FACT_REFUSED = int(Fact.REFUSED)
FACT_ROUTER = int(Fact.ICMP_ROUTER)
FACT_FIN = int(Fact.FIN)
FACT_SERVER_FIN = int(Fact.SERVER_FIN_FIRST)
FACT_BEYOND_SYN = int(Fact.BEYOND_SYN)
FACT_SEEN = int(Fact.SERVER_SEEN)
FACT_REUSED = int(Fact.REUSED)
FACT_SYN_PAYLOAD = int(Fact.SYN_PAYLOAD)

SHOWED_SPOKE = int(Showed.SPOKE)
SHOWED_FIN = int(Showed.FIN)
SHOWED_DIFFERENT = int(Showed.DIFFERENT_RSTS)
SHOWED_RESET = int(Showed.RESET)
SHOWED_GAVE_UP = int(Showed.GAVE_UP)

NO_MATCH, UNDECIDED_STAGE = int(Stage.no_match), int(Stage.undecided)
DECIDED, UNDECIDED, BROKE_OFF = int(LeftOut.decided), int(LeftOut.undecided), int(LeftOut.broke_off)
IN_WINDOW, BEHIND, AHEAD = int(Relation.in_window), int(Relation.behind_data), int(Relation.ahead)
SAME, DIFFER, DIFFER_ZERO = int(Acks.same), int(Acks.differ), int(Acks.differ_zero)
FIRST_LEFT_OUT_COUNTER = int(Counter.decided)  # the counters follow LeftOut in order

WAITED, AT_END, NEWS = I64(0), I64(1), I64(2)
REPLACED, EVICTED = I64(LeftOut.replaced), I64(LeftOut.evicted)
"""Why an entry is judged now: its silence was waited for, the capture ends (D1), something new came
after the tenth packet (D8), another SYN took its place (D3), the table was full."""

AT_ONCE = I64(0)
"""The silence of a connection that is judged without any."""


T_TIMEOUT, T_RESET, T_FIN = 1 << Tag.timeout, 1 << Tag.reset, 1 << Tag.fin
T_SINGLE_RST, T_MULTIPLE_RSTS = 1 << Tag.single_rst, 1 << Tag.multiple_rsts
T_SAME, T_SAME0 = 1 << Tag.acknumsame, 1 << Tag.acknumsame0
T_DIFF, T_DIFF0 = 1 << Tag.acknumdiff, 1 << Tag.acknumdiff0
T_SINGLE_RSTACK, T_MULTIPLE_RSTACKS = 1 << Tag.single_rstack, 1 << Tag.multiple_rstacks
T_BOTH_KINDS, T_SERVER_FIN = 1 << Tag.rst_and_rstacks, 1 << Tag.server_fin
T_ANSWERED, T_IDLE, T_RETRANSMITTING = 1 << Tag.answered, 1 << Tag.idle, 1 << Tag.retransmitting
T_REFUSED, T_SERVER_RESET = 1 << Tag.refused, 1 << Tag.server_reset
T_SERVER_CLOSED, T_FOREIGN = 1 << Tag.server_closed, 1 << Tag.foreign_rst
T_UNANSWERED, T_ICMP = 1 << Tag.unanswered, 1 << Tag.icmp_unreachable
T_STRAY, T_REUSE = 1 << Tag.stray_rst, 1 << Tag.port_reuse
T_SYN_AGAIN, T_SYN_PAYLOAD = 1 << Tag.syn_retransmitted, 1 << Tag.syn_payload


@part
def find_signature(t: Any, stage: Any, bare: Any, with_ack: Any, relation: Any) -> Any:
    """The one row of the table that fits, 0 if none does (D13)."""
    for k in range(t.signatures.shape[0]):
        s = t.signatures[k]
        if (
            s[1] == stage
            and s[2] <= bare
            and bare <= s[3]
            and s[4] <= with_ack
            and with_ack <= s[5]
            and (s[6] == 0 or s[6] == relation)
        ):
            return I64(s[0])
    return I64(0)


@part
def weigh_resets(t: Any, e: Any, n: Any, high: Any, accepted: Any, row: Any) -> Any:
    """Evidence of the resets into `row`; returns how the ack numbers of bare ones relate, and one."""
    ttl = I64(UNKNOWN_DELTA)
    ip_id = I64(UNKNOWN_DELTA)
    bare = I64(0)
    with_ack = I64(0)
    first = I64(-1)
    ack = I64(0)
    relation = I64(SAME)
    any_zero = False
    other = I64(0)
    newest = I64(0)
    data_after = I64(0)
    for k in range(n):
        c = packet(t, e, k)
        if is_real_reset(c, e.isn, high):
            if first < 0:
                first = k
                row.gap = max(c.ts - newest, 0)
            o = cell_at(t, other)
            d = I64(c.ttl) - I64(o.ttl)
            if ttl == UNKNOWN_DELTA or abs(d) > abs(ttl):
                ttl = d
            if c.ip_id and o.ip_id:
                d = ((I64(c.ip_id) - I64(o.ip_id) + 0x8000) & 0xFFFF) - 0x8000
                if ip_id == UNKNOWN_DELTA or abs(d) > abs(ip_id):
                    ip_id = d
            if c.flags & ACK:
                with_ack += 1
            else:
                if bare == 0:
                    ack = I64(c.ack)
                elif I64(c.ack) != ack:
                    relation = I64(DIFFER)
                if c.ack == 0:
                    any_zero = True
                bare += 1
        elif not c.flags & RST:
            other = packet_number(e, k)
            if first >= 0 and c.length:
                data_after += 1
        newest = max(newest, c.ts)
    if relation == DIFFER and any_zero:
        relation = I64(DIFFER_ZERO)
    row.ttl_delta = ttl
    row.ip_id_delta = ip_id
    row.resets = bare
    row.reset_acks = with_ack
    row.data_after_reset = data_after
    if first >= 0:
        c = packet(t, e, first)
        d = max(ahead(c.seq, e.isn) - highest(t, e, first, accepted), UNKNOWN_DELTA + 1)
        row.seq_delta = d
        row.relation = IN_WINDOW if d == 0 else (BEHIND if d < 0 else AHEAD)
    return relation, ack


@part
def reset_tags(bare: Any, with_ack: Any, relation: Any, ack: Any) -> Any:
    """Which kinds of resets came, and how the ack numbers of bare ones relate."""
    if bare and with_ack:
        return T_BOTH_KINDS
    if with_ack:
        return T_SINGLE_RSTACK if with_ack == 1 else T_MULTIPLE_RSTACKS
    if bare == 1:
        return T_SINGLE_RST
    if bare == 0:
        return 0
    if relation == SAME:
        return T_MULTIPLE_RSTS | (T_SAME if ack else T_SAME0)
    return T_MULTIPLE_RSTS | (T_DIFF0 if relation == DIFFER_ZERO else T_DIFF)


@inlined
def decide(t: Any, e: Any, n: Any, row: Any, silence: Any, how: Any) -> Any:
    """Stage, signature, tags and evidence into `row`; returns why it is left out, if it is."""
    accepted = accepted_syn_payload(t, e, n)
    spread(t, e, n, accepted)
    high = highest(t, e, n, accepted)
    reached = stage_reached(t, e, n)
    answered = is_answered(t, e, n)
    idle_timeout = t.idle_timeout
    facts = e.facts
    server = extension_at(t, e.extension)
    showed = I64(server.showed)

    tags = I64(server.scanner) << FIRST_SCANNER
    if facts & FACT_REUSED:
        tags |= T_REUSE
    if facts & FACT_SYN_PAYLOAD:
        tags |= T_SYN_PAYLOAD
    if answered:
        tags |= T_ANSWERED
    if facts & FACT_ROUTER:
        tags |= T_ICMP
    if not facts & (FACT_SEEN | FACT_BEYOND_SYN):
        tags |= T_UNANSWERED
    syns = I64(0)
    rsts = I64(0)
    for k in range(n):
        flags = packet(t, e, k).flags
        if flags & RST:
            rsts += 1
        elif flags & OPENER == SYN:
            syns += 1
    if syns > 1:
        tags |= T_SYN_AGAIN
    bare = I64(0)
    with_ack = I64(0)
    if rsts:
        relation, ack = weigh_resets(t, e, n, high, accepted, row)
        bare = I64(row.resets)
        with_ack = I64(row.reset_acks)
        tags |= reset_tags(bare, with_ack, relation, ack)
        if bare + with_ack < rsts:
            tags |= T_STRAY
    else:
        relation = I64(SAME)
    foreign = False
    if showed & SHOWED_DIFFERENT and showed & SHOWED_SPOKE and not t.partial:
        beyond = ahead(server.furthest_rst, server.end)
        if 0 < beyond < REACH:
            foreign = True
            tags |= T_FOREIGN
    row.tags = tags

    if facts & FACT_REFUSED:
        row.tags = tags | T_REFUSED
        return DECIDED
    if bare + with_ack or foreign:
        tags |= T_RESET
        if facts & FACT_FIN:
            tags |= T_FIN
        if facts & FACT_SERVER_FIN:
            tags |= T_SERVER_FIN
        if row.gap > idle_timeout:
            tags |= T_IDLE
        row.tags = tags
        row.stage = reached
        if bare + with_ack:
            row.signature = find_signature(t, reached, bare, with_ack, relation)
        return DECIDED
    if facts & FACT_FIN:
        return DECIDED
    if showed & SHOWED_RESET and (answered or not showed & SHOWED_GAVE_UP):
        row.tags = tags | T_SERVER_RESET
        return DECIDED
    retransmitting = how != NEWS and is_retransmitting(t, e, n)
    if n == PACKETS_KEPT and not retransmitting:
        return DECIDED
    if how != WAITED and silence <= idle_timeout:
        row.stage = UNDECIDED_STAGE
        return UNDECIDED
    if showed & SHOWED_FIN:
        for k in range(n):
            c = packet(t, e, k)
            if c.flags & ACK and not c.flags & RST and ahead(c.ack, server.fin_end) >= 0:
                row.tags = tags | T_SERVER_CLOSED
                return DECIDED
    if reached == LATER:
        return DECIDED
    if reached != POST_SYN:
        outstanding, never_repeated = False, False
        if not t.partial:
            outstanding, never_repeated = unacknowledged(t, e, n)
        if never_repeated:
            row.stage = UNDECIDED_STAGE
            return BROKE_OFF
        if (
            how == AT_END
            and reached == POST_PSH
            and answered
            and not outstanding
            and silence <= t.silences[WAIT_OPEN]
        ):
            row.stage = UNDECIDED_STAGE
            return UNDECIDED
    tags |= T_TIMEOUT
    if retransmitting:
        tags |= T_RETRANSMITTING
    row.tags = tags
    row.stage = reached
    row.gap = silence
    row.signature = find_signature(t, reached, bare, with_ack, relation)
    return DECIDED


@part
def write_name(t: Any, x: Any, row: Any) -> Any:
    """Copy the trigger name from its cells to the names of the batch."""
    row.name_offset = t.names_out
    row.name_length = x.name_length
    row.trigger = x.trigger
    cell = I64(x.name)
    left = I64(x.name_length)
    while left > 0:
        copy_piece(names(t), I64(t.names_out), text(t)[cell], NAME_START)
        t.names_out += min(NAME_BYTES, left)
        left -= NAME_BYTES
        cell = I64(piece_at(t, cell).link)


@part
def emit(t: Any, i: Any, silence: Any, how: Any) -> Any:
    """Judge entry `i` and write its row; replaced and evicted ones get no stage.

    The caller has seen to it that there is room for the row and for 255 bytes of name.
    """
    e = entry_at(t, i)
    x = extension_at(t, extended(t, e))
    server = end_at(t, e.server)
    row = out_at(t, t.rows_out)
    row.client_hi = e.client_hi
    row.client_lo = e.client_lo
    row.client_port = e.client_port
    row.server_hi = server.hi
    row.server_lo = server.lo
    row.server_port = server.port
    row.start = x.start
    row.end = e.last
    row.packets = e.packets
    row.duplicates = x.duplicates
    row.reset_echoes = x.echoes
    row.halvings = e.halvings
    row.gap = NO_TIME
    row.ttl_delta = UNKNOWN_DELTA
    row.ip_id_delta = UNKNOWN_DELTA
    row.seq_delta = UNKNOWN_DELTA
    row.relation = 0
    row.resets = 0
    row.reset_acks = 0
    row.data_after_reset = 0
    row.signature = 0
    row.stage = NO_MATCH
    why = decide(t, e, I64(e.packets), row, silence, how)
    if how >= REPLACED:
        why = how
        row.stage = UNDECIDED_STAGE
        row.signature = 0
    row.left_out = why
    write_name(t, x, row)
    row.packets_offset = t.packets_out
    if t.packets_wanted:
        write_packets(t, e, x)
    counters(t)[FIRST_LEFT_OUT_COUNTER + why] += 1
    e.facts |= FACT_JUDGED
    t.rows_out += 1
