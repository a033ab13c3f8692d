"""A stream seen through a few reused buffers: what memory a capture takes, whatever is in it."""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np

from halfopen.model import Bytes

WINDOW: Final = 1 << 20
"""Bytes of one buffer."""

HELD: Final = 1 << 19
"""Most bytes that `Window.hold` can bring to hand at once."""

BUFFERS: Final = 3
"""Buffers used in turn, so that what was handed out outlives the next two that are."""


class Stream(Protocol):
    """Where bytes come from."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Put at least one byte into `buffer`; 0 at the end; `OSError` where the stream is damaged."""
        ...


class Window:
    """The part of a stream that is in memory; `offset` is where in the stream it begins.

    `damage` says what ended the stream where that was not its proper end.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._buffers = [np.empty(WINDOW, np.uint8) for _ in range(BUFFERS)]
        self._turn = 0
        self._start = 0
        self._end = 0
        self._lent = False
        self.offset = 0
        self.damage = ""

    @property
    def data(self) -> Bytes:
        """The bytes at hand, from `offset` on."""
        return self._buffers[self._turn][self._start : self._end]

    def pass_over(self, size: int) -> None:
        """Move `offset` on by `size` bytes of those at hand."""
        self._start += size
        self.offset += size

    def lend(self) -> None:
        """Say that somebody still looks at what was passed over: it must stay for a while."""
        self._lent = True

    def more(self) -> bool:
        """Get further bytes behind those at hand; False at the end of the stream."""
        if WINDOW - self._end < HELD:
            self._make_room()
        room = memoryview(self._buffers[self._turn])[self._end :]  # type: ignore[arg-type]
        try:
            read = self._stream.readinto(room)
        except OSError as error:
            self.damage = f"expected more bytes ({error.strerror})" if error.strerror else str(error)
            return False
        self._end += read
        return read > 0

    def _make_room(self) -> None:
        rest = self.data
        if self._lent:
            self._turn = (self._turn + 1) % BUFFERS
            self._lent = False
        self._start, self._end = 0, len(rest)
        self._buffers[self._turn][: len(rest)] = rest

    def hold(self, size: int) -> bool:
        """Get the next `size` bytes (at most `HELD`) to hand; False where the stream has fewer."""
        while self._end - self._start < size:
            if not self.more():
                return False
        return True

    def skip(self, size: int) -> bool:
        """Move on by `size` bytes, however many, without keeping them; False where there are fewer."""
        while (step := min(size, self._end - self._start)) < size:
            self.pass_over(step)
            size -= step
            if not self.more():
                return False
        self.pass_over(size)
        return True
