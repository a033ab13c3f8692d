"""The clock of a sensor, while that of the system is set, forward and back."""

from __future__ import annotations

import numpy as np
import pytest

from halfopen.model import CONNECTION, PACKET, SECOND, Rows
from halfopen.sensor.clock import UNCERTAIN, SteadyClock

BEGIN = 1_700_000_000 * SECOND


class System:
    """A system whose wall clock somebody sets."""

    def __init__(self) -> None:
        self.passed = 5 * SECOND
        self.set = BEGIN

    def wall(self) -> int:
        return self.set + self.passed

    def clock(self) -> SteadyClock:
        return SteadyClock(self.wall, lambda: self.passed)


def packets(*times: int) -> Rows:
    rows = np.zeros(len(times), PACKET)
    rows["ts"] = times
    return rows


def test_a_clock_that_is_left_alone() -> None:
    system = System()
    clock = system.clock()
    assert clock.look() == system.wall()
    system.passed += 7 * SECOND
    now = clock.look()
    assert now == BEGIN + 12 * SECOND
    rows = packets(now - 5, now)
    clock.steady(rows, now)
    assert list(rows["ts"]) == [now - 5, now]
    assert clock.steps == clock.shift == 0


@pytest.mark.parametrize("step", [3600 * SECOND, -3600 * SECOND, SECOND, -SECOND, SECOND // 10])
def test_a_clock_that_is_set(step: int) -> None:
    """Silence is measured by what passed; packets of either side of the step keep their order and distance."""
    system = System()
    clock = system.clock()
    before = system.wall()
    system.passed += SECOND // 100
    system.set += step
    after = system.wall()
    now = clock.look()
    assert now == BEGIN + 5 * SECOND + SECOND // 100
    rows = packets(before, after)
    clock.steady(rows, now)
    assert list(rows["ts"]) == [before, before + SECOND // 100]
    assert (clock.steps, clock.shift) == (1, step)
    final = np.zeros(1, CONNECTION)
    final["start"], final["end"] = rows["ts"]
    clock.wall(final)
    assert [int(final[each][0]) for each in ("start", "end")] == [before + step, after]

    system.passed += 2 * UNCERTAIN
    now = clock.look()
    late = packets(system.wall())
    clock.steady(late, now)
    assert list(late["ts"]) == [now]
    assert clock.steps == 1


def test_a_slewed_clock_was_not_set() -> None:
    system = System()
    clock = system.clock()
    for _ in range(1000):
        system.passed += SECOND
        system.set += SECOND // 100_000  # NTP: half a thousandth at most
        clock.look()
    assert clock.steps == 0


def test_a_look_that_is_interrupted_is_taken_again() -> None:
    system = System()
    delays = [SECOND, 0, 0, 0]

    def passed() -> int:
        if delays:
            system.passed += delays.pop(0)
        return system.passed

    clock = SteadyClock(system.wall, passed)
    clock.look()
    assert clock.steps == 0
