"""The way into the store for all that this process writes: batches of sensors, and upkeep."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Final

from halfopen.errors import StoreError, UnavailableError
from halfopen.store.committer import Committer
from halfopen.store.intake import Intake
from halfopen.store.store import Store

RETRY: Final = 10
"""Seconds after which to ask again, where somebody else commits."""


class Door:
    """The first batch takes the lease, and this process keeps it until it ends; upkeep alone only borrows it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._kept: tuple[Committer, Intake] | None = None

    def intake(self) -> Intake:
        """Where batches wait for their commit; UnavailableError while somebody else commits."""
        with self._lock:
            if self._kept is None:
                try:
                    committer = self._store.committer()
                except StoreError as error:
                    raise UnavailableError(f"the dataset ({error.reason})", RETRY) from error
                self._kept = committer, Intake(committer)
            return self._kept[1]

    @contextmanager
    def committer(self) -> Iterator[Committer]:
        """The one that commits, for a while; StoreError while somebody else does."""
        with self._lock:
            kept = self._kept
        if kept is not None:
            yield kept[0]
            return
        with closing(self._store.committer()) as borrowed:
            yield borrowed

    def close(self) -> None:
        """Commit what waits, and let the lease go."""
        with self._lock:
            if self._kept is not None:
                committer, intake = self._kept
                intake.close()
                committer.close()
                self._kept = None
