"""How the store is doing, for those who watch the server: looked at now and then, however often they ask."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from halfopen.errors import StoreError
from halfopen.store.ledger import Sensor
from halfopen.store.query import State
from halfopen.store.store import Store, TableFacts

FRESH: Final = 5.0
"""Seconds for which a look is good enough: whoever asks needs no token, so asking must cost next to nothing."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the tables amount to, how far the dataset has come, its sensors (of each the incarnation that was heard of
    last), and how many of them run twice."""

    tables: Sequence[TableFacts]
    state: State
    sensors: Sequence[Sensor]
    running_twice: int


class Vitals:
    """Looks at one store. Safe to share among threads."""

    def __init__(self, store: Store, fresh: float = FRESH) -> None:
        self._store, self._fresh = store, fresh
        self._lock = threading.Lock()
        self._looked = -fresh
        self._look: Look | None = None
        self._lost: tuple[str, ...] = ()

    def look(self) -> Look | None:
        """The last look; None if the store could not be read."""
        with self._lock:
            if time.monotonic() - self._looked >= self._fresh:
                try:
                    facts = self._store.info()
                    last = {each.name: each for each in sorted(facts.sensors, key=lambda each: each.seen)}
                    self._look = Look(
                        facts.tables,
                        self._store.dataset.now().state(),
                        sorted(last.values(), key=lambda each: each.name),
                        len(facts.running_twice),
                    )
                except (StoreError, OSError):
                    self._look = None
                self._looked = time.monotonic()
            return self._look

    def missing(self) -> Sequence[str]:
        """What the server needs and has not."""
        return self._lost if self.look() else ("store", *self._lost)

    def lose(self, what: str) -> None:
        """The server has lost something that it was told to have, for as long as it runs."""
        self._lost += (what,)
