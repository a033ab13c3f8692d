"""News that the database has changed, told to whoever waits for it in any process.

On PostgreSQL by LISTEN and NOTIFY, so between hosts as well; on SQLite, whose processes share a machine, by looking at `PRAGMA data_version`.
News says only that something has changed, never what: who waits looks for himself, and looks again when his time is up, so one that is lost
costs a wait and nothing else.
"""

from __future__ import annotations

import threading
import time
from typing import Final

from halfopen.database.database import Database
from halfopen.errors import DatabaseError

_AGAIN: Final = 1.0  # seconds before a database that failed is watched again
_LINGER: Final = 10.0  # seconds for which is watched on after the last one waited


class Changes:
    """What happens in a database, waited for. Safe to share between threads; watches only while somebody waits."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._changed = threading.Condition()
        self._count = 0
        self._wanted = 0.0  # until when somebody waits, or has not long ceased to
        self._closed = False
        self._watcher: threading.Thread | None = None

    @property
    def count(self) -> int:
        """How many changes this process knows of: to be read before looking, and given to `wait`."""
        with self._changed:
            return self._count

    def wait(self, seen: int, until: float) -> None:
        """Return when something has changed since the count was `seen`, or at the time `until` (monotonic, s)."""
        with self._changed:
            self._wanted = max(self._wanted, until + _LINGER)
            if self._watcher is None and not self._closed:
                self._watcher = threading.Thread(target=self._watch, name="changes", daemon=True)
                self._watcher.start()
            self._changed.wait_for(
                lambda: self._count != seen or self._closed, max(until - time.monotonic(), 0)
            )

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
                        if changed():
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
        with self._changed:
            self._count += 1
            self._changed.notify_all()
