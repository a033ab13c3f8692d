"""Who may commit to a store: one process at a time.

The lease spares work, it does not guard the data: two committers of one object store overtake each other, and
each commit that comes second is refused and decided again (see `tables`). Locally it is a lock on a file, which
the kernel lets go when the process dies. For an object store the caller may bring a lease of its own, such as a
row in a database; without one only this process is kept from committing twice.
"""

from __future__ import annotations

import fcntl
import os
import threading
from typing import Final, Protocol

from halfopen.errors import StoreError
from halfopen.store.place import Place


class Lease(Protocol):
    """The right to commit, held between `take` and `release`."""

    def take(self) -> None:
        """Hold the lease; StoreError if somebody else does."""
        ...

    def release(self) -> None:
        """Let the lease go."""
        ...


_held: Final[set[str]] = set()
_lock: Final = threading.Lock()


class PlaceLease:
    """The lease of a place within this process and, where it is local, on this machine."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._handle: int | None = None

    def take(self) -> None:
        """Hold the lease; StoreError if somebody else does."""
        with _lock:
            if self._place.uri in _held:
                raise StoreError(self._place.uri, "this process commits to it already")
            if self._place.local:
                handle = os.open(self._place.local / "committer.lock", os.O_RDWR | os.O_CREAT, 0o644)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError as error:
                    os.close(handle)
                    raise StoreError(
                        self._place.uri,
                        "another process commits to it: ingest, compact and prune do while they run, a server does "
                        "from a sensor's first batch until it is stopped",
                    ) from error
                self._handle = handle
            _held.add(self._place.uri)

    def release(self) -> None:
        """Let the lease go."""
        with _lock:
            _held.discard(self._place.uri)
            if self._handle is not None:
                os.close(self._handle)
                self._handle = None
