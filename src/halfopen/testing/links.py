"""Link layers: each function wraps one IP packet into a frame; `LINKS` names them with their link type.

Link types are the LINKTYPE_ values of pcap (https://www.tcpdump.org/linktypes.html).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final, NamedTuple

ETHERNET, NULL, RAW, LOOP, SLL, NFLOG, SLL2 = 1, 0, 101, 108, 113, 239, 276

CLIENT_MAC: Final = bytes.fromhex("02 00 00 00 00 01")
SERVER_MAC: Final = bytes.fromhex("02 00 00 00 00 02")

ETHERTYPE_VLAN, ETHERTYPE_QINQ, ETHERTYPE_PPPOE, ETHERTYPE_MPLS = 0x8100, 0x88A8, 0x8864, 0x8847


def ethertype(packet: bytes) -> int:
    """0x0800 or 0x86DD, by the version in the packet's first byte."""
    return 0x0800 if packet[0] >> 4 == 4 else 0x86DD


def ethernet(packet: bytes, kind: int | None = None) -> bytes:
    """Ethernet II; `kind` is the EtherType where `packet` is not IP. Both directions use the same addresses."""
    head = SERVER_MAC + CLIENT_MAC + struct.pack("!H", ethertype(packet) if kind is None else kind)
    return (head + packet).ljust(60, b"\0")


def vlan(packet: bytes, tag: int = 100) -> bytes:
    """Ethernet with one 802.1Q tag."""
    return ethernet(struct.pack("!HH", tag, ethertype(packet)) + packet, ETHERTYPE_VLAN)


def qinq(packet: bytes, outer: int = 200, inner: int = 100) -> bytes:
    """Ethernet with an 802.1ad tag around an 802.1Q tag."""
    tags = struct.pack("!HHHH", outer, ETHERTYPE_VLAN, inner, ethertype(packet))
    return ethernet(tags + packet, ETHERTYPE_QINQ)


def pppoe(packet: bytes, session: int = 1) -> bytes:
    """Ethernet, PPPoE session, PPP (RFC 2516)."""
    protocol = 0x0021 if packet[0] >> 4 == 4 else 0x0057
    head = struct.pack("!BBHHH", 0x11, 0, session, len(packet) + 2, protocol)
    return ethernet(head + packet, ETHERTYPE_PPPOE)


def mpls(packet: bytes, labels: tuple[int, ...] = (16, 17)) -> bytes:
    """Ethernet with a stack of MPLS labels (RFC 3032)."""
    last = len(labels) - 1
    stack = b"".join(struct.pack("!I", label << 12 | (i == last) << 8 | 64) for i, label in enumerate(labels))
    return ethernet(stack + packet, ETHERTYPE_MPLS)


def sll(packet: bytes) -> bytes:
    """Linux cooked capture, version 1."""
    return struct.pack("!HHH6s2xH", 0, 1, 6, CLIENT_MAC, ethertype(packet)) + packet


def sll2(packet: bytes) -> bytes:
    """Linux cooked capture, version 2."""
    return struct.pack("!HHIHBB6s2x", ethertype(packet), 0, 2, 1, 0, 6, CLIENT_MAC) + packet


def null(packet: bytes) -> bytes:
    """BSD loopback: the address family in the byte order of the writer (little-endian here)."""
    return struct.pack("<I", 2 if packet[0] >> 4 == 4 else 30) + packet


def loop(packet: bytes) -> bytes:
    """OpenBSD loopback: the address family in network byte order."""
    return struct.pack("!I", 2 if packet[0] >> 4 == 4 else 24) + packet


def raw(packet: bytes) -> bytes:
    """Raw IP: nothing before the IP header."""
    return packet


def nflog(packet: bytes, prefix: bytes = b"halfopen\0") -> bytes:
    """Linux NFLOG: the fixed header, then TLVs in the writer's byte order (little-endian here)."""
    family = 2 if packet[0] >> 4 == 4 else 10
    values = (
        (1, struct.pack("!HBB", ethertype(packet), 1, 0)),
        (10, prefix),
        (9, packet),
    )
    body = b""
    for kind, value in values:
        body += struct.pack("<HH", len(value) + 4, kind) + value + b"\0" * (-len(value) % 4)
    return struct.pack("!BBH", family, 0, 5) + body


class Link(NamedTuple):
    """A link type and how an IP packet is put into its frame."""

    number: int
    wrap: Callable[[bytes], bytes]


LINKS: Final = {
    "ethernet": Link(ETHERNET, ethernet),
    "vlan": Link(ETHERNET, vlan),
    "qinq": Link(ETHERNET, qinq),
    "pppoe": Link(ETHERNET, pppoe),
    "mpls": Link(ETHERNET, mpls),
    "sll": Link(SLL, sll),
    "sll2": Link(SLL2, sll2),
    "null": Link(NULL, null),
    "loop": Link(LOOP, loop),
    "raw": Link(RAW, raw),
    "nflog": Link(NFLOG, nflog),
}
