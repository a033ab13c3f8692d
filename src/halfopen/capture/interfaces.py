"""Interfaces of a pcapng section: link type, snaplen, and what its time stamps count."""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np

from halfopen.jit import inlined
from halfopen.model import SECOND

INTERFACES: Final = 1 << 16
"""Most interfaces of one section."""

LATEST: Final = (1 << 62) - 1
"""Largest time stamp, ns (in the year 2116): later ones are taken for it, ones before 1970 for 0."""

INTERFACE: Final = np.dtype(
    [
        ("multiplier", np.uint64),  # decimal: ns = ticks * multiplier // divisor
        ("divisor", np.uint64),
        ("most", np.uint64),  # ticks that stay within LATEST
        ("offset", np.int64),  # ns, added
        ("snaplen", np.int64),
        ("link", np.int64),
        ("shift", np.uint8),  # binary: seconds are ticks >> shift
        ("binary", np.uint8),
    ],
    align=True,
)

_RESOLUTION: Final = 9  # if_tsresol
_OFFSET: Final = 14  # if_tsoffset
_COUNT: Final = (1 << 64) - 1  # largest
_NO_SNAPLEN: Final = 0xFFFFFFFF

_U32: Final = np.uint64(32)
_LOW: Final = np.uint64(0xFFFFFFFF)
_SECOND: Final = np.uint64(SECOND)
_LATEST: Final = np.uint64(LATEST)
_LATEST_SECOND: Final = np.uint64(LATEST // SECOND)


def described(body: bytes, order: Literal["big", "little"]) -> tuple[Any, ...]:
    """A row of INTERFACE from the body (at least 8 bytes) of an interface description block."""
    link = int.from_bytes(body[:2], order)
    snaplen = int.from_bytes(body[4:8], order) or _NO_SNAPLEN
    resolution, offset = 6, 0
    at = 8
    while len(body) - at >= 4:
        code, length = int.from_bytes(body[at : at + 2], order), int.from_bytes(body[at + 2 : at + 4], order)
        value = body[at + 4 : at + 4 + length]
        if code == 0:
            break
        if code == _RESOLUTION and len(value) == 1:
            resolution = value[0]
        elif code == _OFFSET and len(value) == 8:
            offset = int.from_bytes(value, order, signed=True)
        at += 4 + (length + 3) // 4 * 4
    offset = max(-LATEST, min(offset * SECOND, LATEST))
    exponent = resolution & 0x7F
    if resolution & 0x80:
        return 1, 1, LATEST, offset, snaplen, link, exponent, True
    multiplier, divisor = 10 ** max(9 - exponent, 0), 10 ** max(exponent - 9, 0)
    if divisor > _COUNT:  # so fine that no count makes a nanosecond
        multiplier, divisor, most = 0, 1, _COUNT
    else:
        most = min(((LATEST + 1) * divisor - 1) // multiplier, _COUNT)
    return multiplier, divisor, most, offset, snaplen, link, 0, False


@inlined
def nanoseconds(high: int, low: int, interface: Any) -> int:
    """The time of a packet, ns, from the two halves of its count, between 0 and `LATEST`."""
    ticks = np.uint64(high) << _U32 | np.uint64(low)
    if interface["binary"]:
        ns = _binary(ticks, np.uint64(interface["shift"]))
    else:
        ns = _LATEST
        if ticks <= interface["most"]:
            ns = ticks * interface["multiplier"]
            if interface["divisor"] > np.uint64(1):
                ns //= interface["divisor"]
    ts: int = np.int64(min(ns, _LATEST)) + interface["offset"]
    return min(max(ts, 0), LATEST)


@inlined
def _binary(ticks: np.uint64, shift: np.uint64) -> np.uint64:
    """Ticks of 2**-shift seconds as whole ns, exactly: the fraction times 10**9 in two halves."""
    seconds = ticks >> shift if shift < np.uint64(64) else np.uint64(0)
    if seconds > _LATEST_SECOND:
        return _LATEST
    fraction = ticks - (seconds << shift) if shift < np.uint64(64) else ticks
    low = (fraction & _LOW) * _SECOND
    if shift < _U32:
        return seconds * _SECOND + (low >> shift)
    high = (fraction >> _U32) * _SECOND + (low >> _U32)
    rest = shift - _U32
    return seconds * _SECOND + (high >> rest if rest < np.uint64(64) else np.uint64(0))
