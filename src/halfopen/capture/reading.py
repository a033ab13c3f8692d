"""What is known of a capture while it is read, and the loop that hands data to a walking kernel."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Final

import numpy as np

from halfopen.capture.records import FULL, LINKS, MORE, new_clock
from halfopen.capture.window import BUFFERS, Window
from halfopen.errors import CaptureError
from halfopen.model import PACKET, Batch, Bytes, Rows, empty_rows, new_counters

ROWS: Final = 16384
"""Rows of a batch: few enough to stay in a core's own cache."""

Step = Callable[[Bytes, Rows], tuple[int, int, int]]
"""Reads on: bytes read, rows made, and why it stopped (`records`)."""


class Reading:
    """Counters, clock and rows of one capture, whatever its files and their formats."""

    def __init__(self) -> None:
        self.counters = new_counters()
        self.links = np.zeros(LINKS, np.int64)
        self.clock = new_clock()
        self._rows: list[Rows] = []
        self._turn = 0

    def release(self) -> None:
        """Let go of the rows, which make up nearly all of its memory."""
        self._rows = []

    def walked(self, window: Window, step: Step) -> Generator[Batch, None, int]:
        """Batches (empty ones, too) until `step` stops for another reason than full rows or lack of data.

        Returns that reason, or `MORE` at the end of the stream.
        """
        self._rows = self._rows or [empty_rows(PACKET, ROWS) for _ in range(BUFFERS)]
        while True:
            data, rows = window.data, self._rows[self._turn]
            read, made, status = step(data, rows)
            window.pass_over(read)
            if made:
                window.lend()
                self._turn = (self._turn + 1) % BUFFERS
            yield Batch(rows[:made], data[:read])
            if status != FULL and (status != MORE or not window.more()):
                return status


def cut(window: Window, file: str, offset: int, what: str) -> CaptureError:
    """The error of a stream that ended, damaged or not, within `what`, which began at `offset`."""
    if window.damage:
        return CaptureError(file, window.offset + len(window.data), window.damage)
    return CaptureError(file, offset, f"expected the rest of {what}, the file ends")


def check_end(window: Window, file: str, what: str) -> None:
    """At the end of a stream: raise `CaptureError` if it was damaged or ended within `what`."""
    if window.damage or len(window.data):
        raise cut(window, file, window.offset, what)
