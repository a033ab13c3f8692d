"""What sensors lost, by quarter of an hour, as the ledger keeps and tells it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfopen.store.committer import Batch
from halfopen.store.ledger import Ledger, Sensor, heard
from halfopen.store.losses import KEPT, added, growth, losses
from halfopen.store.query import QUARTER, Loss
from halfopen.store.store import Store
from tests.store.rows import BEGIN, table


def after(before: Sensor | None, sequence: int, watermark: int, drops: int = 0, **counters: int) -> Sensor:
    return heard(before, "lyon", "one", watermark, watermark, None, None, 1.0, drops, 0, sequence, counters)


def told(*sensors: Sensor, start: int = 0, end: int = 2**40) -> list[Loss]:
    return losses(((each.name, each.quarters) for each in sensors), start, end)


def test_more_than_a_hundredth_of_the_packets_of_a_quarter() -> None:
    at_most = after(None, 1, BEGIN + 60, 10, received=1000)
    assert told(at_most) == []
    more = after(at_most, 2, BEGIN + 120, 12, received=1100)
    assert told(more) == [Loss("lyon", BEGIN, BEGIN + QUARTER, 1100, 12, 0, 0)]
    diluted = after(more, 3, BEGIN + QUARTER, 12, received=1200)
    assert told(diluted) == []


def test_more_than_a_hundredth_of_the_connections() -> None:
    counters = {"no_match": 60, "post_syn": 39, "left_out": 1, "evicted": 1}
    assert told(after(None, 1, BEGIN + 1, **counters)) == []
    (loss,) = told(after(None, 1, BEGIN + 1, **counters | {"left_out": 3, "evicted": 3}))
    assert (loss.connections, loss.evicted) == (102, 3)


def test_drops_alone_of_a_sensor_that_counts_nothing_else() -> None:
    assert told(after(None, 1, BEGIN + 1, 7)) == [Loss("lyon", BEGIN, BEGIN + QUARTER, 0, 7, 0, 0)]


def test_what_comes_again_counts_once_and_what_begins_anew_is_whole() -> None:
    first = after(None, 1, BEGIN + 60, 50, received=100)
    second = after(first, 2, BEGIN + 120, 60, received=200)
    for again in (
        after(second, 1, BEGIN + 60, 50, received=100),
        after(second, 2, BEGIN + 120, 60, received=200),
    ):
        assert again == second
    restarted = after(second, 3, BEGIN + 180, 3, received=10)
    assert told(restarted) == [Loss("lyon", BEGIN, BEGIN + QUARTER, 210, 63, 0, 0)]


def test_quarters_in_a_row_are_one_loss_and_incarnations_are_added_up() -> None:
    sensor = None
    for number, (drops, received) in enumerate([(50, 100), (100, 200), (100, 300), (150, 400)], 1):
        sensor = after(sensor, number, BEGIN + number * QUARTER, drops, received=received)
    assert sensor is not None
    found = [
        Loss("lyon", BEGIN, BEGIN + 2 * QUARTER, 200, 100, 0, 0),
        Loss("lyon", BEGIN + 3 * QUARTER, BEGIN + 4 * QUARTER, 100, 50, 0, 0),
    ]
    assert told(sensor) == found
    assert told(sensor, start=BEGIN + 2 * QUARTER) == found[1:]
    assert told(sensor, end=BEGIN + 3 * QUARTER) == found[:1]
    other = heard(None, "lyon", "two", BEGIN, BEGIN + 9, None, None, 1.0, 1, 0, 1, {"received": 100})
    assert told(sensor, other)[0] == Loss("lyon", BEGIN, BEGIN + 2 * QUARTER, 300, 101, 0, 0)


NAMES = ("received", "dropped", "no_match", "evicted")
counts = st.fixed_dictionaries({name: st.integers(0, 300) for name in NAMES})


@given(st.lists(st.tuples(st.integers(0, 6), counts), max_size=30))
def test_every_quarter_that_matters_is_told_with_all_that_was_counted(
    batches: list[tuple[int, Mapping[str, int]]],
) -> None:
    quarters: list[list[int]] = []
    sums: dict[int, list[int]] = {}
    for number, counted in sorted(batches, key=lambda each: each[0]):
        quarters = added(quarters, number * QUARTER, counted)
        before = sums.get(number, [0] * 4)
        sums[number] = [was + new for was, new in zip(before, (counted[name] for name in NAMES), strict=True)]
    found = losses([("lyon", quarters)], 0, 2**40)
    within = {start for loss in found for start in range(loss.start, loss.end, QUARTER)}
    matter = {
        number * QUARTER: each for number, each in sums.items() if each[1] * 100 > each[0] or each[3] * 100 > each[2]
    }  # fmt: skip
    assert within == matter.keys()
    assert sum(loss.dropped for loss in found) == sum(each[1] for each in matter.values())
    assert all(first.end < second.start for first, second in pairwise(found))


@given(counts, counts)
def test_growth_is_never_negative(before: Mapping[str, int], later: Mapping[str, int]) -> None:
    found = growth(before, later)
    assert all(0 <= found[name] <= later[name] for name in later)


def test_quarters_are_bounded() -> None:
    quarters: list[list[int]] = []
    for number in range(KEPT + 50):
        quarters = added(quarters, number * QUARTER, {"received": 10, "dropped": 5})
    assert len(quarters) == KEPT
    assert quarters[-1][0] == (KEPT + 49) * QUARTER


def test_a_store_keeps_them_and_changes_its_state(tmp_path: Path) -> None:
    with closing(Store(tmp_path, create=True, clock=lambda: BEGIN + 3000)) as store:
        committer = store.committer()
        counters = {"received": 1000, "no_match": 5}
        committer.commit([Batch("lyon", "one", 1, BEGIN + 60, table([]), drops=5, counters=counters)])
        assert store.dataset.now().losses(0, BEGIN + QUARTER) == []
        before = store.dataset.now().state()
        more = Batch(
            "lyon", "one", 2, BEGIN + 90, table([]), drops=50, counters=counters | {"received": 1100}
        )
        committer.commit([more])
        committer.commit([more])
        assert store.dataset.now().losses(0, BEGIN + QUARTER) == [
            Loss("lyon", BEGIN, BEGIN + QUARTER, 1100, 50, 5, 0)
        ]
        assert store.dataset.now().state().version != before.version
        (sensor,) = store.info().sensors
        assert (sensor.drops, sensor.counters) == (50, counters | {"received": 1100})


@pytest.mark.parametrize("known", [True, False])
def test_a_ledger_from_before_counters_is_read(tmp_path: Path, known: bool) -> None:
    with closing(Store(tmp_path, create=True)) as store:
        committer = store.committer()
        committer.commit([Batch("lyon", "one", 1, BEGIN, table([]), drops=3)])
        path = tmp_path / "sensors.parquet"
        old = pyarrow.parquet.read_table(path).drop_columns(["sequence", "counters", "quarters"])
        content = io.BytesIO()
        pyarrow.parquet.write_table(old, content)
        path.write_bytes(content.getvalue())
        committer = committer if known else store.committer()
        committer.commit([Batch("lyon", "one", 2, BEGIN + 9, table([]), drops=3, counters={"received": 9})])
        (sensor,) = Ledger(committer.ledger._place).sensors.values()
        assert (sensor.sequence, sensor.counters, sensor.drops) == (2, {"received": 9}, 3)
