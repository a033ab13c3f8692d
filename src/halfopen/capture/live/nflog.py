"""What the firewall logs to one NFLOG group, as packets.

Which packets come is decided by rules of the firewall (`nft`), and by nothing here.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from halfopen.capture.bytes import file16, file32, u32
from halfopen.capture.frames import parse_packet
from halfopen.capture.live.wire import Losses
from halfopen.capture.records import keep
from halfopen.jit import kernel
from halfopen.model import PACKET, SECOND, Batch, Bytes, Counter, Rows, empty_rows, new_counters
from halfopen.sampling import Sampling

ROOM: Final = 1 << 20
"""Bytes of datagrams that make one batch."""

AT_ONCE: Final = 80
"""Batches after which whoever reads is let to do something else, however much goes on coming."""

LARGEST: Final = 1 << 17
"""No datagram has as many bytes: one packet of 64 KiB at most, with what is said about it."""

SHORTEST: Final = 16 + 4 + 4 + 34
"""Bytes of a message that makes a row: three heads, and IP and TCP up to the flags."""

NEXT: Final = 0
LOST: Final = 1
SEEN: Final = 2

_BIG: Final = sys.byteorder == "big"
_HEADER: Final = 16  # of a netlink message
_PACKET: Final = 4 << 8  # NFNL_SUBSYS_ULOG, NFULNL_MSG_PACKET
_TIMESTAMP: Final = 3  # NFULA_TIMESTAMP: s and us, of 64 bits each
_PAYLOAD: Final = 9  # NFULA_PAYLOAD
_SEQ: Final = 12  # NFULA_SEQ

_LONGEST: Final = 1 << 16
"""As long as the kernel lets a packet be whose header does not say it; nothing else tells what was cut off."""

_PACKETS: Final = int(Counter.packets)
_MALFORMED: Final = int(Counter.malformed)


class Nflog:
    """A `Wire` of one NFLOG group, on a socket of `nflog_socket.open_group`."""

    def __init__(self, opened: socket.socket, group: int) -> None:
        self.counters = new_counters()
        self._socket = opened
        self._group = group
        self._sequence = np.zeros(3, np.int64)
        self._data = np.empty(ROOM, np.uint8)
        self._rows = empty_rows(PACKET, ROOM // SHORTEST)

    @property
    def name(self) -> str:
        """The group."""
        return f"NFLOG group {self._group}"

    @property
    def waiting(self) -> str:
        """Until the first packet it looks as if nothing were logged to the group."""
        if self._sequence[SEEN]:
            return ""
        return f"{self.name}: nothing was logged to it yet; rules that do so: halfopen sense --print-nft"

    def fileno(self) -> int:
        """The socket's."""
        return self._socket.fileno()

    def batches(self) -> Iterator[Batch]:
        """All packets that are there by now; `ts` is the kernel's, else that of the packet before or the time of reading."""
        room = self._data.data
        for _ in range(AT_ONCE):
            at = n = 0
            while ROOM - at >= LARGEST:
                try:
                    end = at + self._socket.recv_into(room[at:])
                except BlockingIOError:
                    break
                n = walk(self._data, at, end, time.time_ns(), self._rows, n, self.counters, self._sequence)
                at = end
            if not at:
                return
            if n:
                yield Batch(self._rows[:n], self._data)

    def watch(self, ports: frozenset[int], sampling: Sampling) -> None:
        """Nothing: rules of the firewall choose ports and sample, and stay as they are."""

    def look(self) -> None:
        """Nothing: the group stays ours until the socket is closed."""

    def losses(self) -> Losses:
        """By the kernel's numbers of packets in this group; those lost last show with the next one that comes."""
        lost, seen = int(self._sequence[LOST]), int(self._sequence[SEEN])
        return Losses(seen + lost, lost)

    def close(self) -> None:
        """Let go of the group."""
        self._socket.close()


@kernel(np.uint8, int, int, int, PACKET, int, np.int64, np.int64)
def walk(
    data: Bytes,
    at: int,
    end: int,
    now: int,
    rows: Rows,
    n: int,
    counters: NDArray[np.int64],
    sequence: NDArray[np.int64],
) -> int:
    """Read the messages of the datagram in ``data[at:end]``, come at `now` (ns); returns how many rows there are then.

    `sequence` counts: the number that the next packet has (`NEXT`), packets lost before it (`LOST`) and `SEEN`.
    """
    ts = now
    while end - at >= _HEADER:
        length = file32(data, at, _BIG)
        if length < _HEADER or length > end - at or n >= len(rows):
            counters[_PACKETS] += 1
            counters[_MALFORMED] += 1
            return n
        if file16(data, at + 4, _BIG) == _PACKET:
            message = at + length
            begin = message
            stop = message
            attribute = at + _HEADER + 4  # behind family, version and group
            while message - attribute >= 4:
                size = file16(data, attribute, _BIG)
                if size < 4 or size > message - attribute:
                    break
                kind = file16(data, attribute + 2, _BIG)
                value = attribute + 4
                if kind == _PAYLOAD:
                    begin = value
                    stop = attribute + size
                elif kind == _TIMESTAMP and size == 20 and u32(data, value) == 0:
                    ts = u32(data, value + 4) * SECOND + min(u32(data, value + 12) * 1000, SECOND - 1)
                elif kind == _SEQ and size == 8:
                    number = u32(data, value)
                    sequence[LOST] += (number - sequence[NEXT]) & 0xFFFFFFFF
                    sequence[NEXT] = (number + 1) & 0xFFFFFFFF
                attribute += (size + 3) & ~3
            sequence[SEEN] += 1
            counters[_PACKETS] += 1
            outcome = parse_packet(data, begin, stop, max(stop, begin + _LONGEST), rows, n)
            n = keep(outcome, ts, rows, n, counters)
        at += (length + 3) & ~3
    return n
