"""What the server's side of a connection showed, as kernels (D9, D17)."""

from __future__ import annotations

from typing import Any

from halfopen.connections.copies import COPY, COPY_WITH_ID
from halfopen.connections.extension import extended
from halfopen.connections.kept import has_real_reset
from halfopen.connections.layout import (
    WAIT_ENDED,
    WAIT_JUDGED,
    WAIT_OPEN,
    WAIT_SYN,
    Fact,
    Showed,
)
from halfopen.connections.limits import STRAY_REACH
from halfopen.connections.numbers import ahead, print_of
from halfopen.connections.pools import counters, entry_at, extension_at
from halfopen.connections.table import due, link, unlink, wait_of
from halfopen.jit import I64, inlined, part
from halfopen.model import Counter, Flag, Trait

FIN, SYN, RST, ACK = int(Flag.FIN), int(Flag.SYN), int(Flag.RST), int(Flag.ACK)
JUDGED, REFUSED, ROUTER = int(Fact.JUDGED), int(Fact.REFUSED), int(Fact.ICMP_ROUTER)
EXTENDED = int(Fact.EXTENDED)
CLIENT_RST, CLIENT_FIN = int(Fact.CLIENT_RST), int(Fact.FIN)
SERVER_FIN_FIRST, BEYOND_SYN = int(Fact.SERVER_FIN_FIRST), int(Fact.BEYOND_SYN)
NOT_ONLY_SYN, SEEN = int(Fact.NOT_ONLY_SYN), int(Fact.SERVER_SEEN)
SPOKE, ACKED, REPEATED = int(Showed.SPOKE), int(Showed.ACKED), int(Showed.REPEATED)
SHOWED_FIN, SHOWED_RST = int(Showed.FIN), int(Showed.RST)
DIFFERENT, RESET, GAVE_UP = int(Showed.DIFFERENT_RSTS), int(Showed.RESET), int(Showed.GAVE_UP)
FROM_RESPONDER = int(Trait.FROM_RESPONDER)
C_DUPLICATES = int(Counter.duplicates)


@inlined
def rank(t: Any, i: Any) -> Any:
    """Let an entry wait for what it now has to wait for (D1)."""
    e = entry_at(t, i)
    if e.facts & JUDGED:
        wait = WAIT_JUDGED
    elif (
        e.facts & (CLIENT_FIN | REFUSED)
        or (e.facts & EXTENDED and extension_at(t, e.extension).showed & RESET)
        or has_real_reset(t, e)
    ):
        wait = WAIT_ENDED
    elif not e.facts & NOT_ONLY_SYN:
        wait = WAIT_SYN
    else:
        wait = WAIT_OPEN
    if wait != wait_of(e):
        unlink(t, i)
        link(t, i, wait, due(t, e, wait))


@part
def void_refusal(t: Any, e: Any) -> Any:
    """The client went on after a refused SYN: the refusal never was (D9)."""
    e.facts &= ~REFUSED
    extension_at(t, e.extension).showed &= ~(SHOWED_RST | GAVE_UP | DIFFERENT)


@inlined
def answer(t: Any, i: Any, row: Any) -> Any:
    """A packet of the server's side (D9, D17)."""
    e = entry_at(t, i)
    if e.facts & JUDGED:
        return
    answers = extension_at(t, extended(t, e))
    window = COPY_WITH_ID if row.ip_id else COPY
    mark = print_of(row)
    for k in range(2 - I64(answers.recent), 2):
        if answers.recent_print[k] == mark and abs(row.ts - answers.recent_ts[k]) <= window:
            counters(t)[C_DUPLICATES] += 1
            return
    answers.recent_print[0] = answers.recent_print[1]
    answers.recent_ts[0] = answers.recent_ts[1]
    answers.recent_print[1] = mark
    answers.recent_ts[1] = row.ts
    answers.recent = min(I64(answers.recent) + 1, 2)
    e.facts |= SEEN
    if (
        row.flags & ACK
        and not row.flags & RST
        and not 0 < ahead(row.ack, e.isn) <= I64(answers.high) + STRAY_REACH
    ):
        return  # of an older connection on these ports (D16)
    if row.flags & RST:
        if not answers.showed & SHOWED_RST:
            answers.showed |= SHOWED_RST
            answers.first_rst = row.seq
            answers.furthest_rst = row.seq
            if row.ts - e.last > t.idle_timeout:
                answers.showed |= GAVE_UP
        elif row.seq != answers.first_rst:
            answers.showed |= DIFFERENT
        if ahead(row.seq, answers.furthest_rst) > 0:
            answers.furthest_rst = row.seq
        if not answers.showed & SPOKE and not e.facts & BEYOND_SYN:
            e.facts |= REFUSED
        else:
            answers.showed |= RESET
    else:
        length = I64(row.payload_length)
        if row.flags & SYN or row.flags & FIN:
            length += 1
        end = (I64(row.seq) + length) & 0xFFFFFFFF
        if not answers.showed & SPOKE:
            answers.showed |= SPOKE
            answers.end = end
        else:
            if length and ahead(row.seq, answers.end) < 0:
                if not answers.showed & REPEATED or ahead(end, answers.repeated) > 0:
                    answers.repeated = end
                answers.showed |= REPEATED
            if ahead(end, answers.end) > 0:
                answers.end = end
        if row.flags & FIN and not row.flags & SYN:
            answers.showed |= SHOWED_FIN
            answers.fin_end = end
            if not e.facts & CLIENT_RST:
                e.facts |= SERVER_FIN_FIRST
        if row.flags & ACK:
            if not answers.showed & ACKED or ahead(row.ack, answers.acked) > 0:
                answers.acked = row.ack
            answers.showed |= ACKED
            if e.facts & CLIENT_RST:
                remember_ack(answers, row.ack)
    rank(t, i)


@part
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
def unreachable(t: Any, i: Any, row: Any) -> Any:
    """ICMP unreachable that quotes the SYN: from a router a tag, from the server a refusal (D9)."""
    e = entry_at(t, i)
    if e.facts & (JUDGED | BEYOND_SYN) or row.seq != e.isn:
        return
    if row.traits & FROM_RESPONDER:
        e.facts |= REFUSED | SEEN
        rank(t, i)
    else:
        e.facts |= ROUTER
