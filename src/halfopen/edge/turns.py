"""Whose turn it is: what one connection has sent is taken bit by bit, between those of others.

The loop reads megabytes of one socket before it looks at another, and of short frames a megabyte is seconds of work.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol


class Takes(Protocol):
    """Who takes what comes."""

    def take(self, received: bytes) -> None:
        """Take one turn of what has come: of these bytes and of those that were left before."""
        ...

    @property
    def behind(self) -> bool:
        """Whether any of it is left for another turn."""
        ...


class Turns:
    """What comes on one connection: nothing is read while some of it waits for its turn, or while reading is held up."""

    def __init__(self, transport: asyncio.Transport, takes: Takes) -> None:
        self._transport: Final = transport
        self._takes = takes
        self._loop = asyncio.get_running_loop()
        self._kept = b""  # what came while reading was held up
        self._held = self._reads_not = self._due = False

    def came(self, received: bytes) -> None:
        """Take it, or keep it until there is a turn."""
        self._kept += received
        if not self._due:
            self._turn()

    def hold(self) -> None:
        """Take no more for now, and read none."""
        self._held = True
        self._adjust()

    def release(self) -> None:
        """Go on."""
        self._held = False
        self._adjust()

    def _turn(self) -> None:
        self._due = False
        if not self._held and not self._transport.is_closing():
            kept, self._kept = self._kept, b""
            self._takes.take(kept)
            self._adjust()

    def _adjust(self) -> None:
        if self._transport.is_closing():
            return
        waits = bool(self._kept) or self._takes.behind
        if waits and not self._held and not self._due:
            self._due = True
            self._loop.call_soon(self._turn)
        if (waits or self._held) != self._reads_not:
            self._reads_not = not self._reads_not
            if self._reads_not:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()
