"""The clock of a sensor. It never steps, whatever is done to that of the system: silence is measured by it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import numpy as np

from halfopen.model import SECOND, Rows

STEP: Final = SECOND // 50
"""From how many ns on a difference is a clock that was set: one that is slewed, or a slow look, makes less."""

UNCERTAIN: Final = 60 * SECOND
"""For how long (ns) after a step packets may still come that were stamped before it."""


class SteadyClock:
    """Steady times in ns: the wall clock's at the start, and what has passed since then, sleep included.

    Packets are stamped by the wall clock. They are moved to steady times on their way in, and what
    became of them back to the wall clock as it then is on their way out.
    """

    def __init__(
        self,
        wall: Callable[[], int] = time.time_ns,
        passed: Callable[[], int] = lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME),
    ) -> None:
        self._read_wall, self._read_passed = wall, passed
        self._begun = self._ahead = self._before = self._difference()
        self._uncertain_until = 0
        self.steps = 0  # how often the wall clock was set

    def look(self) -> int:
        """The steady time now; notices whether the wall clock was set."""
        difference = self._difference()
        now = self._read_passed() + self._begun
        if abs(difference - self._ahead) > STEP:
            self._before, self._ahead = self._ahead, difference
            self._uncertain_until = now + UNCERTAIN
            self.steps += 1
        return now

    @property
    def shift(self) -> int:
        """How far (ns) the wall clock is ahead of steady times."""
        return self._ahead - self._begun

    def steady(self, packets: Rows, now: int) -> None:
        """Move packets (`model.PACKET`) that were there by the steady time `now` to steady times."""
        if not self.shift and now >= self._uncertain_until:
            return
        stamped = packets["ts"]
        times = stamped - self.shift
        if now < self._uncertain_until:
            earlier = stamped - (self._before - self._begun)
            times = np.where(np.abs(times - now) <= np.abs(earlier - now), times, earlier)
        packets["ts"] = np.minimum(times, now)

    def wall(self, connections: Rows) -> None:
        """Move connections (`model.CONNECTION`) to the times of the wall clock."""
        if self.shift:
            connections["start"] += self.shift
            connections["end"] += self.shift

    def _difference(self) -> int:
        """Wall clock less what has passed, of the shortest of some looks: one may be interrupted in between."""
        looks = []
        for _ in range(3):
            before = self._read_passed()
            wall = self._read_wall()
            after = self._read_passed()
            looks.append((after - before, wall - (before + after) // 2))
            if after - before < STEP // 100:
                break
        return min(looks)[1]
