"""Whether TCP lies inside a tunnel, one level deep (D18)."""

from __future__ import annotations


def carries_tcp(protocol: int, payload: bytes) -> bool:
    """Whether the payload of an IP packet of `protocol` is a tunnel with TCP in it."""
    if protocol in (4, 41):
        return _in_ip(payload)
    if protocol == 47:
        return _in_gre(payload)
    return protocol == 17 and _in_udp(payload)


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "big")


def _in_ip(data: bytes) -> bool:
    if len(data) >= 20 and data[0] >> 4 == 4:
        return data[0] & 15 >= 5 and data[9] == 6
    return len(data) >= 40 and data[0] >> 4 == 6 and data[6] == 6


def _in_ether_type(ether_type: int, data: bytes) -> bool:
    return ether_type in (0x0800, 0x86DD) and _in_ip(data)


def _in_ethernet(data: bytes) -> bool:
    if len(data) >= 18 and _number(data, 12) == 0x8100:
        data = data[4:]
    return len(data) >= 14 and _in_ether_type(_number(data, 12), data[14:])


def _in_gre(data: bytes) -> bool:
    if len(data) < 4:
        return False
    flags, ether_type = data[0], _number(data, 2)
    checksum, key, sequence = (bool(flags & bit) for bit in (0x80, 0x20, 0x10))
    inner = data[4 + 4 * (checksum + key + sequence) :]
    if ether_type == 0x6558:
        return _in_ethernet(inner)
    if ether_type == 0x88BE:
        return _in_ethernet(inner[8:] if sequence else inner)
    if ether_type == 0x22EB:
        return len(inner) >= 12 and _in_ethernet(inner[20:] if inner[11] & 1 else inner[12:])
    return _in_ether_type(ether_type, inner)


def _in_udp(data: bytes) -> bool:
    ports, inner = (_number(data, 0), _number(data, 2)), data[8:]
    if len(inner) < 8:
        return False
    if 4789 in ports:
        return bool(inner[0] & 8) and _in_ethernet(inner[8:])
    if 6081 in ports:
        behind = inner[8 + 4 * (inner[0] & 63) :]
        ether_type = _number(inner, 2)
        return _in_ethernet(behind) if ether_type == 0x6558 else _in_ether_type(ether_type, behind)
    if 2152 in ports:
        return _in_gtp(inner)
    if 5247 in ports:
        return _in_capwap(inner)
    if 3544 in ports:
        return _in_ip(inner[8:] if inner[:2] == b"\0\0" else inner)
    return False


def _in_gtp(data: bytes) -> bool:
    if data[0] >> 5 != 1 or data[1] != 255:
        return False
    if not data[0] & 7:
        return _in_ip(data[8:])
    following, rest = data[11:12], data[12:]
    while data[0] & 4 and rest and following != b"\0":
        size = 4 * rest[0]
        if not 0 < size <= len(rest):
            return False
        following, rest = rest[size - 1 : size], rest[size:]
    return _in_ip(rest)


def _in_capwap(data: bytes) -> bool:
    if data[0] & 15:
        return False
    inner = data[4 * (data[1] >> 3) :]
    if not data[2] & 1:
        return _in_ethernet(inner)
    for header in (24, 26, 30, 32):
        snap = inner[header:]
        if len(snap) >= 8 and snap.startswith(b"\xaa\xaa\x03\0"):
            return _in_ether_type(_number(snap, 6), snap[8:])
    return False
