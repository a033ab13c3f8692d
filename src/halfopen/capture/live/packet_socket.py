"""A socket that sees the packets of network interfaces, with the ring they are put into (packet(7), TPACKET_V3).

Opening one needs CAP_NET_RAW, and nothing afterwards: filter and interface are changed without. So this
module imports the standard library only: sockets are opened before privileges are dropped, and threads and
NumPy come after that. A socket stays in the network namespace in which it was opened.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final, TypeAlias

Instruction: TypeAlias = tuple[int, int, int, int]
"""Of classic BPF: code, jumps if true and if false, operand."""

BLOCK: Final = 1 << 20
"""Bytes of a block: the kernel fills one after the other and hands each over as a whole."""

BLOCKS: Final = 64
RETIRE: Final = 50
"""Milliseconds after which a block is handed over that is not full."""

NOTHING: Final[Sequence[Instruction]] = ((0x06, 0, 0, 0),)
"""The program that lets nothing through."""

SOL_PACKET: Final = 263
PACKET_RX_RING, PACKET_STATISTICS, PACKET_VERSION = 5, 6, 10
TPACKET_V3: Final = 2
SO_ATTACH_FILTER: Final = 26
ETH_P_ALL: Final = 3
_FRAME: Final = 2048  # only has to divide a block

_LIBC = ctypes.CDLL(None, use_errno=True)


@contextmanager
def as_option(program: Sequence[Instruction]) -> Iterator[bytes]:
    """A program as the value of SO_ATTACH_FILTER (struct sock_fprog), good inside the block."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in program))
    yield struct.pack("HP", len(program), ctypes.addressof(code))


class PacketSocket:
    """Sees nothing until a program is attached and an interface is bound.

    Opening it raises `PermissionError` without CAP_NET_RAW. Where memory is short the ring has fewer blocks.
    """

    def __init__(self, blocks: int = BLOCKS) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # protocol 0: not one packet yet
        try:
            self.attach(NOTHING)
            self._socket.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V3)
            self.blocks = self._make_ring(blocks)
            self.memory = mmap.mmap(self._socket.fileno(), self.blocks * BLOCK)
        except BaseException:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """A descriptor that can be read when a block is there."""
        return self._socket.fileno()

    def attach(self, program: Sequence[Instruction]) -> None:
        """Let a program decide from the next packet on; OSError (ENOMEM) where it is too large for this system.

        The old one and the new one are there together for a moment. If there is no room for both, nothing is
        let through in between.
        """
        with as_option(program) as option:
            try:
                self._socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, option)
            except OSError as error:
                if error.errno != errno.ENOMEM or program is NOTHING:
                    raise
                self.attach(NOTHING)
                self._socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, option)

    def bind(self, index: int) -> None:
        """Watch the interface of this index instead, 0 for all. One that is down is watched as soon as it is up."""
        # Python's own takes a name, and none that means all.
        address = struct.pack("=HHiHBB8x", socket.AF_PACKET, socket.htons(ETH_P_ALL), index, 0, 0, 0)
        if _LIBC.bind(self.fileno(), address, len(address)):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def statistics(self) -> tuple[int, int]:
        """Packets the program let through since this was asked last, and how many of those found no room."""
        packets, drops, _ = struct.unpack("III", self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 12))
        return packets, drops

    def forgive(self) -> None:
        """Forget an error that makes the descriptor readable, as when the interface goes down."""
        self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def close(self) -> None:
        """See no more; the memory stays as long as somebody looks at it."""
        self._socket.close()
        with suppress(BufferError):
            self.memory.close()

    def _make_ring(self, blocks: int) -> int:
        while True:
            frames = blocks * BLOCK // _FRAME
            ring = struct.pack("7I", BLOCK, blocks, _FRAME, frames, RETIRE, 0, 0)
            try:
                self._socket.setsockopt(SOL_PACKET, PACKET_RX_RING, ring)
            except OSError as error:
                if error.errno != errno.ENOMEM or blocks == 1:
                    raise
                blocks //= 2
            else:
                return blocks
