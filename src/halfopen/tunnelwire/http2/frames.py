"""How long frames are, watched as they begin: h2 looks at the length of a frame only when all of it is there, which can be 16 MiB.

And how many there are: each is work, however short it is.
"""

from __future__ import annotations

from math import inf
from typing import Final

from h2.errors import ErrorCodes
from h2.exceptions import FrameTooLargeError, ProtocolError

PREFACE: Final = 24
"""Bytes that a client begins with."""

TURN: Final = 64 << 10
"""Bytes that are taken before it is another connection's turn."""

FRAMES: Final = 256
"""Frames that are, a few milliseconds of work."""

_HEAD: Final = 9
_BEGINS_HEADERS: Final = 1
_GOES_ON: Final = 9  # types of frames


class ChatterError(ProtocolError):
    """The other end does nothing but keep this one busy."""

    error_code = ErrorCodes.ENHANCE_YOUR_CALM


class FrameLengths:
    """Raises FrameTooLargeError where a frame is longer than `frame` bytes, or the headers of a message than `headers`; ChatterError
    where more than `chatter` frames have come than what they brought and time make up for."""

    def __init__(self, frame: int, headers: int, skip: int = 0, chatter: float = inf) -> None:
        self._most = frame
        self._most_headers = headers
        self._left = skip  # of what is watched no closer
        self._head = bytearray()
        self._headers = 0
        self._chatter, self._most_chatter = 0.0, chatter

    def make_up(self, frames: float) -> None:
        """Forgive frames: for what was said in either direction, or as time passes."""
        self._chatter = max(self._chatter - frames, 0)

    def watch(self, received: bytes) -> int:
        """Look at bytes that came, as many as one turn is for; gives how many those are."""
        at = frames = 0
        end = min(len(received), TURN)
        while at < end and frames < FRAMES:
            if self._left:
                step = min(self._left, end - at)
                self._left -= step
            else:
                step = min(_HEAD - len(self._head), end - at)
                self._head += received[at : at + step]
                if len(self._head) == _HEAD:
                    self._begin(int.from_bytes(self._head[:3]), self._head[3])
                    self._head.clear()
                    frames += 1
            at += step
        return at

    def _begin(self, length: int, kind: int) -> None:
        if kind == _BEGINS_HEADERS:
            self._headers = 0
        if kind in (_BEGINS_HEADERS, _GOES_ON):
            self._headers += length
        self._chatter += 1
        if self._chatter > self._most_chatter:
            raise ChatterError("frames that bring nothing")
        if length > self._most:
            raise FrameTooLargeError(f"a frame of {length:,} bytes; accepted: at most {self._most:,}")
        if self._headers > self._most_headers:
            raise FrameTooLargeError(f"headers of more than {self._most_headers:,} bytes")
        self._left = length
