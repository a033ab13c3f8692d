"""pcap and pcapng, one record after the other."""

from __future__ import annotations

import struct
from collections import Counter as Tally
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from halfopen.capture.reference.frames import Packet, SkipError, parse
from halfopen.model import CLOCK_STEP, Counter, Kind

LARGEST_FRAME = 262_144
LARGEST_PACKET_BLOCK = 524_288
INTERFACES = 65_536
LATEST = 2**62 - 1


class DamageError(Exception):
    """The stream cannot be read from `offset` on."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"damaged at byte {offset}")
        self.offset = offset


@dataclass(frozen=True)
class Record:
    """A packet as its container holds it; `ts` is None where none is given."""

    ts: int | None
    link: int
    order: str  # of the file, as struct writes it
    start: int  # of the captured bytes in the stream
    captured: bytes
    length: int  # on the wire


@dataclass
class Result:
    """Everything a capture says, and the offset of its damage, None where it has none."""

    packets: list[Packet] = field(default_factory=list)
    counters: Tally[Counter] = field(default_factory=Tally)
    unknown_links: Tally[int] = field(default_factory=Tally)
    clock: int = 0
    damage: int | None = None


def read(data: bytes) -> Result:
    """Read a whole stream; `Packet.payload_offset` counts from its beginning."""
    result = Result()
    try:
        for record in _records(data):
            _take(record, result)
    except DamageError as damage:
        result.damage = damage.offset
    return result


def _take(record: Record, result: Result) -> None:
    ts = result.clock if record.ts is None else record.ts
    result.counters[Counter.packets] += 1
    if result.clock - ts > CLOCK_STEP:
        result.packets.append(Packet(kind=Kind.BREAK, ts=result.clock))
        result.clock = ts
    result.clock = max(result.clock, ts)
    try:
        packet = parse(record.link, record.order, record.captured, record.length)
    except SkipError as skip:
        result.counters[skip.counter] += 1
        if skip.counter == Counter.unknown_link:
            result.unknown_links[record.link] += 1
        return
    packet.ts = ts
    if packet.kind == Kind.TCP:
        packet.payload_offset += record.start
        result.counters[Counter.tcp] += 1
    else:
        result.counters[Counter.tunnelled] += 1
    result.packets.append(packet)


def _records(data: bytes) -> Iterator[Record]:
    magic = data[:4]
    if magic == b"\x0a\x0d\x0d\x0a":
        return _pcapng(data)
    for order in "<>":
        for number, scale in ((0xA1B2C3D4, 1000), (0xA1B23C4D, 1)):
            if magic == struct.pack(order + "I", number):
                return _pcap(data, order, scale)
    raise DamageError(0)


def _pcap(data: bytes, order: str, scale: int) -> Iterator[Record]:
    if len(data) < 24:
        raise DamageError(0)
    link = struct.unpack_from(order + "I", data, 20)[0] % 65536
    at = 24
    while at < len(data):
        if len(data) < at + 16:
            raise DamageError(at)
        seconds, fraction, captured, length = struct.unpack_from(order + "IIII", data, at)
        start = at + 16
        if captured > LARGEST_FRAME or len(data) < start + captured:
            raise DamageError(at)
        ts = seconds * 10**9 + min(fraction * scale, 10**9 - 1)
        at = start + captured
        yield Record(ts, link, order, start, data[start:at], max(length, captured))


@dataclass(frozen=True)
class Interface:
    """What an interface description block says; `tick` is one count of its time stamps, in s."""

    link: int
    snaplen: int
    tick: Fraction
    offset: int

    def time(self, high: int, low: int) -> int:
        """Time stamp in ns; the count and the offset are bounded apart, and so is their sum."""
        ns = min(int((high << 32 | low) * self.tick * 10**9), LATEST)
        return min(max(ns + min(max(self.offset * 10**9, -LATEST), LATEST), 0), LATEST)


def _pcapng(data: bytes) -> Iterator[Record]:
    at = 0
    order = ""
    interfaces: list[Interface] = []
    while at < len(data):
        if data[at : at + 4] == b"\x0a\x0d\x0d\x0a":
            order = _section_order(data, at)
            interfaces = []
        if len(data) < at + 12:
            raise DamageError(at)
        kind, size = struct.unpack_from(order + "II", data, at)
        if size < 12 or size % 4 or len(data) < at + size:
            raise DamageError(at)
        if kind in (2, 3, 6) and size > LARGEST_PACKET_BLOCK:
            raise DamageError(at)
        body = data[at + 8 : at + size - 4]
        if kind == 1:
            if len(interfaces) == INTERFACES or len(body) < 8:
                raise DamageError(at)
            interfaces.append(_interface(body, order))
        if data[at + size - 4 : at + size] != data[at + 4 : at + 8]:
            raise DamageError(at)
        if kind in (2, 3, 6):
            try:
                yield _packet(kind, body, at + 8, order, interfaces)
            except (struct.error, IndexError):
                raise DamageError(at) from None
        at += size


def _section_order(data: bytes, at: int) -> str:
    for order in "<>":
        if data[at + 8 : at + 12] == struct.pack(order + "I", 0x1A2B3C4D) and len(data) >= at + 16:
            if struct.unpack_from(order + "H", data, at + 12)[0] != 1:
                break
            return order
    raise DamageError(at)


def _interface(body: bytes, order: str) -> Interface:
    link, _, snaplen = struct.unpack_from(order + "HHI", body)
    tick, offset = Fraction(1, 10**6), 0
    at = 8
    while at + 4 <= len(body):
        code, length = struct.unpack_from(order + "HH", body, at)
        value = body[at + 4 : at + 4 + length]
        if code == 0:
            break
        if code == 9 and len(value) == 1:
            tick = Fraction(1, 2 ** (value[0] - 128) if value[0] >= 128 else 10 ** value[0])
        if code == 14 and len(value) == 8:
            (offset,) = struct.unpack(order + "q", value)
        at += 4 + length + -length % 4
    return Interface(link, snaplen, tick, offset)


def _packet(kind: int, body: bytes, at: int, order: str, interfaces: list[Interface]) -> Record:
    """A packet block; raises `struct.error` or `IndexError` where it does not hold together."""
    ts: int | None
    if kind == 3:
        (length,) = struct.unpack_from(order + "I", body)
        interface = interfaces[0]
        header, ts, captured = 4, None, min(length, interface.snaplen or length)
    else:
        layout = "IIIII" if kind == 6 else "HxxIIII"
        number, high, low, captured, length = struct.unpack_from(order + layout, body)
        interface = interfaces[number]
        header, ts = 20, interface.time(high, low)
    if captured > LARGEST_FRAME or header + captured > len(body):
        raise IndexError
    start = at + header
    return Record(ts, interface.link, order, start, body[header : header + captured], max(length, captured))
