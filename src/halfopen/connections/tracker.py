"""The flow table as others see it: batches of packets in, batches of connections out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from halfopen.connections.final import NEVER
from halfopen.connections.flow import advance, earliest_start, end_all, pass_time, thin_out
from halfopen.connections.layout import OUT_ROWS, Share, new_table, serve
from halfopen.connections.limits import Limits
from halfopen.model import Batch, ConnectionBatch
from halfopen.sampling import Sampling

__all__ = ["Limits", "Share", "Tracker"]


class Tracker:
    """Follows the connections of one capture after the other; empty again after `finish`.

    Counts into `counters` (`model.new_counters()`). Left-out connections are among the rows, with
    their reason in `left_out`. A tracker that holds a half of the connections is fed all packets and
    passes over those of the other half. Of connections that are not in the sample nothing is kept.

    With `packets`, what was seen of the packets of each connection is yielded with it. Of what is yielded each
    batch is valid until the next is asked for.
    """

    def __init__(
        self,
        limits: Limits,
        counters: NDArray[np.int64],
        share: Share = Share.ALL,
        sampling: Sampling = Sampling(),  # noqa: B008 - it cannot be changed
        *,
        packets: bool = False,
    ) -> None:
        self.counters = counters
        self.share = share
        self._limits = limits
        self._largest = sampling
        # Python keys its string hash anew in every process: a seed nobody outside can know.
        seed = hash("flow table") & (2**64 - 1)
        self._state, self._pools = new_table(limits, counters, seed, share, sampling, packets)

    def feed(self, batch: Batch) -> Iterator[ConnectionBatch]:
        """Take the packets of a batch. What became final may be yielded later: by `turn` at the latest."""
        at = 0
        while at < len(batch.rows):
            at = advance(self._state, batch.rows, batch.data, at)
            if at < len(batch.rows) or self._state["rows_out"][0] * 2 > OUT_ROWS:
                yield from self._drain()

    def turn(self, now: int) -> Iterator[ConnectionBatch]:
        """The clock has come to `now` (ns), packets or not: yields all that is final by then."""
        while not pass_time(self._state, now):
            yield from self._drain()
        yield from self._drain()

    def finish(self, clock: int) -> Iterator[ConnectionBatch]:
        """The capture ends; `clock` is the largest time stamp (ns) of any packet in it."""
        while not end_all(self._state, clock):
            yield from self._drain()
        yield from self._drain()

    @property
    def live(self) -> int:
        """How many connections the table holds, those that only wait for late packets included."""
        return int(self._state["live"][0])

    @property
    def limit(self) -> int:
        """How many it can hold."""
        return self._limits.max_connections

    def oldest(self) -> int | None:
        """Start (ns) of the earliest connection without a verdict; some milliseconds for a million."""
        start = int(earliest_start(self._state))
        return None if start == NEVER else start

    def serve(self, ports: frozenset[int]) -> None:
        """From now on these are the server ports; connections that are there stay."""
        self._limits = replace(self._limits, server_ports=ports)
        serve(self._state, ports)

    @property
    def sampling(self) -> Sampling:
        """The sample that is in force now."""
        return Sampling(self._largest.key, int(self._state["threshold"][0]))

    @property
    def halved(self) -> bool:
        """Whether the sample is smaller than the one that the tracker began with."""
        return bool(self._state["halvings"][0])

    def tighten(self) -> None:
        """Halve the sample: connections that are no longer in it leave, those without a verdict as `unsampled`.

        A connection weighs what the smallest sample of its life does: ``2**halvings`` (in its row)
        times what one weighs in the sample that the tracker began with.
        """
        if self.sampling.threshold > 1:
            self._halve(int(self._state["halvings"][0]) + 1)
            thin_out(self._state)

    def loosen(self) -> None:
        """Double the sample again, up to the one that the tracker began with; for connections to come."""
        self._halve(max(int(self._state["halvings"][0]) - 1, 0))

    def _halve(self, times: int) -> None:
        self._state["halvings"] = times
        self._state["threshold"] = self._largest.threshold >> times

    def _drain(self) -> Iterator[ConnectionBatch]:
        rows, names, packets = (int(self._state[f"{what}_out"][0]) for what in ("rows", "names", "packets"))
        if rows:
            yield ConnectionBatch(
                self._pools["out"][:rows],
                self._pools["names"][:names],
                self._pools["first_packets"][:packets],
            )
            self._state["rows_out"] = self._state["names_out"] = self._state["packets_out"] = 0
