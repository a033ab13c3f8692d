"""Order, bounds and endings of the pipeline."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfopen.capture.source import open_captures
from halfopen.connections.limits import Limits
from halfopen.model import CONNECTION, Counter
from halfopen.lanes import DEPTH, in_order
from halfopen.pipeline import Judge, Judged
from tests.cli.conftest import capture_bytes

Rows = tuple[str, list[tuple[object, ...]]]


@given(st.lists(st.integers(0, 12), max_size=8), st.integers(1, 4))
def test_results_come_in_the_order_of_the_items(sizes: list[int], jobs: int) -> None:
    def work(item: tuple[int, int]) -> Generator[tuple[int, int], None, None]:
        number, size = item
        yield from ((number, each) for each in range(size))

    items = list(enumerate(sizes))
    assert list(in_order(items, work, jobs)) == [pair for item in items for pair in work(item)]


@pytest.mark.parametrize("jobs", [1, 3])
def test_an_error_comes_at_its_place(jobs: int) -> None:
    def work(item: int) -> Generator[int, None, None]:
        yield item
        if item == 1:
            raise ValueError("the second item")

    results = in_order(range(4), work, jobs)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="the second item"):
        next(results)


def test_nobody_runs_far_ahead() -> None:
    made = [0, 0]
    first_may_end = threading.Event()

    def work(item: int) -> Generator[int, None, None]:
        if item == 0:
            first_may_end.wait(60)
        for _ in range(100):
            made[item] += 1
            yield item

    results = in_order(range(2), work, 2)
    threading.Timer(0.3, first_may_end.set).start()
    next(results)
    assert made[1] <= DEPTH + 1  # those that wait, and one in hand
    assert len(list(results)) == 199


def test_leaving_early_stops_every_thread() -> None:
    closed = []

    def work(item: int) -> Generator[int, None, None]:
        try:
            while True:
                yield item
        finally:
            closed.append(item)

    before = threading.active_count()
    results = in_order(range(5), work, 3)
    next(results)
    results.close()
    assert threading.active_count() == before
    assert set(closed) <= set(range(5))
    assert 0 in closed


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("captures")
    for number in range(5):
        (directory / f"{number}.pcap").write_bytes(capture_bytes(number, 20))
    (directory / "5.pcap").write_bytes(capture_bytes(5)[:-9])
    return directory


def judged(paths: list[Path], jobs: int, left_out: bool = False) -> tuple[list[Rows], Judge]:
    def copied(batches: Iterator[Judged]) -> Iterator[Rows]:
        return ((batch.file, batch.rows.tolist()) for batch in batches)

    judge = Judge(Limits(), jobs=jobs, left_out=left_out)
    return list(judge.run(open_captures(list(map(str, paths))), copied)), judge


def test_threads_change_nothing(captures: Path) -> None:
    alone, first = judged([captures], 1)
    for jobs in (2, 3, 8):
        beside, judge = judged([captures], jobs)
        assert beside == alone
        assert judge.account.about() == first.account.about()


def test_a_capture_read_ahead_is_the_same_capture(captures: Path) -> None:
    paths = [captures / "0.pcap"]
    assert judged(paths, 2)[0] == judged(paths, 1)[0]


def test_counters_are_summed_and_problems_collected(captures: Path) -> None:
    _, judge = judged([captures], 2)
    account = judge.account
    assert account.captures == account.readable == 6
    assert account.counters[Counter.connections] == 5 * 21 + 6
    assert [Path(problem.file).name for problem in account.problems] == ["5.pcap"]


def test_connections_without_a_stage_are_handed_on_if_asked(captures: Path) -> None:
    def left_out(batches: list[Rows]) -> int:
        place = list(CONNECTION.names or ()).index("left_out")
        return sum(1 for _, rows in batches for row in rows if row[place])

    assert left_out(judged([captures], 1)[0]) == 0
    rows, judge = judged([captures], 1, left_out=True)
    assert left_out(rows) == judge.account.counters[Counter.undecided] > 0
