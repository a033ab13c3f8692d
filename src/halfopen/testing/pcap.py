"""Classic pcap files: micro- or nanoseconds, either byte order, cut by a snaplen or not."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeAlias

ByteOrder: TypeAlias = Literal["little", "big"]

FULL = 262_144


class Frame(NamedTuple):
    """One recorded packet: time in ns since the epoch, its bytes, and its length on the wire if longer."""

    ts: int
    data: bytes
    length: int | None = None


def header(
    link: int = 1, *, nanoseconds: bool = True, byteorder: ByteOrder = "little", snaplen: int = FULL
) -> bytes:
    """The 24 bytes a pcap file begins with."""
    magic = 0xA1B2_3C4D if nanoseconds else 0xA1B2_C3D4
    return struct.pack(_order(byteorder) + "IHHiIII", magic, 2, 4, 0, 0, snaplen, link)


def record(
    frame: Frame, *, nanoseconds: bool = True, byteorder: ByteOrder = "little", snaplen: int = FULL
) -> bytes:
    """One packet record, cut at `snaplen`."""
    seconds, rest = divmod(frame.ts, 1_000_000_000)
    kept = frame.data[:snaplen]
    length = len(frame.data) if frame.length is None else frame.length
    part = rest if nanoseconds else rest // 1000
    return struct.pack(_order(byteorder) + "IIII", seconds, part, len(kept), length) + kept


def pcap(
    frames: Iterable[Frame],
    link: int = 1,
    *,
    nanoseconds: bool = True,
    byteorder: ByteOrder = "little",
    snaplen: int = FULL,
) -> bytes:
    """A whole file, the frames in the order given."""
    parts = [header(link, nanoseconds=nanoseconds, byteorder=byteorder, snaplen=snaplen)]
    parts += [record(f, nanoseconds=nanoseconds, byteorder=byteorder, snaplen=snaplen) for f in frames]
    return b"".join(parts)


def read_pcap(data: bytes) -> tuple[int, list[Frame]]:
    """Link type and frames of a well-formed classic pcap, for scripts that re-make one; damage raises ValueError."""
    magic = data[:4].hex()
    kinds = {"4d3cb2a1": ("<", 1), "d4c3b2a1": ("<", 1000), "a1b23c4d": (">", 1), "a1b2c3d4": (">", 1000)}
    if magic not in kinds:
        raise ValueError(f"not a classic pcap: begins with {magic}")
    order, unit = kinds[magic]
    (link,) = struct.unpack_from(order + "I", data, 20)
    frames, at = [], 24
    while at < len(data):
        if at + 16 > len(data):
            raise ValueError(f"cut short at byte {at}")
        seconds, part, kept, length = struct.unpack_from(order + "IIII", data, at)
        at += 16
        if at + kept > len(data):
            raise ValueError(f"cut short at byte {at}")
        frames.append(Frame(seconds * 1_000_000_000 + part * unit, data[at : at + kept], length))
        at += kept
    return link, frames


def _order(byteorder: ByteOrder) -> str:
    return "<" if byteorder == "little" else ">"
