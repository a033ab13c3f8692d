"""pcap files: one file header, then records (draft-ietf-opsawg-pcap)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from halfopen.capture.bytes import file32
from halfopen.capture.reading import Reading, check_end, cut
from halfopen.capture.records import FULL, LARGEST_FRAME, MORE, WRONG, take
from halfopen.capture.window import Window
from halfopen.errors import CaptureError
from halfopen.jit import kernel
from halfopen.model import PACKET, SECOND, Batch, Bytes, Rows

FILE_HEADER: Final = 24
RECORD_HEADER: Final = 16

SCALES: Final = {
    bytes.fromhex("a1b2c3d4"): (1000, True),
    bytes.fromhex("d4c3b2a1"): (1000, False),
    bytes.fromhex("a1b23c4d"): (1, True),
    bytes.fromhex("4d3cb2a1"): (1, False),
}
"""Nanoseconds in the fraction of a time stamp, and whether the file is big-endian, by magic number."""


def read_pcap(window: Window, file: str, reading: Reading) -> Iterator[Batch]:
    """The packets of a pcap stream; ends with a `CaptureError` where it is damaged."""
    if not window.hold(FILE_HEADER):
        raise cut(window, file, 0, "a pcap file header")
    header = window.data[:FILE_HEADER].tobytes()
    scale, big = SCALES[header[:4]]
    link = int.from_bytes(header[20:], "big" if big else "little") & 0xFFFF  # above: length of an FCS
    window.pass_over(FILE_HEADER)

    def step(data: Bytes, rows: Rows) -> tuple[int, int, int]:
        return walk(data, big, scale, link, rows, reading.counters, reading.links, reading.clock)

    status = yield from reading.walked(window, step)
    if status == WRONG:
        raise CaptureError(file, window.offset, f"expected a packet record of at most {LARGEST_FRAME} bytes")
    check_end(window, file, "a packet record")


@kernel(np.uint8, int, int, int, PACKET, np.int64, np.int64, np.int64, results=3)
def walk(
    data: Bytes,
    big: bool,
    scale: int,
    link: int,
    rows: Rows,
    counters: NDArray[np.int64],
    links: NDArray[np.int64],
    clock: NDArray[np.int64],
) -> tuple[int, int, int]:
    """Read records from the start of `data`: bytes read, rows made, and why it stopped (`records`)."""
    at = 0
    n = 0
    end = len(data)
    while n < len(rows) - 1:  # a packet makes two rows where the clock steps back
        if end - at < RECORD_HEADER:
            return at, n, MORE
        captured = file32(data, at + 8, big)
        if captured > LARGEST_FRAME:
            return at, n, WRONG
        frame = at + RECORD_HEADER
        if end - frame < captured:
            return at, n, MORE
        # A fraction of a second or more is no time; the packet keeps its second.
        ts = file32(data, at, big) * SECOND + min(file32(data, at + 4, big) * scale, SECOND - 1)
        length = max(captured, file32(data, at + 12, big))
        at = frame + captured
        n = take(data, frame, at, frame + length, ts, link, big, rows, n, counters, links, clock)
    return at, n, FULL
