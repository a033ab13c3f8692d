"""Captures of every container, link type and header that the reader knows, whole and broken."""

from __future__ import annotations

import struct

from hypothesis import strategies as st

from tests.capture import layers
from tests.capture.layers import GRE, ICMP, ICMPV6, IPV4, IPV6, TCP, UDP

LINKS = (0, 1, 12, 14, 101, 105, 108, 113, 228, 229, 239, 276)
ORDERS = st.sampled_from("<>")


OPTIONS = st.lists(
    st.sampled_from(
        [
            b"\x02\x04\x05\xb4",
            b"\x01\x03\x03\x07",
            b"\x01\x03\x03\x08",
            b"\x04\x02\x01\x01",
            b"\x01\x01\x08\x0a" + bytes(8),
            b"\x08\x0a" + bytes(8) + b"\0\0",
            b"\x05\x0a" + bytes(8) + b"\x01\x01",
            b"\x02\x03\x01\x00",
            b"\x1e\x00\x00\x00",
            b"\x22\x28\x00\x00",
        ]
    ),
    max_size=3,
).map(b"".join)

SEGMENTS = st.builds(
    layers.tcp,
    st.sampled_from([b"", b"x", b"hello world"]),
    options=OPTIONS,
    flags=st.integers(0, 255),
    source=st.integers(0, 65535),
)


@st.composite
def internet(draw: st.DrawFn, depth: int = 1) -> bytes:
    """An IP packet: TCP, something else, an ICMP error with a quote, or a tunnel."""
    kinds = ["tcp", "tcp", "tcp", "other"] + (["quote", "tunnel", "udp"] if depth else [])
    kind = draw(st.sampled_from(kinds))
    six = draw(st.booleans())
    if kind == "tcp":
        protocol, body = TCP, draw(SEGMENTS)
    elif kind == "other":
        protocol, body = (
            draw(st.sampled_from([UDP, ICMP, ICMPV6, GRE, 59, 132])),
            draw(st.binary(max_size=24)),
        )
    elif kind == "quote":
        protocol = ICMPV6 if six else ICMP
        quote = draw(internet(depth=0))
        message = draw(st.sampled_from([1, 3, 3, 4, 8, 11]))
        body = layers.unreachable(quote[: draw(st.integers(8, 80))], 1 if six and message == 3 else message)
    elif kind == "tunnel":
        protocol, body = draw(tunnels())
    else:
        protocol, body = UDP, draw(datagrams())
    if six:
        for extension in draw(st.lists(st.sampled_from([0, 43, 44, 51, 60]), max_size=3)):
            units = 0 if extension == 44 else draw(st.integers(0, 2))
            offset = draw(st.sampled_from([0, 0, 1, 8])) if extension == 44 else 0
            rest = bytes(units * (4 if extension == 51 else 8))
            body = struct.pack(">BBHI", protocol, units, offset, 9) + rest + body
            protocol = extension
        length = draw(st.sampled_from([None, None, None, 0, len(body) + 9, max(len(body) - 3, 0)]))
        return layers.ipv6(
            body, protocol, length=length, to=draw(st.sampled_from([layers.SERVER6, layers.CLIENT6]))
        )
    return layers.ipv4(
        body,
        protocol,
        total=draw(st.sampled_from([None, None, None, 0, len(body), len(body) + 90])),
        fragment=draw(st.sampled_from([0x4000, 0, 0x2000, 0x2001])),
        options=bytes(draw(st.sampled_from([0, 0, 4, 40]))),
        to=draw(st.sampled_from([layers.SERVER, layers.CLIENT])),
    )


@st.composite
def typed(draw: st.DrawFn) -> tuple[int, bytes]:
    """An EtherType, and an inner IP packet or frame that fits it."""
    inner = draw(internet(depth=0))
    ether_type = IPV6 if inner[0] >> 4 == 6 else IPV4
    if draw(st.booleans()):
        tag = struct.pack(">HH", 5, ether_type) if draw(st.booleans()) else b""
        frame = bytes(12) + (b"\x81\x00" if tag else struct.pack(">H", ether_type)) + tag + inner
        return 0x6558, frame
    return ether_type, inner


@st.composite
def tunnels(draw: st.DrawFn) -> tuple[int, bytes]:
    """An IP protocol and its payload."""
    ether_type, inner = draw(typed())
    if draw(st.booleans()):
        return draw(st.sampled_from([4, 41])), inner
    flags = draw(st.sampled_from([0, 0x80, 0x20, 0x10, 0xB0]))
    header = bytes(4 * (flags >> 7 & 1) + 4 * (flags >> 5 & 1) + 4 * (flags >> 4 & 1))
    if ether_type == 0x6558:
        ether_type = draw(st.sampled_from([0x6558, 0x88BE, 0x22EB]))
        if ether_type == 0x88BE and flags & 0x10:
            header += bytes(8)
        if ether_type == 0x22EB:
            subheader = draw(st.integers(0, 1))
            header += bytes(11) + bytes([subheader]) + bytes(8 * subheader)
    return GRE, struct.pack(">BBH", flags, 0, ether_type) + header + inner


@st.composite
def datagrams(draw: st.DrawFn) -> bytes:
    """A UDP datagram of a tunnel."""
    ether_type, inner = draw(typed())
    port = draw(st.sampled_from([4789, 6081, 2152, 5247, 3544, 53]))
    if port == 4789:
        header = bytes([draw(st.sampled_from([8, 8, 0])), 0, 0, 0, 0, 0, 1, 0])
    elif port == 6081:
        words = draw(st.integers(0, 2))
        header = struct.pack(">BBHI", words, 0, ether_type, 0) + bytes(4 * words)
    elif port == 2152:
        flags = draw(st.sampled_from([0x30, 0x32, 0x34, 0x34]))
        header = bytes([flags, 255, 0, 0, 0, 0, 0, 1])
        if flags & 7:
            header += bytes(3) + draw(
                st.sampled_from([b"\0", b"\x85\x01\0\0\0", b"\x85\x01\0\0\x85\x02" + bytes(7)])
            )
    elif port == 5247:
        native = draw(st.booleans())
        header = bytes([0, 2 << 3, native, 0, 0, 0, 0, 0])
        if native:
            header += bytes(draw(st.sampled_from([24, 26, 30, 32]))) + b"\xaa\xaa\x03\0\0\0"
            header += struct.pack(">H", ether_type)
    else:
        header = draw(st.sampled_from([b"", bytes(8)]))
    return layers.udp(header + inner, port)


@st.composite
def frames(draw: st.DrawFn, link: int, order: str) -> bytes:
    """A frame of one link type around an IP packet."""
    body = draw(internet())
    ether_type = IPV6 if body[0] >> 4 == 6 else IPV4
    if link in (1, 113, 276):
        for tag in draw(st.lists(st.sampled_from([0x8100, 0x88A8, 0x9100, 0x8847, 0x8864]), max_size=2)):
            if tag == 0x8847:
                body = draw(st.sampled_from([b"", b"\0\x01\0\x40"])) + b"\0\x02\x01\x40" + body
            elif tag == 0x8864:
                body = (
                    struct.pack(">BBHHH", 0x11, 0, 1, 0, draw(st.sampled_from([0x21, 0x57, 0xC021]))) + body
                )
            else:
                body = struct.pack(">HH", 7, ether_type) + body
            ether_type = tag
        ether_type = draw(st.sampled_from([ether_type] * 9 + [0x0806]))
    if link == 1:
        return bytes(12) + struct.pack(">H", ether_type) + body
    if link == 113:
        return bytes(14) + struct.pack(">H", ether_type) + body
    if link == 276:
        return struct.pack(">H", ether_type) + bytes(18) + body
    if link in (0, 108):
        return struct.pack(draw(ORDERS) + "I", draw(st.sampled_from([2, 10, 24, 28, 30, 7]))) + body
    if link == 239:
        extra = b"".join(layers.option(kind, bytes(size), order) for kind, size in draw(ATTRIBUTES))
        extra = b"".join(
            struct.pack(order + "HH", size + 4, kind) + bytes(size + -size % 4)
            for kind, size in draw(ATTRIBUTES)
        )
        return b"\x02\0\0\0" + extra + struct.pack(order + "HH", len(body) + 4, 9) + body
    return body


ATTRIBUTES = st.lists(st.tuples(st.integers(1, 8), st.integers(0, 9)), max_size=3)


@st.composite
def cuts(draw: st.DrawFn, frame: bytes) -> tuple[bytes, int]:
    """A frame as a snaplen may have cut it, and its length on the wire."""
    captured = draw(st.integers(0, len(frame))) if draw(st.integers(0, 3)) == 0 else len(frame)
    return frame[:captured], draw(st.sampled_from([len(frame), len(frame), captured, 0, 1 << 31]))


@st.composite
def pcaps(draw: st.DrawFn) -> bytes:
    order, link = draw(ORDERS), draw(st.sampled_from(LINKS))
    records = b""
    for _ in range(draw(st.integers(0, 6))):
        frame, length = draw(cuts(draw(frames(link, order))))
        ts = draw(st.integers(0, 40 * 10**6)) / 10**6
        records += layers.record(ts, frame, length, order)
    magic = draw(st.sampled_from([0xA1B2C3D4, 0xA1B23C4D]))
    return layers.pcap(records, link=link, magic=magic, order=order)


@st.composite
def pcapngs(draw: st.DrawFn) -> bytes:
    data = b""
    order, links = "<", [1]
    for kind in ["section", "interface", *draw(st.lists(st.sampled_from(BLOCKS), max_size=9))]:
        if kind == "section":
            order, links = draw(ORDERS), []
            data += layers.section(order)
        elif kind == "interface":
            links.append(draw(st.sampled_from(LINKS)))
            options = draw(st.lists(interface_options(order), max_size=2))
            data += layers.interface(
                links[-1], *options, snaplen=draw(st.sampled_from([0, 0, 40, 65535])), order=order
            )
        elif kind == "unknown":
            data += layers.block(
                draw(st.sampled_from([4, 5, 9, 0xBAD, 0x80000001])), draw(st.binary(max_size=9)), order
            )
        else:
            number = draw(st.integers(0, max(len(links) - 1, 0)))
            frame, length = draw(cuts(draw(frames(links[number] if links else 1, order))))
            ticks = draw(st.integers(0, 40 * 10**6) | st.integers(0, (1 << 64) - 1))
            if kind == "enhanced":
                data += layers.enhanced(ticks, frame, number, length, order)
            elif kind == "obsolete":
                data += layers.obsolete(ticks, frame, number, length, order)
            else:
                data += layers.simple(frame, length, order)
    return data


BLOCKS = [
    "section",
    "interface",
    "unknown",
    "simple",
    "obsolete",
    "enhanced",
    "enhanced",
    "enhanced",
    "enhanced",
]


@st.composite
def interface_options(draw: st.DrawFn, order: str) -> bytes:
    code = draw(st.sampled_from([0, 2, 9, 14]))
    if code == 9:
        return layers.option(
            9, bytes([draw(st.sampled_from([6, 9, 0, 3, 12, 19, 28, 29, 127]) | st.integers(0, 255))]), order
        )
    if code == 14:
        offset = draw(st.sampled_from([0, 1, -5, 10**9]) | st.integers(-(1 << 63), (1 << 63) - 1))
        return layers.option(14, struct.pack(order + "q", offset), order)
    return layers.option(code, b"abc"[: draw(st.integers(0, 3))] if code else b"", order)


@st.composite
def mutated(draw: st.DrawFn, data: bytes) -> bytes:
    """A capture with some bytes changed, put in, taken out, or its end cut off."""
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        change = draw(st.sampled_from(["set", "set", "insert", "remove", "cut"]))
        if change == "cut":
            data = data[:at]
        else:
            kept = at if change == "insert" else at + 1
            data = (
                data[:at]
                + (b"" if change == "remove" else draw(st.binary(min_size=1, max_size=1)))
                + data[kept:]
            )
    return data


@st.composite
def captures(draw: st.DrawFn) -> bytes:
    """A capture of either container, whole or broken."""
    data = draw(pcaps() | pcapngs())
    return draw(mutated(data)) if draw(st.booleans()) else data
