"""News that the database has changed, told to whoever waits for it in any process.

On PostgreSQL by LISTEN and NOTIFY, so between hosts as well; on SQLite, whose processes share a machine, by looking at `PRAGMA data_version`.
News says only that something has changed, never what: who waits looks for himself, and looks again when his time is up, so one that is lost
costs a wait and nothing else. Every few seconds who waits looks in any case.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from halfopen.database.database import Database
from halfopen.errors import DatabaseError

_AGAIN: Final = 1.0  # seconds before a database that failed is watched again
_LINGER: Final = 10.0  # seconds for which is watched on after the last one waited
_ANYWAY: Final = 5.0  # seconds after which is looked although nothing was told


class Changes:
    """What happens in a database, waited for. Safe to share between threads; watches only while somebody waits."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._changed = threading.Condition()
        self._count = 0
        self._wanted = 0.0  # until when somebody waits, or has not long ceased to
        self._closed = False
        self._told = 0.0
        self._watcher: threading.Thread | None = None
        self._followers: list[Callable[[], None]] = []

    def follow(self, look: Callable[[], None]) -> None:
        """Call `look` after each change while somebody waits, in a thread of its own; what is told while it runs is one change."""
        self._followers.append(look)

    @property
    def count(self) -> int:
        """How many changes this process knows of: to be read before looking, and given to `wait`."""
        with self._changed:
            return self._count

    def wait(self, seen: int, until: float) -> None:
        """Return when something has changed since the count was `seen`, or at the time `until` (monotonic, s)."""
        self.watch(until)
        with self._changed:
            self._changed.wait_for(
                lambda: self._count != seen or self._closed, max(until - time.monotonic(), 0)
            )

    def watch(self, until: float) -> None:
        """Go on watching until that time (monotonic, s): somebody waits."""
        with self._changed:
            self._wanted = max(self._wanted, until + _LINGER)
            if self._watcher is None and not self._closed:
                self._watcher = threading.Thread(target=self._watch, name="changes", daemon=True)
                self._watcher.start()

    def close(self) -> None:
        """Watch no more, and let go who waits."""
        with self._changed:
            self._closed, watcher = True, self._watcher
            self._changed.notify_all()
        if watcher is not None:
            watcher.join()

    def _watch(self) -> None:
        while self._is_wanted():
            try:
                with self._database.watching() as changed:
                    self._tell()  # what happened before was told to nobody
                    while self._is_wanted():
                        if changed() or time.monotonic() >= self._told + _ANYWAY:
                            self._tell()
            except DatabaseError:
                time.sleep(_AGAIN)

    def _is_wanted(self) -> bool:
        with self._changed:
            if self._wanted > time.monotonic() and not self._closed:
                return True
            self._watcher = None
            return False

    def _tell(self) -> None:
        self._told = time.monotonic()
        with self._changed:
            self._count += 1
            self._changed.notify_all()
        for look in self._followers:
            look()
