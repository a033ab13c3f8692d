"""Netlink messages as the kernel logs packets with them."""

from __future__ import annotations

import struct
from collections.abc import Sequence

PACKET, DONE = 0x400, 3
TIMESTAMP, PAYLOAD, SEQ = 3, 9, 12


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def message(body: bytes, kind: int = PACKET) -> bytes:
    data = struct.pack("=HHII", kind, 0, 0, 0) + body
    return struct.pack("=I", 4 + len(data)) + data + bytes(-len(data) % 4)


def logged(
    packet: bytes, *, seq: int | None = None, time: int | None = None, others: Sequence[bytes] = ()
) -> bytes:
    """A message of one packet; `time` is in us."""
    body = struct.pack(">BBH", 2, 0, 5) + b"".join(others)
    if time is not None:
        body += attribute(TIMESTAMP, struct.pack(">QQ", *divmod(time, 1_000_000)))
    if seq is not None:
        body += attribute(SEQ, struct.pack(">I", seq))
    return message(body + attribute(PAYLOAD, packet))


def done() -> bytes:
    return message(bytes(4), DONE)
