"""pcapng files: sections of blocks (draft-ietf-opsawg-pcapng)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from halfopen.capture.bytes import file16, file32
from halfopen.capture.interfaces import INTERFACE, INTERFACES, described, nanoseconds
from halfopen.capture.reading import Reading, check_end, cut
from halfopen.capture.records import BLOCK, CLOCK, FULL, LARGEST_FRAME, MORE, WRONG, take
from halfopen.capture.window import HELD, Window
from halfopen.errors import CaptureError
from halfopen.jit import kernel
from halfopen.model import PACKET, Batch, Bytes, Rows

SECTION_HEADER: Final = bytes.fromhex("0a0d0d0a")
"""The type of a section header block, which reads the same in either byte order."""

_SECTION: Final = 0x0A0D0D0A
_DESCRIPTION: Final = 1
_OBSOLETE: Final = 2
_SIMPLE: Final = 3
_ENHANCED: Final = 6
_SMALLEST: Final = 12

_ODD: Final = WRONG
_NO_INTERFACE: Final = WRONG + 1
_NO_FIT: Final = WRONG + 2
_EXPECTED: Final = {
    _ODD: "expected a block length that is a multiple of 4, at least 12 and repeated at the end",
    _NO_INTERFACE: "expected a packet of an interface described before",
    _NO_FIT: f"expected packet data of at most {LARGEST_FRAME} bytes that fits its block",
}


class _Section:
    """The section being read: its byte order and the interfaces described so far."""

    def __init__(self) -> None:
        self.order: Literal["big", "little"] = "little"
        self.interfaces = np.empty(INTERFACES, INTERFACE)  # untouched memory costs nothing
        self.count = 0

    def pass_block(self, window: Window, file: str) -> None:
        """Move over the block that begins here, whatever its size, and note what it says."""
        start = window.offset
        window.hold(16)
        head = window.data[:16].tobytes()
        if head[:4] == SECTION_HEADER:
            if len(head) < 16:
                raise cut(window, file, start, "a pcapng section header")
            self._begin(head, file, start)
        order = self.order
        size = int.from_bytes(head[4:8], order)
        if size < _SMALLEST or size % 4:
            raise CaptureError(file, start, _EXPECTED[_ODD])
        if not window.hold(min(size, HELD)):
            raise cut(window, file, start, "a pcapng block")
        if int.from_bytes(head[:4], order) == _DESCRIPTION:
            self._describe(window.data[8 : min(size - 4, HELD)].tobytes(), file, start)
        if not window.skip(size - 4) or not window.hold(4):
            raise cut(window, file, start, "a pcapng block")
        if window.data[:4].tobytes() != head[4:8]:
            raise CaptureError(file, start, _EXPECTED[_ODD])
        window.pass_over(4)

    def _begin(self, head: bytes, file: str, start: int) -> None:
        magic = head[8:12]
        if magic not in (b"\x1a\x2b\x3c\x4d", b"\x4d\x3c\x2b\x1a"):
            raise CaptureError(file, start, "expected the byte-order magic of a pcapng section")
        self.order = "big" if magic[0] == 0x1A else "little"
        self.count = 0
        if int.from_bytes(head[12:14], self.order) != 1:
            raise CaptureError(file, start, "expected a pcapng section of version 1")

    def _describe(self, body: bytes, file: str, start: int) -> None:
        if self.count == INTERFACES:
            raise CaptureError(file, start, f"expected at most {INTERFACES} interfaces in a section")
        if len(body) < 8:
            raise CaptureError(file, start, "expected the link type and snaplen of an interface")
        self.interfaces[self.count] = described(body, self.order)
        self.count += 1


def read_pcapng(window: Window, file: str, reading: Reading) -> Iterator[Batch]:
    """The packets of a pcapng stream; ends with a `CaptureError` where it is damaged."""
    section = _Section()

    def step(data: Bytes, rows: Rows) -> tuple[int, int, int]:
        interfaces = section.interfaces[: section.count]
        return walk(
            data, section.order == "big", interfaces, rows, reading.counters, reading.links, reading.clock
        )

    status = BLOCK
    while status == BLOCK:
        section.pass_block(window, file)
        status = yield from reading.walked(window, step)
    if status in _EXPECTED:
        raise CaptureError(file, window.offset, _EXPECTED[status])
    check_end(window, file, "a pcapng block")


@kernel(np.uint8, int, INTERFACE, PACKET, np.int64, np.int64, np.int64, results=3)
def walk(
    data: Bytes,
    big: bool,
    interfaces: Rows,
    rows: Rows,
    counters: NDArray[np.int64],
    links: NDArray[np.int64],
    clock: NDArray[np.int64],
) -> tuple[int, int, int]:
    """Read blocks from the start of `data`: bytes read, rows made, and why it stopped (`records`).

    Packets are taken and small blocks of other kinds passed over; those that change the section,
    and large ones, are left to the caller (`BLOCK`).
    """
    at = 0
    n = 0
    end = len(data)
    while n < len(rows) - 1:  # a packet makes two rows where the clock steps back
        if end - at < _SMALLEST:
            return at, n, MORE
        kind = file32(data, at, big)
        size = file32(data, at + 4, big)
        if kind in (_SECTION, _DESCRIPTION):
            return at, n, BLOCK
        if size < _SMALLEST or size & 3:
            return at, n, _ODD
        packet = kind in (_ENHANCED, _SIMPLE, _OBSOLETE)
        if size > HELD:
            return at, n, _NO_FIT if packet else BLOCK
        if end - at < size:
            return at, n, MORE
        if file32(data, at + size - 4, big) != size:
            return at, n, _ODD
        if packet:
            header = 12 if kind == _SIMPLE else 28
            room = size - header - 4
            if room < 0:
                return at, n, _NO_FIT
            number = 0
            if kind == _ENHANCED:
                number = file32(data, at + 8, big)
            elif kind == _OBSOLETE:
                number = file16(data, at + 8, big)
            if number >= len(interfaces):
                return at, n, _NO_INTERFACE
            interface = interfaces[number]
            length = file32(data, at + header - 4, big)
            if kind == _SIMPLE:
                captured: int = min(length, interface["snaplen"])
                ts = clock[CLOCK]
            else:
                captured = file32(data, at + 20, big)
                ts = nanoseconds(file32(data, at + 12, big), file32(data, at + 16, big), interface)
            if captured > room or captured > LARGEST_FRAME:
                return at, n, _NO_FIT
            frame = at + header
            wire = frame + max(captured, length)
            n = take(
                data,
                frame,
                frame + captured,
                wire,
                ts,
                interface["link"],
                big,
                rows,
                n,
                counters,
                links,
                clock,
            )
        at += size
    return at, n, FULL
