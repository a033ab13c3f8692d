"""One round of all that is committed to a store, up to a step before which its process is killed.

Steps are the calls by which anything lasting comes about. What happens within one is all or nothing, but for the
deletion of old files: there the kill comes when half of them are gone.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from deltalake import DeltaTable

from halfopen.store.place import Place
from halfopen.store.tables import Table
from halfopen.store.upkeep import VACUUM_AFTER, Upkeep
from tests.store.roles import committer_of
from tests.store.rows import BEGIN, table
from tests.store.truth import DIGEST, LIMIT, NOW, PASSING, Spool, batch, file_rows

STEPS: Final[tuple[tuple[type, str], ...]] = (
    (Place, "write"),
    (Place, "replace"),
    (Path, "replace"),
    (DeltaTable, "create_write_transaction"),
    (DeltaTable, "create_checkpoint"),
    (DeltaTable, "cleanup_metadata"),
    (Table, "vacuum"),
)


def work(where: str, turns: bool, spool: Spool, last: int) -> None:
    """A round; it ends by a kill before the step numbered `last`, if there are as many."""
    _limit(last)
    now = time.time_ns
    time.time_ns = lambda: now() - VACUUM_AFTER * 3600 * 10**9  # what leaves the tables is old at once
    committer = committer_of(where, turns)
    first = spool.last("held") + 1
    spool.note("sent", first + 1)
    due = [batch(spool.sensor, spool.incarnation, number) for number in (first, first + 1)]
    assert all(receipt.held for receipt in committer.commit(due))
    spool.note("held", first + 1)
    committer.follow()
    number = committer.connections.transaction(f"file:{DIGEST}") + 1
    committer.ingest(DIGEST, "lab", str(number), [table(file_rows(number))], replace=True)
    committer.ingest(PASSING, "lab", "", [table(file_rows(0))])
    committer.forget_capture(PASSING)
    committer.follow()
    upkeep = Upkeep(committer)
    upkeep.compact(2)
    assert upkeep.forget_client(["192.0.2.1"])
    upkeep.prune(NOW - LIMIT, NOW - BEGIN)
    upkeep.vacuum()


def _limit(last: int) -> None:
    left = last

    def limited(step: Callable[..., Any], ending: Callable[..., Any]) -> Callable[..., Any]:
        def call(*values: Any, **more: Any) -> Any:
            nonlocal left
            left -= 1
            if not left:
                ending(*values, **more)
                os.kill(os.getpid(), signal.SIGKILL)
            return step(*values, **more)

        return call

    for owner, name in STEPS:
        ending = _half_a_vacuum if name == "vacuum" else lambda *_, **__: None
        setattr(owner, name, limited(getattr(owner, name), ending))


def _half_a_vacuum(self: Table, hours: int) -> None:
    gone = self._delta.vacuum(hours, dry_run=True, enforce_retention_duration=False, full=True)
    for path in gone[::2]:
        if self.place.local:
            (self.place.local / path).unlink()
        else:
            self.place.files.delete_file(path)
