"""One frame: link layer, IP, TCP, and ICMP errors that quote TCP."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from halfopen.capture.reference.tunnels import carries_tcp
from halfopen.model import MAPPED_PREFIX, Counter, Kind, Option, Trait

IPV4, IPV6 = 0x0800, 0x86DD
VLAN = (0x8100, 0x88A8, 0x9100)
MPLS = (0x8847, 0x8848)
PPPOE = 0x8864
HOP_BY_HOP, ICMP, TCP, ROUTING, FRAGMENT, AH, ICMPV6, DESTINATION = 0, 1, 6, 43, 44, 51, 58, 60


class SkipError(Exception):
    """The packet makes no row and is counted so."""

    def __init__(self, counter: Counter) -> None:
        super().__init__(counter.name)
        self.counter = counter


@dataclass
class Packet:
    """A row of PACKET; fields and units are the same."""

    kind: Kind = Kind.TCP
    ts: int = 0
    src: int = 0  # 128 bits
    dst: int = 0
    seq: int = 0
    ack: int = 0
    payload_length: int = 0
    payload_offset: int = 0
    payload_captured: int = 0
    options_hash: int = 0
    src_port: int = 0
    dst_port: int = 0
    window: int = 0
    ip_id: int = 0
    flags: int = 0
    ttl: int = 0
    traits: int = 0
    options: int = 0


class Cursor:
    """A place in the captured bytes of a frame that had `length` bytes on the wire."""

    def __init__(self, captured: bytes, length: int, at: int = 0) -> None:
        self.captured = captured
        self.length = length
        self.at = at

    def peek(self, size: int) -> bytes:
        """The next `size` bytes; skips the packet where they were cut off or never were."""
        if self.at + size > len(self.captured):
            raise SkipError(Counter.cut_short if self.at + size <= self.length else Counter.malformed)
        return self.captured[self.at : self.at + size]

    def take(self, layout: str) -> tuple[int, ...]:
        """The fields of a header, which is moved past; network order unless `layout` says other."""
        layout = layout if layout[0] in "<>" else ">" + layout
        size = struct.calcsize(layout)
        fields = struct.unpack(layout, self.peek(size))
        self.at += size
        return fields

    def end_at(self, end: int) -> None:
        """Leave out what lies behind `end`: padding of the link."""
        self.length = end
        self.captured = self.captured[:end]

    @property
    def rest(self) -> bytes:
        """The captured bytes from here on."""
        return self.captured[self.at :]


def parse(link: int, order: str, captured: bytes, length: int) -> Packet:
    """The row of one frame, its payload offset counted from the frame; raises `SkipError` if it has none."""
    cursor = Cursor(captured, length)
    to_network_layer(cursor, link, order)
    packet = Packet()
    protocol = _internet(cursor, packet)
    if protocol == TCP:
        _segment(cursor, packet)
        return packet
    if protocol in (ICMP, ICMPV6):
        return _quoted(cursor, packet, protocol)
    raise SkipError(Counter.tunnelled if carries_tcp(protocol, cursor.rest) else Counter.not_tcp)


def to_network_layer(cursor: Cursor, link: int, order: str) -> None:
    """Move past the link layer; raises `SkipError` where no IP packet follows."""
    if link == 1:
        *_, ether_type = cursor.take("12BH")
    elif link == 113:
        *_, ether_type = cursor.take("14BH")
    elif link == 276:
        ether_type, *_ = cursor.take("H18B")
    elif link in (12, 14, 101, 228, 229):
        return
    elif link in (0, 108):
        families = (2, 10, 24, 28, 30)
        if cursor.take("I")[0] not in (*families, *(family << 24 for family in families)):
            raise SkipError(Counter.not_ip)
        return
    elif link == 239:
        _to_netfilter_payload(cursor, order)
        return
    else:
        raise SkipError(Counter.unknown_link)
    while ether_type in VLAN:
        _, ether_type = cursor.take("HH")
    if ether_type in MPLS:
        while not cursor.take("I")[0] & 0x100:
            pass
        if cursor.peek(1)[0] >> 4 not in (4, 6):
            raise SkipError(Counter.not_ip)
    elif ether_type == PPPOE:
        *_, protocol = cursor.take("6BH")
        if protocol not in (0x0021, 0x0057):
            raise SkipError(Counter.not_ip)
    elif ether_type not in (IPV4, IPV6):
        raise SkipError(Counter.not_ip)


def _to_netfilter_payload(cursor: Cursor, order: str) -> None:
    cursor.peek(8)
    cursor.take("I")
    while True:
        length, kind = cursor.take(order + "HH")
        if length < 4:
            raise SkipError(Counter.malformed)
        if kind == 9:
            return
        cursor.at += length - 4 + -length % 4


def _internet(cursor: Cursor, packet: Packet) -> int:
    """Move past an IP header, noted in `packet`; the protocol inside."""
    version = cursor.peek(1)[0] >> 4
    if version == 4:
        return _internet4(cursor, packet)
    if version == 6:
        return _internet6(cursor, packet)
    raise SkipError(Counter.malformed)


def _internet4(cursor: Cursor, packet: Packet) -> int:
    header = (cursor.peek(1)[0] & 15) * 4
    if header < 20:
        raise SkipError(Counter.malformed)
    cursor.peek(header)
    start = cursor.at
    _, _, total, ip_id, fragment, ttl, protocol, _, src, dst = cursor.take("BBHHHBBHII")
    if total:
        if total < header:
            raise SkipError(Counter.malformed)
        cursor.end_at(start + total)
    cursor.at = start + header
    if fragment & 0x1FFF:
        raise SkipError(Counter.fragment)
    packet.src, packet.dst = MAPPED_PREFIX | src, MAPPED_PREFIX | dst
    packet.ip_id, packet.ttl = ip_id, ttl
    packet.traits = Trait.DONT_FRAGMENT if fragment & 0x4000 else 0
    return protocol


def _internet6(cursor: Cursor, packet: Packet) -> int:
    _, length, protocol, hops, src_hi, src_lo, dst_hi, dst_lo = cursor.take("IHBBQQQQ")
    packet.src, packet.dst = src_hi << 64 | src_lo, dst_hi << 64 | dst_lo
    packet.ip_id, packet.ttl, packet.traits = 0, hops, Trait.IPV6
    if length:
        cursor.end_at(cursor.at + length)
    for _ in range(16):
        if protocol not in (HOP_BY_HOP, ROUTING, FRAGMENT, AH, DESTINATION):
            return protocol
        start = cursor.at
        following, size, offset, _ = cursor.take("BBHI")
        if protocol == FRAGMENT:
            if offset >> 3:
                raise SkipError(Counter.fragment)
        elif protocol == AH:
            cursor.at = start + size * 4 + 8
        else:
            cursor.at = start + size * 8 + 8
        protocol = following
    raise SkipError(Counter.malformed)


def _segment(cursor: Cursor, packet: Packet) -> None:
    start = cursor.at
    if start + 20 > cursor.length:
        raise SkipError(Counter.malformed)
    packet.src_port, packet.dst_port, packet.seq, packet.ack, header, packet.flags = cursor.take("HHIIBB")
    payload = start + (header >> 4) * 4
    if payload < start + 20 or payload > cursor.length:
        raise SkipError(Counter.malformed)
    if len(cursor.rest) >= 2:
        (packet.window,) = cursor.take("H")
    packet.payload_length = cursor.length - payload
    packet.payload_offset = min(payload, len(cursor.captured))
    packet.payload_captured = len(cursor.captured) - packet.payload_offset
    options = cursor.captured[start + 20 : payload]
    packet.options, packet.options_hash = options_in(options), options_hash(options)


def options_in(data: bytes) -> Option:
    """The options in the option bytes of a header, as far as these go."""
    found = Option(0)
    while data and data[0] != 0:
        if data[0] == 1:
            data = data[1:]
            continue
        if len(data) < 2 or not 2 <= data[1] <= len(data):
            return found | Option.OTHER
        option, data = data[: data[1]], data[data[1] :]
        match option[0], len(option):
            case 2, 4:
                found |= Option.MSS
            case 3, 3:
                found |= Option.SCALE | (Option.SCALE_8 if option[2] == 8 else Option(0))
            case 4, 2:
                found |= Option.SACK_PERMITTED
            case 8, 10:
                found |= Option.TIMESTAMP
            case _:
                found |= Option.OTHER
    return found


def options_hash(data: bytes) -> int:
    """The 32-bit hash of the whole words of the option bytes."""
    mixed = 0
    for (word,) in struct.iter_unpack(">I", data[: len(data) // 4 * 4]):
        mixed = (mixed ^ word) * 0x9E3779B1 % 2**32
    return mixed ^ mixed >> 15


def _quoted(cursor: Cursor, packet: Packet, protocol: int) -> Packet:
    """The packet that an ICMP error quotes, if that says unreachable and quotes TCP."""
    errors, unreachable = ((3, 4, 5, 11, 12), 3) if protocol == ICMP else ((1, 2, 3, 4), 1)
    if len(cursor.rest) < 9 or cursor.rest[0] not in errors:
        raise SkipError(Counter.not_tcp)
    quoted = Packet(kind=Kind.UNREACHABLE)
    quote = Cursor(cursor.captured, len(cursor.captured), cursor.at + 8)
    try:
        inner = _internet(quote, quoted)
    except SkipError:
        raise SkipError(Counter.not_tcp) from None
    if inner != TCP:
        raise SkipError(Counter.not_tcp)
    if cursor.rest[0] != unreachable or len(cursor.captured) < quote.at + 8:
        raise SkipError(Counter.tunnelled)
    quoted.src_port, quoted.dst_port, quoted.seq = struct.unpack_from(">HHI", cursor.captured, quote.at)
    if len(cursor.captured) >= quote.at + 14:
        quoted.ack, _, quoted.flags = struct.unpack_from(">IBB", cursor.captured, quote.at + 8)
    if quoted.dst == packet.src:
        quoted.traits |= Trait.FROM_RESPONDER
    return quoted
