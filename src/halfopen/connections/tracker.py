"""The flow table as the pipeline sees it: batches of packets in, batches of connections out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from halfopen.connections.flow import advance, end_all
from halfopen.connections.layout import OUT_ROWS, Share, new_table
from halfopen.connections.limits import Limits
from halfopen.model import Batch, ConnectionBatch

__all__ = ["Limits", "Share", "Tracker"]


class Tracker:
    """Follows the connections of one capture after the other; empty again after `finish`.

    Counts into `counters` (`model.new_counters()`). Left-out connections are among the rows, with
    their reason in `left_out`. A tracker that holds a half of the connections is fed all packets and
    passes over those of the other half.
    """

    def __init__(self, limits: Limits, counters: NDArray[np.int64], share: Share = Share.ALL) -> None:
        self.counters = counters
        self.share = share
        # Python keys its string hash anew in every process: a seed nobody outside can know.
        self._state, self._pools = new_table(limits, counters, hash("flow table") & (2**64 - 1), share)

    def feed(self, batch: Batch) -> Iterator[ConnectionBatch]:
        """Take the packets of a batch; each yielded batch is valid until the next is asked for."""
        at = 0
        while at < len(batch.rows):
            at = advance(self._state, batch.rows, batch.data, at)
            if at < len(batch.rows) or self._state["rows_out"][0] * 2 > OUT_ROWS:
                yield from self._drain()

    def finish(self, clock: int) -> Iterator[ConnectionBatch]:
        """The capture ends; `clock` is the largest time stamp (ns) of any packet in it."""
        while not end_all(self._state, clock):
            yield from self._drain()
        yield from self._drain()

    def _drain(self) -> Iterator[ConnectionBatch]:
        rows, names = int(self._state["rows_out"][0]), int(self._state["names_out"][0])
        if rows:
            yield ConnectionBatch(self._pools["out"][:rows], self._pools["names"][:names])
            self._state["rows_out"] = self._state["names_out"] = 0
