"""When a sensor takes fewer connections into its sample, and when more again."""

from __future__ import annotations

from typing import Final

from halfopen.model import SECOND

FULL: Final = 0.75
"""Share of the table from which on the sample is halved."""

ROOMY: Final = 0.25
"""Share of the table up to which it may be doubled: it would then be half of what is full, and rather less."""

LOSSES: Final = 0.001
"""Share of packets lost in a second from which on the sample is halved."""

SETTLING: Final = 2 * SECOND
"""Until fewer losses show (ns)."""

CALM: Final = 60 * SECOND
"""How long it must have been calm before the sample is doubled (ns); twice as long after each time that this was too early."""

PATIENCE: Final = 16 * CALM


class Pressure:
    """Decides for one sensor. Times in ns."""

    def __init__(self, now: int) -> None:
        self._halved = self._calm_since = now
        self._doubled: int | None = None
        self._calm = CALM
        self._received = self._dropped = 0

    def full(self, now: int, live: int, limit: int) -> bool:
        """Whether to halve the sample because `live` of `limit` entries are taken; asked after every batch of packets."""
        if live > FULL * limit:
            self._halve(now)
            return True
        return False

    def look(self, now: int, live: int, limit: int, received: int, dropped: int, *, halved: bool) -> int:
        """Once a second: whether to halve the sample (-1), to double it (1), or neither (0). Packets are counted since the
        start; `halved` says whether there is anything to double."""
        came, lost = received - self._received, dropped - self._dropped
        self._received, self._dropped = received, dropped
        if lost > LOSSES * came:
            self._calm_since = now
            if now - self._halved < SETTLING:
                return 0
            self._halve(now)
            return -1
        if halved and live < ROOMY * limit and now - self._calm_since >= self._calm:
            self._calm_since = self._doubled = now
            return 1
        return 0

    def _halve(self, now: int) -> None:
        if self._doubled is not None and now - self._doubled < self._calm:
            self._calm = min(2 * self._calm, PATIENCE)
        self._halved = self._calm_since = now
        self._doubled = None
