"""Packets with every field settable: TCP, UDP, ICMP and tunnels over IPv4 and IPv6 (RFC 791, 8200, 9293).

Every function returns the bytes of one IP packet; `links` wraps it into a frame, `pcap` into a file.
Checksums are right unless a fragment or an override makes them wrong. Addresses are text, ends are
``(address, port)``.
"""

from __future__ import annotations

import struct
from ipaddress import ip_address
from typing import Final, TypeAlias

from halfopen.model import Flag

End: TypeAlias = tuple[str, int]

SYN, ACK, RST, FIN, PSH = Flag.SYN, Flag.ACK, Flag.RST, Flag.FIN, Flag.PSH
SYN_ACK: Final = SYN | ACK
RST_ACK: Final = RST | ACK
FIN_ACK: Final = FIN | ACK
PSH_ACK: Final = PSH | ACK

ICMP, IPIP, TCP, UDP, SIX_IN_FOUR, GRE, ICMPV6 = 1, 4, 6, 17, 41, 47, 58

MSS_1460: Final = b"\x02\x04\x05\xb4"
LINUX_SYN_OPTIONS: Final = bytes.fromhex("020405b4 0402 080a0000000100000000 01 030307")
"""MSS, SACK permitted, time stamps, scale 7: the order of Linux."""

WINDOWS_SYN_OPTIONS: Final = bytes.fromhex("020405b4 01 030308 01 01 0402")
"""MSS, scale 8, SACK permitted: the order of Windows, and of ZMap since 4.2."""


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(
    src: str,
    dst: str,
    protocol: int,
    payload: bytes,
    *,
    ttl: int = 64,
    ip_id: int = 0,
    dont_fragment: bool = True,
    more_fragments: bool = False,
    fragment_offset: int = 0,
    ip_options: bytes = b"",
    total_length: int | None = None,
) -> bytes:
    """An IPv4 packet; `fragment_offset` counts bytes, `total_length` overrides the true one."""
    words = 5 + len(ip_options) // 4
    length = words * 4 + len(payload) if total_length is None else total_length
    place = dont_fragment << 14 | more_fragments << 13 | fragment_offset // 8
    head = struct.pack("!BBHHHBBH", 0x40 | words, 0, length, ip_id, place, ttl, protocol, 0)
    head += ip_address(src).packed + ip_address(dst).packed + ip_options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ipv6(
    src: str,
    dst: str,
    protocol: int,
    payload: bytes,
    *,
    ttl: int = 64,
    extensions: bytes = b"",
    first: int = 0,
) -> bytes:
    """An IPv6 packet; `extensions` are ready-made headers, the first of type `first`, the last naming `protocol`."""
    body = extensions + payload
    head = struct.pack("!IHBB", 0x6000_0000, len(body), first if extensions else protocol, ttl)
    return head + ip_address(src).packed + ip_address(dst).packed + body


def extension(next_header: int, data: bytes = b"\x01\x04\0\0\0\0") -> bytes:
    """An IPv6 extension header (hop-by-hop, routing, destination options): RFC 8200 section 4.2.

    `data` is what follows the two first bytes; together they must be a multiple of 8 long.
    """
    return bytes([next_header, (len(data) + 2) // 8 - 1]) + data


def ip(src: str, dst: str, protocol: int, payload: bytes, ttl: int = 64) -> bytes:
    """An IPv4 or IPv6 packet, as the addresses say."""
    return (ipv6 if ":" in src else ipv4)(src, dst, protocol, payload, ttl=ttl)


def segment(
    src: End,
    dst: End,
    flags: int,
    *,
    seq: int = 0,
    ack: int = 0,
    window: int = 64240,
    payload: bytes = b"",
    options: bytes = b"",
    urgent: int = 0,
) -> bytes:
    """The TCP segment alone, checksum included; `options` are padded to whole words with zeros."""
    padded = options + b"\0" * (-len(options) % 4)
    offset_and_flags = (5 + len(padded) // 4) << 12 | int(flags)
    head = struct.pack(
        "!HHIIHHHH",
        src[1],
        dst[1],
        seq & 0xFFFF_FFFF,
        ack & 0xFFFF_FFFF,
        offset_and_flags,
        window,
        0,
        urgent,
    )
    whole = head + padded + payload
    return (
        whole[:16]
        + struct.pack("!H", checksum(_pseudo(src[0], dst[0], TCP, len(whole)) + whole))
        + whole[18:]
    )


def tcp(
    src: End,
    dst: End,
    flags: int,
    *,
    seq: int = 0,
    ack: int = 0,
    window: int = 64240,
    payload: bytes = b"",
    options: bytes = b"",
    urgent: int = 0,
    ttl: int = 64,
    ip_id: int = 0,
    dont_fragment: bool = True,
    ip_options: bytes = b"",
) -> bytes:
    """A TCP packet over IPv4 or IPv6; `ip_id`, `dont_fragment` and `ip_options` say nothing for IPv6."""
    body = segment(
        src, dst, flags, seq=seq, ack=ack, window=window, payload=payload, options=options, urgent=urgent
    )
    if ":" in src[0]:
        return ipv6(src[0], dst[0], TCP, body, ttl=ttl)
    return ipv4(
        src[0], dst[0], TCP, body, ttl=ttl, ip_id=ip_id, dont_fragment=dont_fragment, ip_options=ip_options
    )


def udp(src: End, dst: End, payload: bytes, *, ttl: int = 64) -> bytes:
    """A UDP packet."""
    whole = struct.pack("!HHHH", src[1], dst[1], 8 + len(payload), 0) + payload
    total = checksum(_pseudo(src[0], dst[0], UDP, len(whole)) + whole)
    return ip(src[0], dst[0], UDP, whole[:6] + struct.pack("!H", total) + whole[8:], ttl)


def unreachable(
    by: str, quoted: bytes, *, code: int = 1, quoted_bytes: int | None = None, ttl: int = 64
) -> bytes:
    """ICMP or ICMPv6 destination unreachable from `by` to the sender of the packet `quoted`.

    IPv4 quotes the header and 8 bytes unless `quoted_bytes` says otherwise (RFC 792), IPv6 as much as
    fits 1280 (RFC 4443).
    """
    if quoted[0] >> 4 == 4:
        kept = (quoted[0] & 15) * 4 + 8 if quoted_bytes is None else quoted_bytes
        body = struct.pack("!BBHI", 3, code, 0, 0) + quoted[:kept]
        body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
        return ipv4(by, str(ip_address(quoted[12:16])), ICMP, body, ttl=ttl, dont_fragment=False)
    sender = str(ip_address(quoted[8:24]))
    kept = 1280 - 48 if quoted_bytes is None else quoted_bytes
    body = struct.pack("!BBHI", 1, code, 0, 0) + quoted[:kept]
    total = checksum(_pseudo(by, sender, ICMPV6, len(body)) + body)
    return ipv6(by, sender, ICMPV6, body[:2] + struct.pack("!H", total) + body[4:], ttl=ttl)


def ipip(src: str, dst: str, inner: bytes) -> bytes:
    """`inner` in IPIP (RFC 2003) or 6in4 (RFC 4213), as its version says."""
    return ip(src, dst, IPIP if inner[0] >> 4 == 4 else SIX_IN_FOUR, inner)


def gre(src: str, dst: str, inner: bytes) -> bytes:
    """`inner`, an IP packet, in GRE without options (RFC 2784)."""
    return ip(src, dst, GRE, struct.pack("!HH", 0, 0x0800 if inner[0] >> 4 == 4 else 0x86DD) + inner)


def vxlan(src: str, dst: str, inner_frame: bytes, *, vni: int = 5) -> bytes:
    """`inner_frame`, an Ethernet frame, in VXLAN (RFC 7348)."""
    return udp((src, 49152), (dst, 4789), struct.pack("!II", 0x0800_0000, vni << 8) + inner_frame)


def geneve(src: str, dst: str, inner_frame: bytes, *, vni: int = 5) -> bytes:
    """`inner_frame`, an Ethernet frame, in GENEVE without options (RFC 8926)."""
    return udp((src, 49152), (dst, 6081), struct.pack("!HHI", 0, 0x6558, vni << 8) + inner_frame)


def gtp(src: str, dst: str, inner: bytes, *, tunnel: int = 7) -> bytes:
    """`inner`, an IP packet, in GTP-U version 1 (3GPP TS 29.281)."""
    return udp((src, 2152), (dst, 2152), struct.pack("!BBHI", 0x30, 0xFF, len(inner), tunnel) + inner)


def _pseudo(src: str, dst: str, protocol: int, length: int) -> bytes:
    ends = ip_address(src).packed + ip_address(dst).packed
    return ends + (
        struct.pack("!II", length, protocol) if ":" in src else struct.pack("!HH", protocol, length)
    )
