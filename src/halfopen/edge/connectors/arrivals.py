"""Who has connected and not registered yet: for a while, and not too many at once."""

from __future__ import annotations

import asyncio
import logging
from typing import Final, Protocol

from halfopen.edge.nearness import near
from halfopen.edge.seldom import SELDOM

ARRIVAL: Final = 10.0
"""Seconds within which who connects must have registered."""

MOST: Final = 1_000
"""Connections that have not registered yet. Of more one is closed, the oldest of the address that most of them are from: connectors get
through a flood."""


class Arrival(Protocol):
    """A connection."""

    @property
    def peer(self) -> str:
        """The address it comes from."""
        ...

    def end(self, reason: str) -> None:
        """Close it."""
        ...


class Arrivals:
    """All of them, `most` at once. Of one event loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[Arrival, tuple[asyncio.TimerHandle, str]] = {}
        self._from: dict[str, dict[Arrival, None]] = {}  # those of an address, the oldest first

    def __len__(self) -> int:
        return len(self._waiting)

    def come(self, arrival: Arrival) -> None:
        """Somebody has connected."""
        if len(self) >= self._most:
            crowd = max(self._from.values(), key=len)
            oldest = next(iter(crowd))
            self.gone(oldest)
            oldest.end("others have come")
            SELDOM.tell(
                logging.WARNING,
                "crowd",
                f"more than {self._most} connections have not registered: of those from {oldest.peer} the oldest is closed",
            )
        whose = near(arrival.peer)
        self._waiting[arrival] = (
            self._loop.call_later(ARRIVAL, arrival.end, "not registered in time"),
            whose,
        )
        self._from.setdefault(whose, {})[arrival] = None

    def gone(self, arrival: Arrival) -> None:
        """It has registered, or is closed."""
        if (waited := self._waiting.pop(arrival, None)) is not None:
            timer, whose = waited
            timer.cancel()
            del self._from[whose][arrival]
            if not self._from[whose]:
                del self._from[whose]
