"""Captures: a file, standard input, or several files joined, read as batches of packets."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import Final

import numpy as np
from numpy.typing import NDArray

from halfopen.capture.link_names import link_name
from halfopen.capture.paths import capture_files, unreadable
from halfopen.capture.pcap import SCALES, read_pcap
from halfopen.capture.pcapng import SECTION_HEADER, read_pcapng
from halfopen.capture.reading import Reading, check_end
from halfopen.capture.records import CLOCK, FIRST
from halfopen.capture.streams import STANDARD_INPUT, CaptureFile, decompressed
from halfopen.capture.window import Window
from halfopen.errors import CaptureError, UsageError
from halfopen.model import Batch, Counter

JOINED: Final = "joined"
"""Name of a capture that is more than one file."""


class Capture:
    """One capture, opened when its batches are asked for and closed at their end.

    All that it says of itself grows while `batches` is iterated, which is done once. `problems`
    holds the damage met, which is never raised: a damaged file gives the packets before the damage.
    Offsets in it are those of the stream out of its compression. `files` are in the order in which they are read.
    """

    def __init__(self, name: str, files: Sequence[str]) -> None:
        self.name = name
        self.problems: list[CaptureError] = []
        self.files = tuple(files)
        self._reading = Reading()
        self._opened: list[CaptureFile] = []

    @property
    def counters(self) -> NDArray[np.int64]:
        """Counts by `model.Counter`."""
        return self._reading.counters

    @property
    def unknown_links(self) -> dict[str, int]:
        """Packets of each link type that is not read, by its name and number."""
        links = self._reading.links
        return {link_name(int(link)): int(links[link]) for link in np.flatnonzero(links)}

    @property
    def clock(self) -> int:
        """The largest time stamp so far, ns (D1); 0 before the first packet."""
        return int(self._reading.clock[CLOCK])

    @property
    def readable(self) -> bool:
        """Whether it has no damage, or packets before it."""
        return not self.problems or bool(self.counters[Counter.packets])

    @property
    def progress(self) -> tuple[int, int | None]:
        """Bytes read of the files as they lie there, and all there are if that is known."""
        sizes = [_size(file) for file in self.files]
        total = None if None in sizes else sum(size or 0 for size in sizes)
        return sum(file.taken for file in self._opened), total

    def batches(self) -> Iterator[Batch]:
        """The packets in the order of the capture; a batch stays valid while the next two are read."""
        with closing(self._steps()) as steps:
            yield from (batch for batch in steps if len(batch.rows))

    def first_time(self) -> int | None:
        """Time stamp of the first packet, ns; None where there is none."""
        with closing(self._steps()) as steps:
            for _ in steps:
                if self._reading.clock[FIRST] >= 0:
                    return int(self._reading.clock[FIRST])
        return None

    def _steps(self) -> Generator[Batch, None, None]:
        try:
            for path in self.files:
                yield from self._file(path)
        finally:
            self._reading.release()

    def _file(self, path: str) -> Iterator[Batch]:
        try:
            with closing(CaptureFile(path)) as file:
                self._opened.append(file)
                yield from read_stream(Window(decompressed(file)), path, self._reading)
        except CaptureError as damage:
            self.problems.append(damage)
        except OSError as error:
            self.problems.append(unreadable(path, error))


def read_stream(window: Window, file: str, reading: Reading) -> Iterator[Batch]:
    """The packets of a stream of either format, which ends with a `CaptureError` where it is damaged.

    Empty batches are among them: each gives the caller a chance to look at `reading`.
    """
    if not window.hold(4):
        check_end(window, file, "a capture file")
        raise CaptureError(file, 0, "expected a capture file, this one is empty")
    magic = window.data[:4].tobytes()
    if magic in SCALES:
        return read_pcap(window, file, reading)
    if magic == SECTION_HEADER:
        return read_pcapng(window, file, reading)
    raise CaptureError(file, 0, "expected a pcap or pcapng file, plain or out of gzip or zstd")


def open_captures(arguments: Sequence[str], *, joined: bool = False) -> list[Capture]:
    """The captures meant by `arguments`: each file by itself, or all of them in time order as one.

    See `paths.capture_files` for what an argument may be; one that means no file becomes a capture
    whose only problem says so. Raises `UsageError` for standard input among several files to be
    joined: it cannot be looked into first.
    """
    files = capture_files(arguments)
    if not joined:
        return [Capture(file, [file]) for file in files]
    if len(files) == 1:
        return [Capture(files[0], files)]
    if STANDARD_INPUT in files:
        raise UsageError("FILE", STANDARD_INPUT, "files only, where several are joined")
    return [Capture(JOINED, sorted(files, key=_first_time))]


def _size(file: str) -> int | None:
    """Size of a regular file, None of anything else."""
    return os.path.getsize(file) if os.path.isfile(file) else None  # noqa: PTH113, PTH202


def _first_time(file: str) -> tuple[bool, int, str]:
    first = Capture(file, [file]).first_time()
    return first is None, first or 0, file
