"""Sums of whole partitions: files never change, so what was added up once need not be read again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from halfopen.cache import Cache
from halfopen.store import questions
from halfopen.store.engine import Engine
from halfopen.store.query import Dimension, Filters, summed
from halfopen.store.rollup import start_of
from halfopen.store.tables import Table

FEW: Final = frozenset({Dimension.stage, Dimension.signature, Dimension.ip_version})
"""Dimensions of few values, all numbers: a partition has few sums of them."""

Columns = Mapping[str, Any]
"""Arrays of one length: bucket, key, connections, weight, squares."""

_NAMES: Final = ("bucket", "key", "connections", "weight", "squares")

_NOTHING: Final[Columns] = {name: np.empty(0, np.int64) for name in _NAMES}

_MOST_KEPT: Final = 16 << 20
"""Bytes of sums: of a filter a week of quarters of an hour takes 160 kB, a month of days 8 kB."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What a question wants of one grain: start <= bucket < end (s), from the files of each partition touched."""

    grain: str
    start: int
    end: int
    partitions: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    files: Sequence[str]  # those the partition had when it was read
    columns: Columns  # sorted by bucket

    @property
    def size(self) -> int:
        return 512 + sum(int(column.nbytes) for column in self.columns.values())


class Sums:
    """Counts by a dimension of `FEW`, out of the sums of partitions; only those that changed are read again."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._cache: Cache[object, _Kept] = Cache(_MOST_KEPT, lambda each: each.size)

    def counts(
        self, table: Table, by: Dimension, filters: Filters, kind: str, stretches: Sequence[Stretch]
    ) -> Columns:
        """The sums of all stretches: several rows for a bucket and a key where partitions or grains meet."""
        wanted = {(each.grain, day): files for each in stretches for day, files in each.partitions.items()}
        known: dict[tuple[str, str], Columns] = {}
        for partition, files in wanted.items():
            kept = self._cache.get((by, filters, kind, partition))
            if kept is not None and kept.files == files:
                known[partition] = kept.columns
        missing = {partition: files for partition, files in wanted.items() if partition not in known}
        for partition, columns in self._read(table, by, filters, kind, missing).items():
            known[partition] = columns
            self._cache.put((by, filters, kind, partition), _Kept(missing[partition], columns))
        parts = [_NOTHING] + [
            _between(known[each.grain, day], each.start, each.end)
            for each in stretches
            for day in each.partitions
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in _NAMES}

    def _read(
        self,
        table: Table,
        by: Dimension,
        filters: Filters,
        kind: str,
        partitions: Mapping[tuple[str, str], Sequence[str]],
    ) -> Mapping[tuple[str, str], Columns]:
        if not partitions:
            return {}
        grains = sorted({grain for grain, _ in partitions})
        query, values = questions.sums(by, filters, kind, grains)
        sources = {
            questions.source_name(grain): table.source(
                path for (each, _), files in partitions.items() if each == grain for path in files
            )
            for grain in grains
        }
        found = self._engine.columns(query, sources, values)
        read = {}
        for number, grain in enumerate(grains):
            days = sorted(day for each, day in partitions if each == grain)
            of_grain = _between(found, number, number + 1, "grain")
            for day, end in zip(days, [*map(start_of, days[1:]), None], strict=True):
                columns = _between(of_grain, start_of(day), end)
                read[grain, day] = {name: columns[name].copy() for name in _NAMES}
        return read


def _between(columns: Columns, start: int, end: int | None, name: str = "bucket") -> Columns:
    """The rows of columns sorted by one of them for which start <= value < end (None: no bound)."""
    first = np.searchsorted(columns[name], start)
    last = len(columns[name]) if end is None else np.searchsorted(columns[name], end)
    return {each: column[first:last] for each, column in columns.items()}


def in_buckets(columns: Columns, step: int | None, start: int) -> Columns:
    """The sums by bucket of `step` seconds (as `query.Snapshot.counts`) and by key; none where nothing was counted."""
    bucket = questions.bucket_of(columns["bucket"], step, start)
    keys = columns["key"].astype(np.int64)
    span = int(keys.max(initial=0)) + 1
    cells, at = np.unique(bucket * span + keys, return_inverse=True)
    sums = {name: summed(at, columns[name], len(cells)) for name in _NAMES[2:]}
    sums["connections"] = np.rint(sums["connections"]).astype(np.int64)
    sums |= {"bucket": cells // span, "key": cells % span}
    counted = sums["connections"] != 0
    return {name: column[counted] for name, column in sums.items()}
