"""From the bytes of one frame to one PACKET row: what every container format and link type shares.

Headers are read where they stand and payload is never touched. Sources: RFC 791, RFC 8200,
RFC 9293, RFC 792 and RFC 4443.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from halfopen.capture.bytes import u8, u16, u32, u64
from halfopen.capture.links import lacking, network_layer
from halfopen.capture.tunnels import carries_tcp
from halfopen.jit import inlined
from halfopen.model import MAPPED_PREFIX, Bytes, Counter, Kind, Option, Rows, Trait

TCP: Final = int(Counter.tcp)
QUOTED: Final = 100
"""Outcome of `parse` beside the counters: a row for a quoted packet was made, count `tunnelled`."""

_NOT_TCP: Final = int(Counter.not_tcp)
_FRAGMENT: Final = int(Counter.fragment)
_CUT_SHORT: Final = int(Counter.cut_short)
_MALFORMED: Final = int(Counter.malformed)
_TUNNELLED: Final = int(Counter.tunnelled)

_KIND_TCP: Final = int(Kind.TCP)
_KIND_UNREACHABLE: Final = int(Kind.UNREACHABLE)
KIND_BREAK: Final = int(Kind.BREAK)
_IPV6: Final = int(Trait.IPV6)
_DONT_FRAGMENT: Final = int(Trait.DONT_FRAGMENT)
_FROM_RESPONDER: Final = int(Trait.FROM_RESPONDER)
_MSS: Final = int(Option.MSS)
_SCALE: Final = int(Option.SCALE)
_SACK_PERMITTED: Final = int(Option.SACK_PERMITTED)
_TIMESTAMP: Final = int(Option.TIMESTAMP)
_SCALE_8: Final = int(Option.SCALE_8)
_OTHER: Final = int(Option.OTHER)

_PROTOCOL_ICMP: Final = 1
_PROTOCOL_TCP: Final = 6
_PROTOCOL_ICMPV6: Final = 58
_LONE_TIMESTAMP: Final = 0x0101080A  # two no-operations, then kind 8, length 10
_EXTENSIONS: Final = 16
"""IPv6 extension headers followed before a packet is called malformed."""


@inlined
def parse(data: Bytes, at: int, end: int, wire: int, link: int, big: bool, rows: Rows, n: int) -> int:
    """Write row `n` from the frame at `at`; returns the `Counter` it belongs to, or `QUOTED`.

    Captured bytes end before `end`, the frame on the wire ended at `wire` (>= `end`). The row
    is made if the outcome is `TCP` or `QUOTED`, and else only scribbled on; `ts` is the caller's.
    """
    return parse_packet(data, network_layer(data, at, end, wire, link, big), end, wire, rows, n)


@inlined
def parse_packet(data: Bytes, at: int, end: int, wire: int, rows: Rows, n: int) -> int:
    """`parse` for who knows where the IP header is; a negative `at` is why there is none (`network_layer`)."""
    if at < 0:
        return -at
    protocol, at, wire = _internet(data, at, end, wire, rows, n)
    end = min(end, wire)  # what follows is padding of the link
    if protocol == _PROTOCOL_TCP:
        return _segment(data, at, end, wire, rows, n)
    if protocol < 0:
        return -protocol
    if protocol in (_PROTOCOL_ICMP, _PROTOCOL_ICMPV6):
        return _quoted(data, at, end, protocol, rows, n)
    return _TUNNELLED if carries_tcp(data, at, end, protocol) else _NOT_TCP


@inlined
def blank(rows: Rows, n: int, kind: int) -> None:
    """Make row `n` one of `kind` whose every other field is 0."""
    row = rows[n]
    row["ts"] = 0
    row["src_hi"] = 0
    row["src_lo"] = 0
    row["dst_hi"] = 0
    row["dst_lo"] = 0
    row["src_port"] = 0
    row["dst_port"] = 0
    row["ip_id"] = 0
    row["ttl"] = 0
    row["traits"] = 0
    _no_segment(rows, n)
    row["kind"] = kind


@inlined
def _no_segment(rows: Rows, n: int) -> None:
    row = rows[n]
    row["seq"] = 0
    row["ack"] = 0
    row["payload_length"] = 0
    row["payload_offset"] = 0
    row["payload_captured"] = 0
    row["options_hash"] = 0
    row["window"] = 0
    row["flags"] = 0
    row["options"] = 0


@inlined
def _internet(data: Bytes, at: int, end: int, wire: int, rows: Rows, n: int) -> tuple[int, int, int]:
    """Read an IP header into row `n`: protocol (or a negated counter), next offset, end on the wire."""
    if end - at < 1:
        return lacking(at + 1, wire), at, wire
    first = u8(data, at)
    if first >> 4 == 6:
        return _internet6(data, at, end, wire, rows, n)
    header = (first & 15) * 4
    if first >> 4 != 4 or header < 20:
        return -_MALFORMED, at, wire
    if end - at < header:
        return lacking(at + header, wire), at, wire
    total = u16(data, at + 2)
    if total == 0:  # left to the network card to fill in (segmentation offload)
        total = wire - at
    if total < header:
        return -_MALFORMED, at, wire
    fragment = u16(data, at + 6)
    row = rows[n]
    row["src_hi"] = 0
    row["src_lo"] = MAPPED_PREFIX | u32(data, at + 12)
    row["dst_hi"] = 0
    row["dst_lo"] = MAPPED_PREFIX | u32(data, at + 16)
    row["ip_id"] = u16(data, at + 4)
    row["ttl"] = u8(data, at + 8)
    row["traits"] = _DONT_FRAGMENT if fragment & 0x4000 else 0
    protocol = -_FRAGMENT if fragment & 0x1FFF else u8(data, at + 9)
    return protocol, at + header, at + total


@inlined
def _internet6(data: Bytes, at: int, end: int, wire: int, rows: Rows, n: int) -> tuple[int, int, int]:
    if end - at < 40:
        return lacking(at + 40, wire), at, wire
    row = rows[n]
    row["src_hi"] = u64(data, at + 8)
    row["src_lo"] = u64(data, at + 16)
    row["dst_hi"] = u64(data, at + 24)
    row["dst_lo"] = u64(data, at + 32)
    row["ip_id"] = 0
    row["ttl"] = u8(data, at + 7)
    row["traits"] = _IPV6
    length = u16(data, at + 4)
    if length:  # 0: a jumbogram, or left to the network card
        wire = at + 40 + length
        end = min(end, wire)
    protocol = u8(data, at + 6)
    at += 40
    for _ in range(_EXTENSIONS):
        if protocol != 0 and protocol != 43 and protocol != 44 and protocol != 51 and protocol != 60:
            return protocol, at, wire
        if end - at < 8:
            return lacking(at + 8, wire), at, wire
        size = 8
        if protocol == 44:
            if u16(data, at + 2) & 0xFFF8:
                return -_FRAGMENT, at, wire
        elif protocol == 51:
            size = (u8(data, at + 1) + 2) * 4
        else:
            size = (u8(data, at + 1) + 1) * 8
        protocol = u8(data, at)
        at += size
    return -_MALFORMED, at, wire


@inlined
def _segment(data: Bytes, at: int, end: int, wire: int, rows: Rows, n: int) -> int:
    if wire - at < 20:
        return _MALFORMED
    if end - at < 14:
        return _CUT_SHORT
    header = (u8(data, at + 12) >> 4) * 4
    if header < 20 or wire - at < header:
        return _MALFORMED
    row = rows[n]
    row["kind"] = _KIND_TCP
    row["src_port"] = u16(data, at)
    row["dst_port"] = u16(data, at + 2)
    row["seq"] = u32(data, at + 4)
    row["ack"] = u32(data, at + 8)
    row["flags"] = u8(data, at + 13)
    row["window"] = u16(data, at + 14) if end - at >= 16 else 0
    payload = at + header
    row["payload_length"] = wire - payload
    row["payload_offset"] = min(payload, end)
    row["payload_captured"] = max(end - payload, 0)
    _options(data, at + 20, min(payload, end), rows, n)
    return TCP


@inlined
def _options(data: Bytes, at: int, end: int, rows: Rows, n: int) -> None:
    """Which options stand in ``data[at:end]``, and the hash of its whole 32-bit words.

    The hash folds each word in: ``hash = (hash ^ word) * 0x9E3779B1 mod 2**32``, then at the
    end ``hash ^ hash >> 15``.
    """
    mixed = np.uint32(0)
    for word in range(at, end - 3, 4):
        mixed = np.uint32((mixed ^ np.uint32(u32(data, word))) * np.uint32(0x9E3779B1))
    row = rows[n]
    row["options_hash"] = mixed ^ (mixed >> np.uint32(15))
    if end - at == 12 and u32(data, at) == _LONE_TIMESTAMP:  # nearly every packet after the SYN
        row["options"] = _TIMESTAMP
        return
    found = 0
    while at < end:
        kind = u8(data, at)
        if kind == 0:
            break
        if kind == 1:
            at += 1
            continue
        if end - at < 2 or u8(data, at + 1) < 2 or u8(data, at + 1) > end - at:
            found |= _OTHER
            break
        length = u8(data, at + 1)
        if kind == 2 and length == 4:
            found |= _MSS
        elif kind == 3 and length == 3:
            found |= _SCALE | (_SCALE_8 if u8(data, at + 2) == 8 else 0)
        elif kind == 4 and length == 2:
            found |= _SACK_PERMITTED
        elif kind == 8 and length == 10:
            found |= _TIMESTAMP
        else:
            found |= _OTHER
        at += length
    row["options"] = found


@inlined
def _quoted(data: Bytes, at: int, end: int, protocol: int, rows: Rows, n: int) -> int:
    """An ICMP error that quotes TCP; one that says unreachable becomes a row of the quoted packet.

    Every field of the row but `ts` and `traits` is the quoted packet's, 0 where the quote ends
    before it. RFC 792 promises the first eight bytes of TCP: ports and sequence number.
    """
    if end - at < 9:
        return _NOT_TCP
    message = u8(data, at)
    if protocol == _PROTOCOL_ICMP:
        unreachable = message == 3
        if not (unreachable or message == 4 or message == 5 or message == 11 or message == 12):
            return _NOT_TCP
    else:
        unreachable = message == 1
        if not 1 <= message <= 4:
            return _NOT_TCP
    sender_hi = rows[n]["src_hi"]
    sender_lo = rows[n]["src_lo"]
    inner, at, _ = _internet(data, at + 8, end, end, rows, n)
    if inner != _PROTOCOL_TCP:
        return _NOT_TCP
    if not unreachable or end - at < 8:
        return _TUNNELLED
    row = rows[n]
    _no_segment(rows, n)
    row["kind"] = _KIND_UNREACHABLE
    row["src_port"] = u16(data, at)
    row["dst_port"] = u16(data, at + 2)
    row["seq"] = u32(data, at + 4)
    if end - at >= 14:
        row["ack"] = u32(data, at + 8)
        row["flags"] = u8(data, at + 13)
    if row["dst_hi"] == sender_hi and row["dst_lo"] == sender_lo:
        row["traits"] |= _FROM_RESPONDER
    return QUOTED
