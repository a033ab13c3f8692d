"""Who has connected and not registered yet: for a while, and not too many at once."""

from __future__ import annotations

import asyncio
import logging
from typing import Final, Protocol

LOG: Final = logging.getLogger("halfopen.edge")

ARRIVAL: Final = 10.0
"""Seconds within which who connects must have registered."""

MOST: Final = 1_000
"""Connections that have not registered yet; of more the oldest is closed, so that connectors get through a flood."""

_SILENCE: Final = 60.0  # s between two lines of the log


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
        self._told = float("-inf")
        self._crowded = 0

    def come(self, arrival: Arrival) -> None:
        """Somebody has connected."""
        if len(self._waiting) >= MOST:
            oldest = next(iter(self._waiting))
            self.gone(oldest)
            oldest.end("others have come")
            self._crowd()
        self._waiting[arrival] = self._loop.call_later(ARRIVAL, arrival.end, "not registered in time")

    def gone(self, arrival: Arrival) -> None:
        """It has registered, or is closed."""
        if (timer := self._waiting.pop(arrival, None)) is not None:
            timer.cancel()

    def _crowd(self) -> None:
        self._crowded += 1
        if (now := self._loop.time()) >= self._told + _SILENCE:
            LOG.warning(
                "%d connections were closed because more than %d had not registered", self._crowded, MOST
            )
            self._told, self._crowded = now, 0
