"""Threads that hand results on in a fixed order, through bounded queues."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from queue import Empty, SimpleQueue
from threading import Condition, Thread
from typing import Any, Final, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

DEPTH: Final = 4
"""Results that may wait for those before them."""

PATIENCE: Final = 1.0
"""Seconds given to a thread to stop; one that waits for standard input is left behind."""


class Lane(Generic[Result]):
    """What one thread hands to another: results, then the end or the error that stopped it."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._waiting: deque[Result] = deque()
        self._error: BaseException | None = None
        self._ended = self._abandoned = False
        self._changed = Condition()

    def fill(self, results: Generator[Result, None, None]) -> None:
        """Run `results` to its end, or until nobody reads any more."""
        if self._abandoned:
            return
        error = None
        with closing(results):
            try:
                for result in results:
                    if not self.put(result):
                        return
            except BaseException as raised:  # raised again where the lane is read
                error = raised
        self.end(error)

    def put(self, result: Result) -> bool:
        """Hand one result on, when there is room; False where nobody reads any more."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) < self._depth or self._abandoned)
            if not self._abandoned:
                self._waiting.append(result)
                self._changed.notify_all()
            return not self._abandoned

    def end(self, error: BaseException | None) -> None:
        """No more results come, because of `error` if there is one."""
        with self._changed:
            self._error, self._ended = error, True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Result]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ended or self._abandoned)
                if self._abandoned or not self._waiting:
                    break
                result = self._waiting.popleft()
                self._changed.notify_all()
            yield result
        error, self._error = self._error, None  # once
        if error is not None and not self._abandoned:
            raise error

    def abandon(self) -> None:
        """Nobody reads any more: tell whoever fills the lane, or waits for something in it."""
        with self._changed:
            self._abandoned = True
            self._changed.notify_all()


def in_order(
    items: Sequence[Item], work: Callable[[Item], Generator[Result, None, None]], jobs: int
) -> Generator[Result, None, None]:
    """All results of ``work(item)``, in the order of `items`, made by up to `jobs` threads."""
    if min(jobs, len(items)) < 2:
        for item in items:
            yield from work(item)
        return
    lanes: list[Lane[Result]] = [Lane(DEPTH) for _ in items]
    waiting: SimpleQueue[tuple[Lane[Result], Item]] = SimpleQueue()
    for pair in zip(lanes, items, strict=True):
        waiting.put(pair)

    def worker() -> None:
        with suppress(Empty):
            while True:
                lane, item = waiting.get_nowait()
                lane.fill(work(item))

    with _running([worker] * min(jobs, len(items)), lanes):
        for lane in lanes:
            yield from lane


@contextmanager
def ahead(items: Generator[Item, None, None]) -> Iterator[Iterator[Item]]:
    """The items, made by a thread of its own from now on.

    One is looked at, one waits and one is being made: an item must outlive the next two.
    """
    lane: Lane[Item] = Lane(1)
    with _running([partial(lane.fill, items)], [lane]):
        yield iter(lane)


def in_turns(
    items: Generator[Item, None, None],
    works: Sequence[Callable[[Iterator[Item]], Generator[Result, None, None]]],
) -> Generator[Result, None, None]:
    """What each of `works`, in a thread of its own, makes of all the items, which another thread makes.

    Results come by item: those of the first of `works` for it, those of the second, and so on. An item
    must outlive the next two.
    """
    ways_in: list[Lane[Item]] = [Lane(1) for _ in works]
    ways_out: list[Lane[Result | _Turn]] = [Lane(DEPTH) for _ in works]

    def source() -> None:
        error = None
        with closing(items):
            try:
                for item in items:
                    if not all(lane.put(item) for lane in ways_in):
                        return
            except BaseException as raised:
                error = raised
        for lane in ways_in:
            lane.end(error)

    def worker(
        work: Callable[[Iterator[Item]], Generator[Result, None, None]],
        way_in: Lane[Item],
        way_out: Lane[Result | _Turn],
    ) -> None:
        def taken() -> Iterator[Item]:
            for item in way_in:
                yield item
                way_out.put(_TURN)

        way_out.fill(work(taken()))
        for _ in way_in:  # one that has enough does not keep the others waiting
            pass

    workers = [partial(worker, *each) for each in zip(works, ways_in, ways_out, strict=True)]
    with _running([source, *workers], [*ways_in, *ways_out]):
        streams = [iter(lane) for lane in ways_out]
        while streams:
            for stream in tuple(streams):
                for result in stream:
                    if isinstance(result, _Turn):
                        break
                    yield result
                else:
                    streams.remove(stream)


class _Turn:
    """Stands among results where the next worker has its turn."""


_TURN: Final = _Turn()


@contextmanager
def _running(tasks: Sequence[Callable[[], None]], lanes: Sequence[Lane[Any]]) -> Iterator[None]:
    """Run `tasks` in threads that stop where nobody reads from `lanes` any more."""
    threads = [Thread(target=task, daemon=True) for task in tasks]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for lane in lanes:
            lane.abandon()
        for thread in threads:
            thread.join(PATIENCE)
