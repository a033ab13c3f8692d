"""Captures -> connections -> places: the one way from packets to judged connections.

A single capture is read by a thread of its own, ahead of the flow table, and of a large one the table is
parted into two halves, with a thread each. Several captures run side by side, one thread each; the
kernels release the GIL. Results come in the same order whatever the threads do, and every queue is bounded.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from halfopen.capture.source import Capture
from halfopen.connections.limits import Limits
from halfopen.connections.rules import RULES_VERSION
from halfopen.connections.tracker import Share, Tracker
from halfopen.errors import CaptureError
from halfopen.lanes import ahead, in_order, in_turns
from halfopen.model import PLACE, Batch, Bytes, ConnectionBatch, LeftOut, Rows, counts, new_counters
from halfopen.places import Places

Result = TypeVar("Result")

LARGE: Final = 1 << 25
"""Bytes of files from which on a capture's connections are held in two halves, each a table of its own."""

MANY: Final = 1 << 16
"""Most connections, likewise: a half may have as many, and where the limit is small it is meant to the last one."""


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Judged:
    """Connections of one capture, in the order in which they became final.

    Those of a large one come by batches of packets: of each first those of one half of the table.
    """

    file: str
    rows: Rows  # model.CONNECTION
    names: Bytes  # what name_offset and name_length point into
    places: Rows  # model.PLACE of each client
    packets: Rows  # model.FIRST_PACKET, what packets_offset and packets point into; none if not asked for

    def kept(self) -> Judged:
        """The same in arrays of its own, valid for good."""
        return Judged(self.file, self.rows.copy(), self.names.copy(), self.places.copy(), self.packets.copy())


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
    packets: bool = False  # whether what was seen of their packets is
    account: Account = field(default_factory=Account)
    # Empty tables of captures that are finished: a new one is a lot of memory to touch.
    _idle: dict[Share, list[Tracker]] = field(
        default_factory=lambda: {share: [] for share in Share}, init=False, repr=False
    )

    def run(
        self, captures: Sequence[Capture], work: Callable[[Iterator[Judged]], Iterator[Result]]
    ) -> Generator[Result, None, None]:
        """What `work` makes of the connections of each capture, in the order of the captures.

        `work` runs beside the others in a thread of its capture, or of half of it. The rows it is given
        are valid until it asks for the next.
        """
        alone = len(captures) == 1 and self.jobs > 1

        def one(capture: Capture) -> Generator[Result | _Finished, None, None]:
            trackers = [self._tracker(share) for share in self._shares(capture)]
            batches = (batch for batch in capture.batches())
            if alone and len(trackers) > 1:
                yield from in_turns(
                    batches, [partial(self._half, work, capture, tracker) for tracker in trackers]
                )
            elif alone:
                with ahead(batches) as read:
                    yield from work(self._connections(capture, read, trackers))
            else:
                yield from work(self._connections(capture, batches, trackers))
            counters = new_counters()
            for tracker in trackers:
                counters += tracker.counters
                tracker.counters[:] = 0
                self._idle[tracker.share].append(tracker)
            yield _Finished(capture, counters)

        with closing(in_order(captures, one, self.jobs)) as results:
            for result in results:
                if isinstance(result, _Finished):
                    self.account.add(result.capture, result.counters)
                else:
                    yield result

    def rest(self) -> None:
        """Let go of the tables that are kept for further captures."""
        for idle in self._idle.values():
            idle.clear()

    def _shares(self, capture: Capture) -> tuple[Share, ...]:
        """How a capture is parted; by what it is alone, so that its rows come in one order everywhere."""
        if (capture.progress[1] or 0) >= LARGE and self.limits.max_connections >= MANY:
            return Share.FIRST, Share.SECOND
        return (Share.ALL,)

    def _tracker(self, share: Share) -> Tracker:
        try:
            return self._idle[share].pop()
        except IndexError:
            return Tracker(self.limits, new_counters(), share, packets=self.packets)

    def _half(
        self,
        work: Callable[[Iterator[Judged]], Iterator[Result]],
        capture: Capture,
        tracker: Tracker,
        batches: Iterator[Batch],
    ) -> Generator[Result, None, None]:
        yield from work(self._connections(capture, batches, [tracker]))

    def _connections(
        self, capture: Capture, batches: Iterator[Batch], trackers: Sequence[Tracker]
    ) -> Iterator[Judged]:
        for batch in batches:
            for tracker in trackers:
                yield from self._judged(capture.name, tracker.feed(batch))
        for tracker in trackers:
            yield from self._judged(capture.name, tracker.finish(capture.clock))

    def _judged(self, file: str, final: Iterator[ConnectionBatch]) -> Iterator[Judged]:
        for batch in final:
            rows = batch.rows if self.left_out else decided(batch.rows)
            if len(rows):
                yield Judged(file, rows, batch.names, places_of(rows, self.places), batch.packets)


@dataclass(frozen=True, slots=True)
class LiveJudge:
    """Judges connections whose packets come as they are sent; only those with a stage are handed on.

    What is handed on is valid until the next is asked for, and may be changed.
    """

    name: str
    tracker: Tracker
    places: Places | None = None

    def feed(self, batch: Batch) -> Iterator[Judged]:
        """Packets have come."""
        return self._judged(self.tracker.feed(batch))

    def turn(self, now: int) -> Iterator[Judged]:
        """All packets until `now` (ns) have been fed: whose silence is over?"""
        return self._judged(self.tracker.turn(now))

    def finish(self, now: int) -> Iterator[Judged]:
        """Nothing more will be fed; what cannot be told yet stays untold."""
        return self._judged(self.tracker.finish(now))

    def _judged(self, final: Iterator[ConnectionBatch]) -> Iterator[Judged]:
        for batch in final:
            rows = decided(batch.rows)
            if len(rows):
                yield Judged(self.name, rows, batch.names, places_of(rows, self.places), batch.packets)


def places_of(rows: Rows, places: Places | None) -> Rows:
    """Where the clients of connections are (`model.PLACE`), nowhere without `places`."""
    if places is None:
        return np.zeros(len(rows), PLACE)
    return places.lookup(rows["client_hi"], rows["client_lo"])


def decided(rows: Rows) -> Rows:
    """The connections that have a stage; without a copy where that is all of them."""
    left_out = rows["left_out"] != LeftOut.decided
    return rows[~left_out] if left_out.any() else rows


@dataclass(frozen=True, slots=True)
class _Finished:
    capture: Capture
    counters: NDArray[np.int64]
