"""What was seen of a connection's kept packets, as kernels: from an entry's cells to rows of FIRST_PACKET."""

from __future__ import annotations

from typing import Any

from halfopen.connections.kept import packet
from halfopen.connections.numbers import ahead
from halfopen.connections.pools import first_packet_at
from halfopen.jit import I64, inlined, part
from halfopen.model import UNKNOWN_DELTA, Flag

RST, ACK = int(Flag.RST), int(Flag.ACK)
LONGEST = I64(0xFFFF)


@inlined
def acknowledges(c: Any) -> Any:
    """Whether a packet has an ack number: by its flag, or as a RST that carries one without."""
    return c.flags & ACK or (c.flags & RST and c.ack)


@inlined
def first_ack(t: Any, e: Any, n: Any) -> Any:
    """The ack number that counts as 1: the first one of a packet that is no RST, else the first."""
    of_reset = I64(-1)
    for k in range(n):
        c = packet(t, e, k)
        if acknowledges(c):
            if not c.flags & RST:
                return I64(c.ack)
            if of_reset < 0:
                of_reset = I64(c.ack)
    return of_reset


@part
def write_packets(t: Any, e: Any, x: Any) -> Any:
    """The kept packets of an entry with its extension, in order of arrival; there is room for ten of every row."""
    n = I64(e.packets)
    first = first_ack(t, e, n)
    for k in range(n):
        c = packet(t, e, k)
        p = first_packet_at(t, t.packets_out)
        p.time = c.ts - x.start
        p.seq = ahead(c.seq, e.isn)
        p.ack = max(ahead(c.ack, first - 1), UNKNOWN_DELTA + 1) if acknowledges(c) else UNKNOWN_DELTA
        p.length = min(I64(c.length), LONGEST)
        p.window = c.window
        p.ip_id = c.ip_id
        p.flags = c.flags
        p.ttl = c.ttl
        t.packets_out += 1
