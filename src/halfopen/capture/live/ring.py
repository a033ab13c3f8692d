"""The live source of packets of network interfaces: what a packet socket hands over, as rows.

The kernel fills blocks of memory and each is read where it lies; nothing is copied. A block is the kernel's
again when its batch was consumed. Layout: packet(7) and <linux/if_packet.h>, TPACKET_V3.

Packets are seen as the system's own TCP sees them: where the interface puts segments together (GRO), a row is
several of them. That changes no stage: SYN and RST are never merged, and PSH or FIN ends a merge and stays in its flags.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from halfopen.capture.bytes import file16, file32, u16
from halfopen.capture.frames import parse_packet
from halfopen.capture.links import ETHERNET, beneath_tags, network_layer
from halfopen.capture.live import ANY
from halfopen.capture.live.devices import ARPHRD_LOOPBACK, Device, Devices, doubles
from halfopen.capture.live.packet_socket import BLOCK, PacketSocket
from halfopen.capture.live.program import ALL_PORTS, program
from halfopen.capture.live.wire import Losses
from halfopen.capture.records import keep
from halfopen.jit import kernel
from halfopen.model import PACKET, SECOND, Batch, Bytes, Counter, Rows, empty_rows, new_counters
from halfopen.sampling import Sampling

_BIG: Final = sys.byteorder == "big"
_KERNEL, _USER = 0, 1  # whose a block is: TP_STATUS_*
_STATUS, _PACKETS_HERE, _FIRST = 8, 12, 16  # struct tpacket_block_desc
# struct tpacket3_hdr
_SECONDS, _NANOSECONDS, _CAPTURED, _LENGTH = 4, 8, 12, 16
_FRAME_AT, _NETWORK_AT = 24, 26
_PROTOCOL, _HARDWARE = 48 + 2, 48 + 8  # struct sockaddr_ll, which follows
_LEAST: Final = 48 + 20
"""Bytes that a packet takes in a block at least."""

_PACKETS: Final = int(Counter.packets)
_ARPHRD_ETHERNET: Final = 1
_ARPHRD_LOOPBACK: Final = ARPHRD_LOOPBACK


class Ring:
    """A `Wire` over the packets of one interface by its name, which need not be there yet, or of `ANY`.

    Takes what was opened before privileges were dropped, and closes it in the end.
    """

    def __init__(self, socket: PacketSocket, devices: Devices, name: str) -> None:
        self.name = name
        self.waiting = ""
        self.loopback = name == ANY
        """Whether the host's own interface is watched, too."""
        self.counters = new_counters()
        self._socket = socket
        self._devices = devices
        self._memory = np.frombuffer(socket.memory, np.uint8).reshape(socket.blocks, BLOCK)
        self._status = self._memory.view(np.uint32)[:, _STATUS // 4]
        self._rows = empty_rows(PACKET, BLOCK // _LEAST)
        self._next = 0
        self._received = self._dropped = 0
        self._without: frozenset[int] = frozenset()
        self._wanted: tuple[frozenset[int], Sampling] | None = None
        # Nothing is there yet: what has to be compiled is, before packets come.
        walk(self._memory[0], self._rows, self.counters)
        self._find()

    def fileno(self) -> int:
        """A descriptor that can be read when packets are there."""
        return self._socket.fileno()

    def batches(self) -> Iterator[Batch]:
        """The packets of every block that is full or 50 ms old (`Wire.batches`)."""
        if self._status[self._next] == _KERNEL:
            self._socket.forgive()  # nothing is there and yet we were called
        for _ in range(self._socket.blocks):
            # The kernel writes the status last, and the call of the kernel below is a barrier to reading ahead.
            if not self._status[self._next] & _USER:
                return
            block = self._memory[self._next]
            try:
                made = walk(block, self._rows, self.counters)
                if made:
                    yield Batch(self._rows[:made], block)
            finally:
                self._status[self._next] = _KERNEL
                self._next = (self._next + 1) % self._socket.blocks

    def watch(self, ports: frozenset[int], sampling: Sampling) -> None:
        """From now on hand on what `program` lets through for these server ports and this sample."""
        self._wanted = ports, sampling
        try:
            self._socket.attach(program(ports, sampling, self._without))
        except OSError as error:
            if error.errno != errno.ENOMEM:  # longer than this system allows (net.core.optmem_max)
                raise
            self._socket.attach(program(ALL_PORTS, sampling, self._without))

    def look(self) -> None:
        """See whether interfaces have come, gone or changed."""
        if self._devices.changed():
            self._find()

    def losses(self) -> Losses:
        """Packets that the program let through, and how many of them found all blocks full."""
        received, dropped = self._socket.statistics()
        self._received += received
        self._dropped += dropped
        return Losses(self._received, self._dropped)

    def close(self) -> None:
        """Stop watching."""
        del self._memory, self._status
        self._socket.close()
        self._devices.close()

    def _find(self) -> None:
        devices = self._devices.all()
        if self.name == ANY:
            self._leave_out(doubles(devices))
            self._socket.bind(0)
            return
        device = next((each for each in devices if each.name == self.name), None)
        if device:
            try:
                self._socket.bind(device.index)  # nothing happens where it is bound already
            except OSError as error:
                if error.errno != errno.ENODEV:
                    raise
                device = None  # it went after it was listed; should it come back, that is told
            else:
                self.loopback = device.loopback
        self.waiting = _waiting(self.name, device)

    def _leave_out(self, without: frozenset[int]) -> None:
        if without != self._without:
            self._without = without
            if self._wanted:
                self.watch(*self._wanted)


def _waiting(name: str, device: Device | None) -> str:
    if device is None:
        return f"there is no interface {name}"
    return "" if device.up else f"the interface {name} is down"


@kernel(np.uint8, PACKET, np.int64)
def walk(block: Bytes, rows: Rows, counters: NDArray[np.int64]) -> int:
    """Read all packets of a block; returns how many rows they made. There must be room for a row each."""
    at = file32(block, _FIRST, _BIG)
    n = 0
    for _ in range(file32(block, _PACKETS_HERE, _BIG)):
        frame = at + file16(block, at + _FRAME_AT, _BIG)
        captured = file32(block, at + _CAPTURED, _BIG)
        end = frame + captured
        wire = frame + max(captured, file32(block, at + _LENGTH, _BIG))
        hardware = file16(block, at + _HARDWARE, _BIG)
        if hardware in (_ARPHRD_ETHERNET, _ARPHRD_LOOPBACK):
            network = network_layer(block, frame, end, wire, ETHERNET, False)
        else:
            network = at + file16(block, at + _NETWORK_AT, _BIG)
            network = beneath_tags(block, u16(block, at + _PROTOCOL), network, end, wire)
        ts = file32(block, at + _SECONDS, _BIG) * SECOND + file32(block, at + _NANOSECONDS, _BIG)
        counters[_PACKETS] += 1
        n = keep(parse_packet(block, network, end, wire, rows, n), ts, rows, n, counters)
        at += file32(block, at, _BIG)  # tp_next_offset
    return n
