"""Readers go on, whatever is put together, removed and tidied away beside them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from halfopen.errors import StoreError
from halfopen.store import tables
from halfopen.store.committer import Batch
from halfopen.store.query import Filters
from halfopen.store.store import Store
from halfopen.store.upkeep import VACUUM_AFTER, Upkeep
from tests.store.conftest import Clock
from tests.store.rows import BEGIN, SPAN, counted, row, table

DAY = 86400
DAYS = 3


def fill(store: Store) -> Upkeep:
    """Two small files for each of some days, and the upkeep of their store."""
    committer = store.committer()
    for number in (1, 2):
        rows = [row(BEGIN + day * DAY + number, client_port=number) for day in range(DAYS)]
        committer.commit([Batch("lyon", "one", number, BEGIN, table(rows))])
        committer.follow()
    return Upkeep(committer)


@pytest.mark.parametrize("hours", [VACUUM_AFTER, 0])
def test_a_reader_keeps_its_snapshot_as_long_as_files_are_kept(
    store: Store, clock: Clock, hours: int
) -> None:
    upkeep = fill(store)
    clock.now = BEGIN + DAYS * DAY
    stream = store.dataset.stream(None, None)
    first = next(stream)
    assert upkeep.compact(2).compacted == 2 * DAYS
    assert upkeep.prune(DAY, DAY).pruned == 2 * (DAYS - 1)
    vacuumed = upkeep.vacuum(hours).vacuumed
    if hours:
        assert vacuumed == 0
        ports = [port for part in (first, *stream) for port in part["client_port"].to_pylist()]
        assert sorted(ports) == [1] * DAYS + [2] * DAYS
    else:  # in short: nothing false is ever told
        assert vacuumed > 2 * DAYS
        with pytest.raises(StoreError):
            list(stream)
    left = [("lyon", row(BEGIN + (DAYS - 1) * DAY + number)) for number in (1, 2)]
    whole = Filters(), BEGIN, BEGIN + SPAN
    assert list(store.dataset.now().counts(*whole, DAY)) == counted(left, *whole, DAY)


def test_a_reader_that_slept_while_the_log_was_tidied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "LISTING", 0)  # as if it had slept for longer
    monkeypatch.setattr(tables, "CHECKPOINT_AFTER", 5)
    store, other = (Store(tmp_path / "store", create=True, threads=1) for _ in range(2))
    whole = Filters(), BEGIN, BEGIN + SPAN, None
    assert list(other.dataset.now().counts(*whole)) == []
    committer = store.committer()
    for number in range(1, 8):
        committer.commit([Batch("lyon", "one", number, BEGIN, table([row(BEGIN + number)]))])
        committer.follow()
    before = time.time() - DAY
    for path in (tmp_path / "store").glob("*/_delta_log/*.json"):
        os.utime(path, (before, before))
    Upkeep(committer).vacuum()
    assert not (tmp_path / "store" / "rollups" / "_delta_log" / f"{1:020}.json").exists()
    (cell,) = other.dataset.now().counts(*whole)
    assert cell.connections == 7
    store.close()
    other.close()
