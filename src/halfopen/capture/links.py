"""Link types: their numbers, their names, and the way from a frame to its IP header.

Numbers and layouts: the tcpdump group's list of link-layer header types
(https://www.tcpdump.org/linktypes.html).
"""

from __future__ import annotations

from typing import Final

from halfopen.capture.bytes import file16, file32, u8, u16, u32
from halfopen.capture.inline import inlined
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

NAMES: Final = {
    3: "AX25", 6: "IEEE802_5", 7: "ARCNET_BSD", 8: "SLIP", 9: "PPP", 10: "FDDI", 11: "ATM_RFC1483",
    19: "ATM_CLIP", 50: "PPP_HDLC", 51: "PPP_ETHER", 100: "ATM_RFC1483", 104: "C_HDLC", 105: "IEEE802_11",
    107: "FRELAY", 109: "ENC", 114: "LTALK", 117: "PFLOG", 119: "IEEE802_11_PRISM", 122: "IP_OVER_FC",
    123: "SUNATM", 127: "IEEE802_11_RADIOTAP", 129: "ARCNET_LINUX", 138: "APPLE_IP_OVER_IEEE1394",
    140: "MTP2", 141: "MTP3", 143: "DOCSIS", 144: "LINUX_IRDA", 163: "IEEE802_11_AVS", 166: "PPP_PPPD",
    169: "GPRS_LLC", 177: "LINUX_LAPD", 187: "BLUETOOTH_HCI_H4", 189: "USB_LINUX", 192: "PPI",
    195: "IEEE802_15_4_WITHFCS", 197: "ERF", 201: "BLUETOOTH_HCI_H4_WITH_PHDR", 202: "AX25_KISS",
    203: "LAPD", 204: "PPP_WITH_DIR", 205: "C_HDLC_WITH_DIR", 206: "FRELAY_WITH_DIR", 209: "IPMB_LINUX",
    215: "IEEE802_15_4_NONASK_PHY", 220: "USB_LINUX_MMAPPED", 224: "FC_2", 226: "IPNET", 227: "CAN_SOCKETCAN",
    230: "IEEE802_15_4_NOFCS", 231: "DBUS", 242: "IPOIB", 243: "MPEG_2_TS", 247: "INFINIBAND",
    248: "SCTP", 249: "USBPCAP", 251: "BLUETOOTH_LE_LL", 253: "NETLINK", 254: "BLUETOOTH_LINUX_MONITOR",
    256: "BLUETOOTH_LE_LL_WITH_PHDR", 258: "PKTAP", 259: "EPON", 264: "ISO_14443", 265: "RDS",
    268: "USB_DARWIN", 270: "ZWAVE_R1_R2", 272: "WATTSTOPPER_DLM", 273: "IEEE802_15_4_TAP", 274: "VSOCK",
    278: "NORDIC_BLE", 279: "DOCSIS31_XRA31", 280: "ETHERNET_MPACKET", 281: "DISPLAYPORT_AUX",
}  # fmt: skip
"""Names of link types that are met but not read, as the list has them (without LINKTYPE_)."""


def link_name(link: int) -> str:
    """Name and number of a link type, ``IEEE802_11 (105)``; a number without a name is ``unnamed``."""
    return f"{NAMES.get(link, 'unnamed')} ({link})"


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
        return _beneath_tags(data, u16(data, at + 12), at + 14, end, wire)
    if link in (RAW, RAW_BSD, RAW_OPENBSD, IPV4, IPV6):
        return at
    if link == SLL:
        if end - at < 16:
            return lacking(at + 16, wire)
        return _beneath_tags(data, u16(data, at + 14), at + 16, end, wire)
    if link == SLL2:
        if end - at < 20:
            return lacking(at + 20, wire)
        return _beneath_tags(data, u16(data, at), at + 20, end, wire)
    if link in (NULL, LOOP):
        return _loopback(data, at, end, wire)
    if link == NFLOG:
        return _nflog(data, at, end, wire, big)
    return _UNKNOWN


@inlined
def _beneath_tags(data: Bytes, protocol: int, at: int, end: int, wire: int) -> int:
    """Past VLAN tags, an MPLS stack or a PPPoE session; `protocol` is the EtherType before `at`."""
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
