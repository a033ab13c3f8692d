"""Everybody at work on a store is killed at random moments: nothing is lost, nothing doubled."""

from __future__ import annotations

import os
import random
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.store.processes import Worker
from tests.store.roles import commit, ingest, opened, read, roll_up, sense, tend
from tests.store.truth import Spool, agree, settle

SENSORS: Final = ("web-1", "web-2")
VICTIMS: Final = ("commit", "roll_up", "ingest", "tend", "read", "sensor", "lost sensor", "everybody")
"""A lost sensor never comes back, but another of its name. Everybody goes as when the power fails."""

TIMES: Final = int(os.environ.get("HALFOPEN_TIMES", "1"))
"""For a longer look."""


class Crowd:
    """Everybody at work on one store, by name."""

    def __init__(self, where: str, folder: Path, turns: bool) -> None:
        self._folder, self._link = folder, str(folder / "link")
        self.reads = folder / "reads"
        self._works: dict[str, tuple[Any, ...]] = {
            "commit": (commit, where, turns, self._link),
            "roll_up": (roll_up, where, turns),
            "ingest": (ingest, where, turns),
            "tend": (tend, where, turns),
            "read": (read, where, str(self.reads)),
        }
        self.spools: list[Spool] = []
        for sensor in SENSORS:
            self.replace_spool(sensor)
        self.alive: dict[str, Worker] = {}
        self.start(*self._works, *SENSORS)

    def replace_spool(self, sensor: str) -> None:
        self.spools.append(Spool(self._folder, sensor, str(uuid.uuid4())))

    def start(self, *names: str) -> None:
        for name in names:
            spools = [each for each in self.spools if each.sensor == name]
            work = (sense, self._link, spools[-1]) if spools else self._works[name]
            self.alive[name] = Worker(self._folder / f"log of {name}", *work)

    def kill(self, *names: str) -> None:
        for name in names:
            self.alive.pop(name).kill()

    def wait_for_a_receipt(self) -> None:
        """Wait until a sensor was told once more that a batch is held."""
        before, end = self._held(), time.monotonic() + 60
        while self._held() == before:
            assert time.monotonic() < end, "nothing is committed any more"
            time.sleep(0.01)

    def _held(self) -> int:
        return sum(each.last("held") for each in self.spools)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing happens meanwhile: those who are left stand still wherever they are."""
        with ExitStack() as stack:
            for role in self.alive.values():
                stack.enter_context(role.paused())
            yield


@pytest.mark.parametrize(
    ("where", "turns", "rounds"),
    # In an object store who was killed keeps its turn for half a minute, and moto takes ten times as long.
    [("local", True, 4), ("local", False, 3), ("s3", False, 1)],
    indirect=["where"],
)
def test_killed_at_any_moment(where: str, turns: bool, rounds: int, tmp_path: Path) -> None:
    seed = os.environ.get("HALFOPEN_SEED", str(time.time_ns()))
    print(f"the same victims after the same pauses: HALFOPEN_SEED={seed}")
    chance = random.Random(seed)
    opened(where, create=True).close()
    victims = VICTIMS * rounds * TIMES
    crowd = Crowd(where, tmp_path, turns)
    try:
        for victim in chance.sample(victims, len(victims)):
            crowd.wait_for_a_receipt()
            time.sleep(chance.uniform(0, 0.2))
            names = [victim]
            if victim == "everybody":
                names = list(crowd.alive)
            elif "sensor" in victim:
                names = [chance.choice(SENSORS)]
            crowd.kill(*names)
            with crowd.paused():
                agree(where, crowd.spools)
            if victim == "lost sensor":
                crowd.replace_spool(*names)
            crowd.start(*names)
    finally:
        crowd.kill(*crowd.alive)
    assert crowd.reads.read_text().count("\n") >= len(victims)
    with closing(opened(where)) as store:
        settle(where, store.committer(), crowd.spools)
