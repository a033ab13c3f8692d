"""Order, bounds and endings of what threads hand on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfopen.lanes import DEPTH, ahead, in_order, in_turns


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


def counted(most: int, error: Exception | None = None) -> Generator[int, None, None]:
    """Numbers from 0 on, and then an error if there is one."""
    yield from range(most)
    if error:
        raise error


def test_items_made_ahead_are_the_same_items() -> None:
    with ahead(counted(100)) as items:
        assert list(items) == list(range(100))
    with pytest.raises(ValueError, match="at the end"), ahead(counted(3, ValueError("at the end"))) as items:
        list(items)


def test_items_are_made_before_they_are_asked_for() -> None:
    begun = threading.Event()

    def items() -> Generator[int, None, None]:
        begun.set()
        yield 1

    with ahead(items()) as made:
        assert begun.wait(60)
        assert list(made) == [1]


Work = Callable[[Iterator[int]], Generator[tuple[str, int], None, None]]


def named(name: str, each: int) -> Work:
    """A work that makes `each` results of every item, and one at its end."""

    def work(items: Iterator[int]) -> Generator[tuple[str, int], None, None]:
        for item in items:
            yield from [(name, item)] * each
        yield name, -1

    return work


@given(st.integers(0, 9), st.lists(st.integers(0, 2 * DEPTH), min_size=1, max_size=3))
def test_results_come_in_turns(items: int, each: list[int]) -> None:
    works = [named(str(number), many) for number, many in enumerate(each)]
    expected = [
        (str(number), item) for item in range(items) for number, many in enumerate(each) for _ in range(many)
    ]
    expected += [(str(number), -1) for number in range(len(each))]
    assert list(in_turns(counted(items), works)) == expected


@pytest.mark.parametrize("broken", [0, 1])
def test_an_error_of_a_worker_comes_at_its_turn(broken: int) -> None:
    def work(number: int, items: Iterator[int]) -> Generator[tuple[int, int], None, None]:
        for item in items:
            if (number, item) == (broken, 2):
                raise ValueError("the third item")
            yield number, item

    got = []
    before = threading.active_count()
    with pytest.raises(ValueError, match="the third item"):  # noqa: PT012
        for result in in_turns(counted(1000), [partial(work, 0), partial(work, 1)]):
            got.append(result)
    assert got == [(0, 0), (1, 0), (0, 1), (1, 1), *[(0, 2)] * broken]
    assert threading.active_count() == before


def test_an_error_of_the_source_comes_after_what_was_made() -> None:
    results = in_turns(counted(2, ValueError("no more")), [named("a", 1), named("b", 1)])
    assert [next(results) for _ in range(4)] == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    with pytest.raises(ValueError, match="no more"):
        next(results)


def test_leaving_turns_early_stops_every_thread() -> None:
    closed = []

    def endless() -> Generator[int, None, None]:
        try:
            while True:
                yield 1
        finally:
            closed.append("source")

    before = threading.active_count()
    results = in_turns(endless(), [named("a", 1), named("b", 3)])
    assert [next(results) for _ in range(5)] == [("a", 1), ("b", 1), ("b", 1), ("b", 1), ("a", 1)]
    results.close()
    assert threading.active_count() == before
    assert closed == ["source"]


def test_a_worker_that_has_enough_does_not_keep_the_others_waiting() -> None:
    def two(items: Iterator[int]) -> Generator[tuple[str, int], None, None]:
        yield "a", next(items)
        yield "a", next(items)

    results = list(in_turns(counted(50), [two, named("b", 1)]))
    assert [number for name, number in results if name == "a"] == [0, 1]
    assert [number for name, number in results if name == "b"] == [*range(50), -1]
