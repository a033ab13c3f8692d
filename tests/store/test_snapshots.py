"""A snapshot stays as it was, whatever comes after it; an answer is made of one."""

from __future__ import annotations

from halfopen.store.committer import Batch, Committer
from halfopen.store.query import Cell, Dimension, Filters, Snapshot
from halfopen.store.store import Store
from halfopen.store.upkeep import Upkeep
from tests.store.rows import BEGIN, SPAN, row, table

DIMENSIONS = (Dimension.stage, Dimension.location, Dimension.sensor)


def deliver(committer: Committer, number: int) -> None:
    rows = [row(BEGIN + n, location="DE" if n % 2 else "US", client_port=n + 1) for n in range(10)]
    committer.commit([Batch("lyon", "one", number, BEGIN + number, table(rows))])
    committer.follow()


def counted(now: Snapshot) -> list[list[Cell]]:
    return [sorted(now.counts(Filters(), BEGIN, BEGIN + SPAN, None, by)) for by in DIMENSIONS]


def connections(now: Snapshot) -> list[int]:
    return [sum(cell.connections for cell in cells) for cells in counted(now)]


def test_a_snapshot_stays_as_it_was(store: Store) -> None:
    committer = store.committer()
    deliver(committer, 1)
    now = store.dataset.now()
    before, state = counted(now), now.state()
    for number in range(2, 5):
        deliver(committer, number)
        Upkeep(committer).compact(2)
        assert counted(now) == before
    assert now.state() == state
    assert connections(store.dataset.now()) == [40] * len(DIMENSIONS)
    assert store.dataset.now().state().version != state.version


def test_what_is_asked_of_files_that_are_gone_is_asked_again(store: Store) -> None:
    committer = store.committer()
    deliver(committer, 1)
    seen: list[Snapshot] = []

    def answer(now: Snapshot) -> list[int]:
        seen.append(now)
        if len(seen) == 1:
            deliver(committer, 2)
            Upkeep(committer).compact(2)
            Upkeep(committer).vacuum(0)
        return connections(now)

    assert store.dataset.still(answer) == [20] * len(DIMENSIONS)
    assert len(seen) == 2
