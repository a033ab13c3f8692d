"""TCP inside tunnels: recognised and counted, never followed (D18)."""

from __future__ import annotations

from halfopen.capture.bytes import u8, u16
from halfopen.jit import inlined
from halfopen.model import Bytes


@inlined
def carries_tcp(data: Bytes, at: int, end: int, protocol: int) -> bool:
    """Whether the payload at `at` of an IP packet of `protocol` is a tunnel with TCP in it.

    One level deep: IPIP (4), 6in4 (41), GRE (47) with IP, Ethernet or ERSPAN inside, and over
    UDP (17) VXLAN, GENEVE, GTP-U, CAPWAP data and Teredo by their port numbers. The packet inside
    must begin with an IP header that names TCP; inner fragments, inner IPv6 extension headers and
    tunnels in tunnels are not looked into.
    """
    if protocol == 4 or protocol == 41:
        return _ip_of_tcp(data, at, end)
    if protocol == 47:
        return _gre(data, at, end)
    if protocol == 17:
        return _udp(data, at, end)
    return False


@inlined
def _ip_of_tcp(data: Bytes, at: int, end: int) -> bool:
    if end - at >= 20 and u8(data, at) >> 4 == 4 and u8(data, at) & 15 >= 5:
        return u8(data, at + 9) == 6
    return end - at >= 40 and u8(data, at) >> 4 == 6 and u8(data, at + 6) == 6


@inlined
def _ethernet_of_tcp(data: Bytes, at: int, end: int) -> bool:
    if end - at >= 18 and u16(data, at + 12) == 0x8100:
        at += 4
    return end - at >= 14 and _typed(data, u16(data, at + 12), at + 14, end)


@inlined
def _typed(data: Bytes, protocol: int, at: int, end: int) -> bool:
    return (protocol == 0x0800 or protocol == 0x86DD) and _ip_of_tcp(data, at, end)


@inlined
def _gre(data: Bytes, at: int, end: int) -> bool:
    """RFC 2784 and 2890: a checksum, key and sequence number of four bytes each where flagged."""
    if end - at < 4:
        return False
    flags = u8(data, at)
    protocol = u16(data, at + 2)
    at += 4 + 4 * ((flags >> 7 & 1) + (flags >> 5 & 1) + (flags >> 4 & 1))
    if protocol == 0x6558:
        return _ethernet_of_tcp(data, at, end)
    if protocol == 0x88BE:  # ERSPAN: type I has no header of its own and no sequence number
        return _ethernet_of_tcp(data, at + (8 if flags & 0x10 else 0), end)
    if protocol == 0x22EB:  # ERSPAN type III, its last bit says a subheader follows
        if end - at < 12:
            return False
        return _ethernet_of_tcp(data, at + 12 + 8 * (u8(data, at + 11) & 1), end)
    return _typed(data, protocol, at, end)


@inlined
def _udp(data: Bytes, at: int, end: int) -> bool:
    if end - at < 16:
        return False
    source, destination = u16(data, at), u16(data, at + 2)
    at += 8
    first = u8(data, at)
    if source == 4789 or destination == 4789:  # VXLAN, RFC 7348
        return first & 0x08 != 0 and _ethernet_of_tcp(data, at + 8, end)
    if source == 6081 or destination == 6081:  # GENEVE, RFC 8926
        inner = at + 8 + (first & 63) * 4
        if u16(data, at + 2) == 0x6558:
            return _ethernet_of_tcp(data, inner, end)
        return _typed(data, u16(data, at + 2), inner, end)
    if source == 2152 or destination == 2152:
        return _gtp(data, at, end)
    if source == 5247 or destination == 5247:
        return _capwap(data, at, end)
    if source == 3544 or destination == 3544:  # Teredo, RFC 4380: an origin indication may lead
        return _ip_of_tcp(data, at + 8 if u16(data, at) == 0 else at, end)
    return False


@inlined
def _gtp(data: Bytes, at: int, end: int) -> bool:
    """GTP-U version 1 (3GPP TS 29.281): a G-PDU, its extension headers in units of four bytes."""
    flags = u8(data, at)
    if flags >> 5 != 1 or u8(data, at + 1) != 255:
        return False
    at += 8
    if flags & 7:
        at += 4
        while flags & 4 and end - at >= 1 and u8(data, at - 1) != 0:
            if u8(data, at) == 0:
                return False
            at += u8(data, at) * 4
            if at > end:
                return False
    return _ip_of_tcp(data, at, end)


@inlined
def _capwap(data: Bytes, at: int, end: int) -> bool:
    """CAPWAP data (RFC 5415) in clear: an Ethernet frame, or an 802.11 one with LLC and SNAP."""
    if u8(data, at) & 15 != 0:  # DTLS
        return False
    native = u8(data, at + 2) & 1
    at += (u8(data, at + 1) >> 3) * 4
    if not native:
        return _ethernet_of_tcp(data, at, end)
    for header in (24, 26, 30, 32):  # plain, with QoS, with a fourth address, with both
        snap = at + header
        if end - snap >= 8 and u16(data, snap) == 0xAAAA and u16(data, snap + 2) == 0x0300:
            return _typed(data, u16(data, snap + 6), snap + 8, end)
    return False
