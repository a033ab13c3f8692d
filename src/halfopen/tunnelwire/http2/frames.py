"""How long frames are, watched as they begin: h2 looks at the length of a frame only when all of it is there, which can be 16 MiB."""

from __future__ import annotations

from math import inf
from typing import Final

from h2.errors import ErrorCodes
from h2.exceptions import FrameTooLargeError, ProtocolError

PREFACE: Final = 24
"""Bytes that a client begins with."""

_MAKES_UP: Final = 4
_HEAD: Final = 9
_DATA: Final = 0
_BEGINS_HEADERS: Final = 1
_GOES_ON: Final = 9  # types of frames


class ChatterError(ProtocolError):
    """The other end does nothing but keep this one busy."""

    error_code = ErrorCodes.ENHANCE_YOUR_CALM


class FrameLengths:
    """Raises FrameTooLargeError where a frame is longer than `frame` bytes, or the headers of a message than `headers`; ChatterError
    where more than `chatter` frames bring nothing, of which messages and time make up for some."""

    def __init__(self, frame: int, headers: int, skip: int = 0, chatter: float = inf) -> None:
        self._most = frame
        self._most_headers = headers
        self._left = skip  # of what is watched no closer
        self._head = bytearray()
        self._headers = 0
        self._chatter, self._most_chatter = 0, chatter

    def make_up(self, frames: int = _MAKES_UP) -> None:
        """Forgive frames that brought nothing: for what was said in either direction, or as time passes."""
        self._chatter = max(self._chatter - frames, 0)

    def watch(self, received: bytes) -> None:
        """Look at bytes that came."""
        at = 0
        while at < len(received):
            if self._left:
                step = min(self._left, len(received) - at)
                self._left -= step
            else:
                step = min(_HEAD - len(self._head), len(received) - at)
                self._head += received[at : at + step]
                if len(self._head) == _HEAD:
                    self._begin(int.from_bytes(self._head[:3]), self._head[3])
                    self._head.clear()
            at += step

    def _begin(self, length: int, kind: int) -> None:
        if kind == _BEGINS_HEADERS:
            self._headers = 0
        if kind in (_BEGINS_HEADERS, _GOES_ON):
            self._headers += length
        if kind == _BEGINS_HEADERS or (kind == _DATA and length):
            self.make_up()
        else:
            self._chatter += 1
            if self._chatter > self._most_chatter:
                raise ChatterError("frames that bring nothing")
        if length > self._most:
            raise FrameTooLargeError(f"a frame of {length:,} bytes; accepted: at most {self._most:,}")
        if self._headers > self._most_headers:
            raise FrameTooLargeError(f"headers of more than {self._most_headers:,} bytes")
        self._left = length
