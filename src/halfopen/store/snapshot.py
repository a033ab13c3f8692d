"""A dataset as it stood at one moment: every question about it is answered from the same files."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from zlib import crc32

import numpy as np

from halfopen.model import STAGES
from halfopen.store import questions
from halfopen.store.engine import Engine
from halfopen.store.ledger import Ingested, Sensor, closed, missed, overlapping
from halfopen.store.losses import losses
from halfopen.store.query import Cells, Dimension, Filters, Gap, Groups, Loss, Overlap, State, summed
from halfopen.store.rollup import partition_of
from halfopen.store.sums import FEW, Stretch, Sums, in_buckets
from halfopen.store.tables import Table

Partitions = Mapping[str, Sequence[str]]
"""The paths of files by the partition they are of."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A `query.Snapshot` over the rollups of one store, for as long as their files are kept (a day after they left).

    `grains` are the files of each grain, `version` is that of the rollups; `sensors` and `files` stand in the ledger; `now` is
    the time (s) at which it was taken.
    """

    engine: Engine
    sums: Sums
    rollups: Table
    grains: Mapping[str, Partitions]
    version: str
    sensors: Collection[Sensor]
    files: Collection[Ingested]
    now: int

    def counts(
        self, filters: Filters, start: int, end: int, step: int | None, by: Dimension = Dimension.stage
    ) -> Cells:
        """As `query.Snapshot.counts`. Undecided connections do not count (D11)."""
        kind = questions.kind_of(filters, by)
        parts = questions.parts(kind, start, end, step)
        if not parts:
            return Cells.of(())
        stretches = [Stretch(*each, self._touched(*each)) for each in parts]
        if by in FEW:
            found = in_buckets(self.sums.counts(self.rollups, by, filters, kind, stretches), step, start)
        else:
            query, values = questions.counts(by, step, start, filters, kind, parts)
            found = self.engine.columns(query, dict(map(self._source, stretches)), values)
        text = questions.KEY_TEXT.get(by, str)
        raw = found["key"].tolist()
        names = {key: text(key) for key in set(raw)}
        keys = [names[key] for key in raw]
        return Cells(found["bucket"], keys, found["connections"], found["weight"], found["squares"])

    def groups(self, filters: Filters, start: int, end: int, by: Dimension) -> Groups:
        """As `query.Snapshot.groups`."""
        kind = questions.kind_of(filters, by)
        parts = questions.parts(kind, start, end, None)
        query, values = questions.groups(by, filters, kind, parts)
        stretches = (Stretch(*each, self._touched(*each)) for each in parts)
        found = self.engine.columns(query, dict(map(self._source, stretches)), values)
        raw = found["key"].tolist()
        rows = {key: row for row, key in enumerate(dict.fromkeys(raw))}
        columns = map(STAGES.index, found["stage"].tolist())
        at = np.array(
            [rows[key] * len(STAGES) + column for key, column in zip(raw, columns, strict=True)], np.int64
        )
        connections, weight, squares = (
            summed(at, found[name], len(rows) * len(STAGES)).reshape(len(rows), len(STAGES))
            for name in ("connections", "weight", "squares")
        )
        text = questions.KEY_TEXT.get(by, str)
        return Groups([text(key) for key in rows], connections.astype(np.int64), weight, squares)

    def state(self) -> State:
        """How far the dataset had come."""
        return self._state

    @cached_property
    def _state(self) -> State:
        until = closed(self.sensors, (each.end for each in self.files), self.now)
        befell = missed(self.sensors, 0, self.now, until), overlapping(self.sensors), self.losses(0, self.now)
        updated = max(
            [*(each.added for each in self.sensors), *(each.ingested for each in self.files)], default=0
        )
        return State(f"{self.version}.{crc32(repr(befell).encode())}", until, updated)

    def gaps(self, start: int, end: int) -> Sequence[Gap]:
        """As `query.Snapshot.gaps`."""
        return missed(self.sensors, start, end, self._state.closed)

    def overlaps(self, start: int, end: int) -> Sequence[Overlap]:
        """As `query.Snapshot.overlaps`."""
        return [each for each in overlapping(self.sensors) if each.start < end and each.end > start]

    def losses(self, start: int, end: int) -> Sequence[Loss]:
        """As `query.Snapshot.losses`."""
        return losses(((each.name, each.quarters) for each in self.sensors), start, end)

    def _touched(self, grain: str, start: int, end: int) -> Partitions:
        """The partitions of a grain that hold start <= bucket < end."""
        lowest, highest = partition_of(grain, start), partition_of(grain, end - 1)
        return {day: files for day, files in self.grains.get(grain, {}).items() if lowest <= day <= highest}

    def _source(self, stretch: Stretch) -> tuple[str, Any]:
        paths = (path for paths in stretch.partitions.values() for path in paths)
        return questions.source_name(stretch.grain, stretch.start), self.rollups.source(paths)
