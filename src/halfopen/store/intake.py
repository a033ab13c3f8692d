"""Where the batches of many sensors wait for the next commit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from halfopen.errors import StoreError
from halfopen.store.committer import Batch, Committer, Receipt, check

GATHERING: Final = 0.2
"""Seconds for which the first batch that waits waits for others: the fewer commits, the fewer small files."""


class Intake:
    """Commits what is put in, with a thread of its own, and lets the rollups follow."""

    def __init__(
        self, committer: Committer, behind: Callable[[Exception], None], gathering: float = GATHERING
    ) -> None:
        """`behind` is told each time the rollups cannot follow a commit, and why."""
        self._committer, self._behind, self._gathering = committer, behind, gathering
        self._waiting: list[tuple[Batch, Future[Receipt]]] = []
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self._thread.start()

    def put(self, batch: Batch) -> Future[Receipt]:
        """The receipt of a batch, there once it is on the disk; StoreError in it if it could not be committed.

        StoreError at once for a batch that can never be.
        """
        check(batch)
        receipt: Future[Receipt] = Future()
        with self._changed:
            if self._closed:
                raise StoreError(self._committer.connections.place.uri, "closing: no more batches are taken")
            self._waiting.append((batch, receipt))
            self._changed.notify()
        return receipt

    def close(self) -> None:
        """Commit what waits, and end."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
            if not self._closed:
                time.sleep(self._gathering)
            with self._changed:
                taken, self._waiting = self._waiting, []
            self._commit(taken)

    def _commit(self, taken: list[tuple[Batch, Future[Receipt]]]) -> None:
        try:
            with self._committer.lock:
                receipts = self._committer.commit([batch for batch, _ in taken])
                for (_, waiting), receipt in zip(taken, receipts, strict=True):
                    waiting.set_result(receipt)
                self._follow()
        except Exception as error:  # whatever it is, each of them must hear of it
            for _, waiting in taken:
                if not waiting.done():
                    waiting.set_exception(error)

    def _follow(self) -> None:
        try:
            self._committer.follow()
        except Exception as error:  # what was acknowledged stays so, and the next commit tries again
            self._behind(error)
