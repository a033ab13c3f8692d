"""Packets and captures as bytes, layer by layer, for the tests of the reader."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

CLIENT, SERVER = IPv4Address("192.0.2.1"), IPv4Address("198.51.100.2")
CLIENT6, SERVER6 = IPv6Address("2001:db8::1"), IPv6Address("2001:db8::2")

IPV4, IPV6 = 0x0800, 0x86DD
TCP, UDP, GRE, ICMP, ICMPV6 = 6, 17, 47, 1, 58


def tcp(
    payload: bytes = b"", *, options: bytes = b"", flags: int = 0x18, source: int = 40000, to: int = 443
) -> bytes:
    header = struct.pack(
        ">HHIIBBHHH", source, to, 1000, 2000, (20 + len(options)) // 4 << 4, flags, 512, 0, 0
    )
    return header + options + payload


def ipv4(
    body: bytes,
    protocol: int = TCP,
    *,
    total: int | None = None,
    fragment: int = 0x4000,
    options: bytes = b"",
    source: IPv4Address = CLIENT,
    to: IPv4Address = SERVER,
) -> bytes:
    header = 20 + len(options)
    total = header + len(body) if total is None else total
    fields = (0x40 | header // 4, 0, total, 7, fragment, 60, protocol, 0, source.packed, to.packed)
    return struct.pack(">BBHHHBBH4s4s", *fields) + options + body


def ipv6(
    body: bytes,
    protocol: int = TCP,
    *,
    length: int | None = None,
    source: IPv6Address = CLIENT6,
    to: IPv6Address = SERVER6,
) -> bytes:
    length = len(body) if length is None else length
    return struct.pack(">IHBB16s16s", 0x60000000, length, protocol, 61, source.packed, to.packed) + body


def udp(body: bytes, to: int) -> bytes:
    return struct.pack(">HHHH", 50000, to, 8 + len(body), 0) + body


def ethernet(body: bytes, ether_type: int = IPV4) -> bytes:
    return bytes(12) + struct.pack(">H", ether_type) + body


def unreachable(quote: bytes, kind: int = 3) -> bytes:
    return struct.pack(">BBHI", kind, 1, 0, 0) + quote


def record(ts: float, frame: bytes, length: int | None = None, order: str = "<") -> bytes:
    """A pcap record with a time stamp in microseconds."""
    seconds, micros = divmod(round(ts * 10**6), 10**6)
    length = len(frame) if length is None else length
    return struct.pack(order + "IIII", seconds, micros, len(frame), length) + frame


def pcap(*records: bytes, link: int = 1, magic: int = 0xA1B2C3D4, order: str = "<") -> bytes:
    return struct.pack(order + "IHHIIII", magic, 2, 4, 0, 0, 65535, link) + b"".join(records)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + size + body + size


def option(code: int, value: bytes, order: str = "<") -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link: int = 1, *options: bytes, snaplen: int = 0, order: str = "<") -> bytes:
    return block(1, struct.pack(order + "HHI", link, 0, snaplen) + b"".join(options), order)


def enhanced(ticks: int, frame: bytes, number: int = 0, length: int | None = None, order: str = "<") -> bytes:
    length = len(frame) if length is None else length
    fields = (number, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), length)
    return block(6, struct.pack(order + "IIIII", *fields) + frame, order)


def obsolete(ticks: int, frame: bytes, number: int = 0, length: int | None = None, order: str = "<") -> bytes:
    length = len(frame) if length is None else length
    fields = (number, 0, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), length)
    return block(2, struct.pack(order + "HHIIII", *fields) + frame, order)


def simple(frame: bytes, length: int | None = None, order: str = "<") -> bytes:
    length = len(frame) if length is None else length
    return block(3, struct.pack(order + "I", length) + frame, order)
