"""A machine for classic BPF in plain Python, as the kernel's Documentation/networking/filter.rst describes it."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass

from halfopen.capture.live.packet_socket import Instruction

MASK = 0xFFFF_FFFF
OPERATIONS = {
    0x00: operator.add,
    0x20: operator.mul,
    0x50: operator.and_,
    0x60: operator.lshift,
    0x70: operator.rshift,
    0xA0: operator.xor,
}
ETHERNET, LOOPBACK, NONE = 1, 772, 0xFFFE  # ARPHRD_*
HOST, OTHER_HOST, OUTGOING = 0, 3, 4  # PACKET_*


@dataclass(frozen=True)
class Packet:
    """What a program sees: the bytes from where the socket sees them, and what the kernel knows beside them."""

    data: bytes
    kind: int = HOST
    hardware: int = ETHERNET
    interface: int = 1
    protocol: int = 0x0800
    network: int = 14  # offset of the network header


def run(program: Sequence[Instruction], packet: Packet) -> int:
    """How many bytes the program keeps; a read beyond the packet ends it with none."""
    a = x = at = 0
    memory: dict[int, int] = {}

    def read(offset: int, size: int) -> int:
        if offset >= 0xFFFF_F000:
            known = {0: packet.protocol, 4: packet.kind, 8: packet.interface, 28: packet.hardware}
            return known[offset - 0xFFFF_F000]
        if offset >= 0xFFF0_0000:
            offset += packet.network - 0xFFF0_0000
        if offset + size > len(packet.data):
            raise EOFError
        return int.from_bytes(packet.data[offset : offset + size], "big")

    sizes = {0x00: 4, 0x08: 2, 0x10: 1}
    try:
        while True:
            code, yes, no, k = program[at]
            at += 1
            if code == 0x06:
                return k
            if code == 0x05:
                at += k
            elif code in (0x15, 0x35, 0x45):
                holds = {0x15: a == k, 0x35: a >= k, 0x45: bool(a & k)}[code]
                at += yes if holds else no
            elif code & 0xE7 == 0x20:
                a = read(k, sizes[code & 0x18])
            elif code & 0xE7 == 0x40:
                a = read(x + k & MASK, sizes[code & 0x18])
            elif code == 0xB1:
                x = 4 * (read(k, 1) & 15)
            elif code == 0x02:
                memory[k] = a
            elif code == 0x60:
                a = memory[k]
            elif code == 0x61:
                x = memory[k]
            elif code == 0x00:
                a = k
            elif code == 0x01:
                x = k
            elif code == 0x07:
                x = a
            else:
                operand = x if code & 0x08 else k
                a = OPERATIONS[code & 0xF0](a, operand) & MASK
    except EOFError:
        return 0
