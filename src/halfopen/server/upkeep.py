"""Upkeep without anybody asking for it: a thread beside the server that commits for a moment, every so often."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from halfopen.api.access import FAULTS
from halfopen.errors import LeaseError
from halfopen.server.door import Door
from halfopen.store.upkeep import Upkeep

EVERY: Final = 15 * 60.0
"""Seconds between two runs. The first comes as long after the start."""

PATIENCE: Final = 3.0
"""Seconds for which a stop waits for the step under way; a step that is cut short has committed all or nothing."""


class RegularUpkeep:
    """Compaction, retention and vacuum of one store, again and again, for as long as it is started."""

    def __init__(self, door: Door, keep_connections: int, keep_rollups: int, every: float = EVERY) -> None:
        """Keep connections and rollups for so many seconds; run every `every` seconds."""
        self.last = 0.0  # s since the epoch: when the last whole run ended; 0 for never
        self.failures = 0
        self.keep, self.every = (keep_connections, keep_rollups), every
        self._door = door
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def start(self) -> None:
        """Bring the rollups up to what was committed before, and begin to wait for the first run."""
        self._thread.start()

    def stop(self) -> None:
        """Do not begin another step, and wait a little for the one under way."""
        self._stopped.set()
        self._thread.join(PATIENCE)

    def once(self) -> bool:
        """One run; False if it was put off, because somebody else commits for long, or cut short by `stop`."""
        upkeep = Upkeep(self._door.committer())
        whole = self._steps(upkeep.compact, lambda: upkeep.prune(*self.keep), upkeep.vacuum)
        if whole:
            self.last = time.time()
        return whole

    def _catch_up(self) -> None:
        """Whoever was killed after a commit left the rollups behind it, and the next batch may be long in coming."""
        self._steps(self._door.committer().follow)

    def _steps(self, *steps: Callable[[], object]) -> bool:
        for step in steps:
            if self._stopped.is_set():
                return False
            try:
                step()
            except LeaseError as error:
                FAULTS.info("upkeep is put off: %s", _line(error))
                return False
        return True

    def _run(self) -> None:
        self._guarded(self._catch_up)
        while not self._stopped.wait(self.every):
            self._guarded(self.once)

    def _guarded(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:  # whatever it is, answers go on, and the next run may do better
            self.failures += 1
            FAULTS.error("upkeep failed: %s: %s", type(error).__name__, _line(error))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
