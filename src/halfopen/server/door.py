"""The way into the store for all that this process writes: batches of sensors, and upkeep."""

from __future__ import annotations

import threading
import time
from typing import Final

from halfopen.api.access import FAULTS
from halfopen.store.committer import Committer
from halfopen.store.intake import Intake
from halfopen.store.ledger import running_twice
from halfopen.store.store import Store

PATIENCE: Final = 5.0
"""Seconds for which the turn of another process is waited for: a request that waits keeps a thread busy."""


class Door:
    """Opens what is needed when it first is: a server without sensors keeps no tables open for them."""

    def __init__(self, store: Store, patience: float = PATIENCE) -> None:
        """Commit to the store; others are waited for `patience` seconds."""
        self._store, self._patience = store, patience
        self._lock = threading.RLock()
        self._committer: Committer | None = None
        self._intake: Intake | None = None
        self._twice: set[str] = set()  # sensors that run twice, as the log has it

    def committer(self) -> Committer:
        """The one that commits for this process."""
        with self._lock:
            if self._committer is None:
                self._committer = self._store.committer(patience=self._patience)
            return self._committer

    def intake(self) -> Intake:
        """Where batches wait for their commit."""
        with self._lock:
            if self._intake is None:
                self._intake = Intake(self.committer(), _behind)
            return self._intake

    def look_at(self, sensor: str) -> None:
        """Say in the log, once, that a sensor runs twice."""
        known = self.committer().ledger.sensors.values()
        incarnations = running_twice((each for each in known if each.name == sensor), int(time.time()))
        with self._lock:
            if incarnations and sensor not in self._twice:
                words = "sensor %s runs twice, what both see is counted twice: incarnations %s"
                FAULTS.error(words, sensor, ", ".join(incarnations[sensor]))
            self._twice = (self._twice - {sensor}) | incarnations.keys()

    def close(self) -> None:
        """Commit what waits."""
        with self._lock:
            if self._intake is not None:
                self._intake.close()


def _behind(error: Exception) -> None:
    FAULTS.error("the rollups are behind the connections, and follow with the next batch: %s", error)
