"""Captures -> connections -> places: the one way from packets to judged connections.

One capture is read by a thread of its own, ahead of the flow table. Several captures run side by
side, one thread each; the kernels release the GIL. Results come in the order of the captures
whatever the threads do, and every queue is bounded.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from queue import Empty, Queue, SimpleQueue
from threading import Thread
from typing import Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from halfopen.capture.source import Capture
from halfopen.connections.limits import Limits
from halfopen.connections.rules import RULES_VERSION
from halfopen.connections.tracker import Tracker
from halfopen.errors import CaptureError
from halfopen.model import PLACE, Batch, Bytes, ConnectionBatch, LeftOut, Rows, counts, new_counters
from halfopen.places import Places

Item = TypeVar("Item")
Result = TypeVar("Result")

DEPTH: Final = 4
"""Results that may wait for the captures before them."""

PATIENCE: Final = 1.0
"""Seconds given to a thread to stop; one that waits for standard input is left behind."""


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Judged:
    """Connections of one capture, in the order in which they became final."""

    file: str
    rows: Rows  # model.CONNECTION
    names: Bytes  # what name_offset and name_length point into
    places: Rows  # model.PLACE of each client


@dataclass(slots=True)
class Account:
    """What became of the captures: counters summed, and problems in the order of the captures."""

    counters: NDArray[np.int64] = field(default_factory=new_counters)
    problems: list[CaptureError] = field(default_factory=list)
    unknown_links: dict[str, int] = field(default_factory=dict)
    captures: int = 0
    readable: int = 0  # captures without damage, or with packets before it

    def add(self, capture: Capture, judging: NDArray[np.int64]) -> None:
        """Add a capture that was read to its end, and the counters of its flow table."""
        self.captures += 1
        self.readable += capture.readable
        self.counters += capture.counters
        self.counters += judging
        self.problems += capture.problems
        for link, packets in capture.unknown_links.items():
            self.unknown_links[link] = self.unknown_links.get(link, 0) + packets

    def about(self) -> dict[str, object]:
        """What belongs beside every table of connections, ready for JSON."""
        return {
            "captures": self.captures,
            "rules_version": RULES_VERSION,
            "counters": counts(self.counters),
            "unknown_links": self.unknown_links,
            "problems": [str(problem) for problem in self.problems],
        }


@dataclass(slots=True)
class Judge:
    """Judges the connections of captures; `account` grows as captures are finished, in their order."""

    limits: Limits
    places: Places | None = None
    jobs: int = 1
    left_out: bool = False  # whether connections without a stage are handed on, too
    account: Account = field(default_factory=Account)
    # Empty tables of captures that are finished, with their counters: a new one is a lot of memory to touch.
    _idle: list[tuple[Tracker, NDArray[np.int64]]] = field(default_factory=list, init=False, repr=False)

    def run(
        self, captures: Sequence[Capture], work: Callable[[Iterator[Judged]], Iterator[Result]]
    ) -> Generator[Result, None, None]:
        """What `work` makes of the connections of each capture, in the order of the captures.

        `work` runs beside the others in the thread of its capture. The rows it is given are valid
        until it asks for the next.
        """
        ahead = len(captures) == 1 and self.jobs > 1

        def one(capture: Capture) -> Generator[Result | _Finished, None, None]:
            counters = new_counters()
            yield from work(self._connections(capture, counters, ahead))
            yield _Finished(capture, counters)

        with closing(in_order(captures, one, self.jobs)) as results:
            for result in results:
                if isinstance(result, _Finished):
                    self.account.add(result.capture, result.counters)
                else:
                    yield result

    def _connections(self, capture: Capture, counters: NDArray[np.int64], ahead: bool) -> Iterator[Judged]:
        try:
            tracker, counted = self._idle.pop()
        except IndexError:
            counted = new_counters()
            tracker = Tracker(self.limits, counted)
        for batch in read_ahead(capture) if ahead else capture.batches():
            yield from self._judged(capture.name, tracker.feed(batch))
        yield from self._judged(capture.name, tracker.finish(capture.clock))
        counters += counted
        counted[:] = 0
        self._idle.append((tracker, counted))

    def _judged(self, file: str, final: Iterator[ConnectionBatch]) -> Iterator[Judged]:
        for batch in final:
            rows = batch.rows if self.left_out else decided(batch.rows)
            if len(rows):
                yield Judged(file, rows, batch.names, self._places(rows))

    def _places(self, rows: Rows) -> Rows:
        if self.places is None:
            return np.zeros(len(rows), PLACE)
        return self.places.lookup(rows["client_hi"], rows["client_lo"])


def decided(rows: Rows) -> Rows:
    """The connections that have a stage; without a copy where that is all of them."""
    left_out = rows["left_out"] != LeftOut.decided
    return rows[~left_out] if left_out.any() else rows


@dataclass(frozen=True, slots=True)
class _Finished:
    capture: Capture
    counters: NDArray[np.int64]


class _Lane(Generic[Result]):
    """What one thread hands to another: results, then the end or the error that stopped it."""

    def __init__(self, depth: int) -> None:
        self._queue: Queue[Result | None] = Queue(depth)
        self._error: BaseException | None = None
        self._abandoned = False

    def fill(self, results: Generator[Result, None, None]) -> None:
        """Run `results` to its end, or until nobody reads any more."""
        if self._abandoned:
            return
        with closing(results):
            try:
                for result in results:
                    self._queue.put(result)
                    if self._abandoned:
                        return
            except BaseException as error:  # raised again where the lane is read
                self._error = error
        if not self._abandoned:
            self._queue.put(None)

    def __iter__(self) -> Iterator[Result]:
        while (result := self._queue.get()) is not None:
            yield result
        if self._error is not None:
            raise self._error

    def abandon(self) -> None:
        """Tell the filling thread to stop, and make room in case it waits for some."""
        self._abandoned = True
        with suppress(Empty):
            while True:
                self._queue.get_nowait()


def in_order(
    items: Sequence[Item], work: Callable[[Item], Generator[Result, None, None]], jobs: int
) -> Generator[Result, None, None]:
    """All results of ``work(item)``, in the order of `items`, made by up to `jobs` threads."""
    if min(jobs, len(items)) < 2:
        for item in items:
            yield from work(item)
        return
    lanes: list[_Lane[Result]] = [_Lane(DEPTH) for _ in items]
    waiting: SimpleQueue[tuple[_Lane[Result], Item]] = SimpleQueue()
    for pair in zip(lanes, items, strict=True):
        waiting.put(pair)

    def worker() -> None:
        with suppress(Empty):
            while True:
                lane, item = waiting.get_nowait()
                lane.fill(work(item))

    threads = [Thread(target=worker, daemon=True) for _ in range(min(jobs, len(items)))]
    for thread in threads:
        thread.start()
    try:
        for lane in lanes:
            yield from lane
    finally:
        for lane in lanes:
            lane.abandon()
        for thread in threads:
            thread.join(PATIENCE)


def read_ahead(capture: Capture) -> Generator[Batch, None, None]:
    """The batches of `capture`, read by a thread of its own; each is valid until the next is asked for.

    One is looked at, one waits and one is being filled: a batch outlives the next two.
    """
    lane: _Lane[Batch] = _Lane(1)
    thread = Thread(target=lane.fill, args=((each for each in capture.batches()),), daemon=True)
    thread.start()
    try:
        yield from lane
    finally:
        lane.abandon()
        thread.join(PATIENCE)
