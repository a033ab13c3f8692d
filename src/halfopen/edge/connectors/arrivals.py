"""Who has connected and not registered yet: for a while, and not too many at once."""

from __future__ import annotations

import asyncio
import logging
from typing import Final, Protocol

from halfopen.edge.seldom import SELDOM

ARRIVAL: Final = 10.0
"""Seconds within which who connects must have registered."""

MOST: Final = 1_000
"""Connections that have not registered yet; of more the oldest is closed, so that connectors get through a flood."""


class Arrival(Protocol):
    """A connection."""

    def end(self, reason: str) -> None:
        """Close it."""
        ...


class Arrivals:
    """All of them, the oldest first. Of one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[Arrival, asyncio.TimerHandle] = {}

    def come(self, arrival: Arrival) -> None:
        """Somebody has connected."""
        if len(self._waiting) >= MOST:
            oldest = next(iter(self._waiting))
            self.gone(oldest)
            oldest.end("others have come")
            SELDOM.tell(
                logging.WARNING,
                "crowd",
                f"more than {MOST} connections have not registered: the oldest is closed",
            )
        self._waiting[arrival] = self._loop.call_later(ARRIVAL, arrival.end, "not registered in time")

    def gone(self, arrival: Arrival) -> None:
        """It has registered, or is closed."""
        if (timer := self._waiting.pop(arrival, None)) is not None:
            timer.cancel()
