"""When the sample is halved, and when it is doubled again."""

from __future__ import annotations

from halfopen.model import SECOND
from halfopen.sensor.pressure import CALM, PATIENCE, Pressure


class Run:
    """Seconds that pass over one sensor with a table of 1,000 entries; `changes` are the times (s) of all changes."""

    def __init__(self) -> None:
        self.now = self.received = self.dropped = self.halvings = 0
        self.pressure = Pressure(0)
        self.changes: list[tuple[int, int]] = []

    def seconds(self, count: int, live: int = 0, received: int = 1000, dropped: int = 0) -> None:
        for _ in range(count):
            self.now += SECOND
            self.received += received
            self.dropped += dropped
            full = self.pressure.full(self.now, live, 1000)
            if (
                change := -1
                if full
                else self.pressure.look(
                    self.now, live, 1000, self.received, self.dropped, halved=self.halvings > 0
                )
            ):
                self.halvings -= change
                self.changes.append((self.now // SECOND, change))


def test_a_full_table_halves_each_time() -> None:
    run = Run()
    run.seconds(3, live=750)
    run.seconds(2, live=751)
    assert run.changes == [(4, -1), (5, -1)]


def test_losses_halve_and_then_it_waits_for_that_to_show() -> None:
    run = Run()
    run.seconds(3)
    run.seconds(1, dropped=1)
    assert not run.changes
    run.seconds(5, dropped=2)
    assert run.changes == [(5, -1), (7, -1), (9, -1)]


def test_calm_doubles() -> None:
    run = Run()
    run.seconds(2, live=900)
    run.seconds(CALM // SECOND - 1)
    assert [change for _, change in run.changes] == [-1, -1]
    run.seconds(1000)
    assert [change for _, change in run.changes] == [-1, -1, 1, 1]


def test_calm_before_a_flood_makes_the_time_after_it_no_longer() -> None:
    """While there is nothing to double no doubling can have been too early."""
    run = Run()
    for _ in range(6):
        run.seconds(CALM // SECOND + 5)
        run.seconds(1, live=900)
        begun = run.now
        run.seconds(CALM // SECOND)
        assert run.changes[-1] == (begun // SECOND + CALM // SECOND, 1)


def test_neither_full_nor_roomy_stays() -> None:
    run = Run()
    run.seconds(1000, live=500)
    assert not run.changes


def test_a_table_that_fills_again_after_each_doubling_is_left_in_peace_ever_longer() -> None:
    run = Run()
    run.seconds(1, live=900)
    waits = []
    for _ in range(8):
        begun = run.now
        while not run.changes or run.changes[-1][1] < 0:
            run.seconds(1)
        waits.append((run.now - begun) // SECOND)
        while run.changes[-1][1] > 0:
            run.seconds(1, live=900)
    assert waits == sorted(waits)
    assert waits[0] < waits[-1] <= PATIENCE // SECOND + 1
