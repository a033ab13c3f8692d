"""Link types: their numbers, and the way from a frame to its IP header.

Numbers and layouts: the tcpdump group's list of link-layer header types
(https://www.tcpdump.org/linktypes.html).
"""

from __future__ import annotations

from typing import Final

from halfopen.capture.bytes import file16, file32, u8, u16, u32
from halfopen.jit import inlined
from halfopen.model import Bytes, Counter

NULL: Final = 0
ETHERNET: Final = 1
RAW_BSD: Final = 12
RAW_OPENBSD: Final = 14
RAW: Final = 101
LOOP: Final = 108
SLL: Final = 113
IPV4: Final = 228
IPV6: Final = 229
NFLOG: Final = 239
SLL2: Final = 276

_NOT_IP: Final = -int(Counter.not_ip)
_CUT_SHORT: Final = -int(Counter.cut_short)
_MALFORMED: Final = -int(Counter.malformed)
_UNKNOWN: Final = -int(Counter.unknown_link)

_ETHER_IPV4: Final = 0x0800
_ETHER_IPV6: Final = 0x86DD
_PAYLOAD_ATTRIBUTE: Final = 9  # NFULA_PAYLOAD of <linux/netfilter/nfnetlink_log.h>


@inlined
def lacking(needed: int, wire: int) -> int:
    """Why bytes up to `needed` are not there: the snaplen cut them, or the frame never had them."""
    return _CUT_SHORT if needed <= wire else _MALFORMED


@inlined
def network_layer(data: Bytes, at: int, end: int, wire: int, link: int, big: bool) -> int:
    """Offset of the IP header of a frame, or a negated `Counter` that says why there is none.

    The frame begins at `at`, its captured bytes end before `end`, and on the wire it ended at
    `wire`. `big` is the byte order of the file, which is that of NFLOG's own header fields.
    """
    if link == ETHERNET:
        if end - at < 14:
            return lacking(at + 14, wire)
        return beneath_tags(data, u16(data, at + 12), at + 14, end, wire)
    if link in (RAW, RAW_BSD, RAW_OPENBSD, IPV4, IPV6):
        return at
    if link == SLL:
        if end - at < 16:
            return lacking(at + 16, wire)
        return beneath_tags(data, u16(data, at + 14), at + 16, end, wire)
    if link == SLL2:
        if end - at < 20:
            return lacking(at + 20, wire)
        return beneath_tags(data, u16(data, at), at + 20, end, wire)
    if link in (NULL, LOOP):
        return _loopback(data, at, end, wire)
    if link == NFLOG:
        return _nflog(data, at, end, wire, big)
    return _UNKNOWN


@inlined
def beneath_tags(data: Bytes, protocol: int, at: int, end: int, wire: int) -> int:
    """Past VLAN tags, an MPLS stack or a PPPoE session; `protocol` is the EtherType before `at`. As `network_layer`."""
    while protocol != _ETHER_IPV4 and protocol != _ETHER_IPV6:
        if protocol == 0x8100 or protocol == 0x88A8 or protocol == 0x9100:
            if end - at < 4:
                return lacking(at + 4, wire)
            protocol = u16(data, at + 2)
            at += 4
        elif protocol == 0x8847 or protocol == 0x8848:
            return _beneath_labels(data, at, end, wire)
        elif protocol == 0x8864:
            if end - at < 8:
                return lacking(at + 8, wire)
            ppp = u16(data, at + 6)
            return at + 8 if ppp == 0x0021 or ppp == 0x0057 else _NOT_IP
        else:
            return _NOT_IP
    return at


@inlined
def _beneath_labels(data: Bytes, at: int, end: int, wire: int) -> int:
    """Past the MPLS labels (RFC 3032); what follows is not named, its first four bits must do."""
    bottom = False
    while not bottom:
        if end - at < 4:
            return lacking(at + 4, wire)
        bottom = u8(data, at + 2) & 1 == 1
        at += 4
    if end - at < 1:
        return lacking(at + 1, wire)
    version = u8(data, at) >> 4
    return at if version == 4 or version == 6 else _NOT_IP


@inlined
def _loopback(data: Bytes, at: int, end: int, wire: int) -> int:
    """Past the address family of BSD loopback, in either byte order; AF_INET6 differs by system."""
    if end - at < 4:
        return lacking(at + 4, wire)
    family = u32(data, at)
    if family > 0xFFFF:
        family = file32(data, at, False)
    if family == 2 or family == 10 or family == 24 or family == 28 or family == 30:
        return at + 4
    return _NOT_IP


@inlined
def _nflog(data: Bytes, at: int, end: int, wire: int, big: bool) -> int:
    """To the payload attribute of a netfilter log message; attributes are padded to four bytes."""
    at += 4  # family, version, resource id
    while True:
        if end - at < 4:
            return lacking(at + 4, wire)
        length = file16(data, at, big)
        if length < 4:
            return _MALFORMED
        if file16(data, at + 2, big) == _PAYLOAD_ATTRIBUTE:
            return at + 4
        at += (length + 3) & ~3
