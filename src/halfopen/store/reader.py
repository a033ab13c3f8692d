"""Answers from a store, beside any number of other readers and the one that commits."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar
from zlib import crc32

import duckdb
import pyarrow as pa

from halfopen.errors import StoreError
from halfopen.model import SECOND
from halfopen.store import questions
from halfopen.store.engine import Engine
from halfopen.store.ledger import Ingested, Ledger, Sensor, closed, missed, overlapping
from halfopen.store.place import Place
from halfopen.store.query import Cells, Dimension, Filters, Gap, Overlap, State
from halfopen.store.rollup import FOLLOWED, PRUNED, day_of, partition_of
from halfopen.store.schema import CONNECTIONS, ROLLUPS
from halfopen.store.sums import FEW, Stretch, Sums, in_buckets
from halfopen.store.tables import Table
from halfopen.store.told import named

Answer = TypeVar("Answer")

Partitions = Mapping[str, Sequence[str]]
"""The paths of files by the partition they are of."""


class Reader:
    """A `query.Dataset` over the tables of one store."""

    def __init__(
        self, place: Place, engine: Engine, clock: Callable[[], float] = time.time, freshness: float = 1.0
    ) -> None:
        """Read the store at `place`; an object store is asked for news every `freshness` seconds at most."""
        self._place, self._engine, self._clock, self._freshness = place, engine, clock, freshness
        self._lock = threading.Lock()
        self._connections = Table(place / CONNECTIONS.name, CONNECTIONS)
        self._rollups = Table(place / ROLLUPS.name, ROLLUPS)
        self._ledger = Ledger(place, freshness)
        self._looked: dict[str, float] = {}
        self._parted: tuple[object, Mapping[str, Partitions]] = None, {}
        self._sums = Sums(engine)

    def counts(
        self, filters: Filters, start: int, end: int, step: int | None, by: Dimension = Dimension.stage
    ) -> Cells:
        """As `query.Dataset.counts`. Undecided connections do not count (D11)."""
        kind = questions.kind_of(filters, by)
        grains = questions.parts(kind, start, end, step)
        if not grains:
            return Cells.of(())

        def ask() -> Mapping[str, Any]:
            with self._lock:
                table = self._fresh(self._rollups)
                files = self._by_grain(table)
            stretches = [Stretch(*each, _touched(files.get(each[0], {}), *each)) for each in grains]
            if by in FEW:
                return in_buckets(self._sums.counts(table, by, filters, kind, stretches), step, start)
            query, values = questions.counts(by, step, start, filters, kind, grains)
            sources = {
                questions.source_name(each.grain, each.start): table.source(
                    path for paths in each.partitions.values() for path in paths
                )
                for each in stretches
            }
            return self._engine.columns(query, sources, values)

        text = questions.KEY_TEXT.get(by, str)
        found = self._again(ask)
        raw = found["key"].tolist()
        names = {key: text(key) for key in set(raw)}
        keys = [names[key] for key in raw]
        return Cells(found["bucket"], keys, found["connections"], found["weight"], found["squares"])

    def connections(self, filters: Filters, start: int, end: int, limit: int, offset: int = 0) -> Any:
        """Single connections with start <= SYN < end (s), newest first, as a `pyarrow.Table`.

        The columns are those of `schema.CONNECTIONS`, but stage, signature and tags are told by their names.
        """
        test, values = questions.condition(filters)
        first, last = start * SECOND, end * SECOND
        query = (
            f"SELECT * FROM {{rows}} WHERE start_ns >= {first} AND start_ns < {last} AND {test} "
            f"ORDER BY start_ns DESC, sensor, incarnation, sequence, client_port, server_port, client, server, end_ns "
            f"LIMIT {limit} OFFSET {offset}"
        )
        return named(self._again(lambda: self._engine.ask(query, {"rows": self._days(start, end)}, values)))

    def numbers(self, filters: Filters, start: int, end: int) -> Sequence[tuple[int, int]]:
        """(bucket, connections in it) where there are single connections, newest first."""
        test, values = questions.condition(filters)
        query = (
            f"SELECT bucket, count(*) AS connections FROM {{rows}} "
            f"WHERE bucket >= {start} AND bucket < {end} AND {test} GROUP BY bucket ORDER BY bucket DESC"
        )
        found = self._again(lambda: self._engine.ask(query, {"rows": self._days(start, end)}, values))
        return list(zip(found["bucket"].to_pylist(), found["connections"].to_pylist(), strict=True))

    def stream(self, start: int | None, end: int | None) -> Iterator[Any]:
        """Single connections with start <= SYN < end (s), as those of `connections`, in `pyarrow.Table`s of some
        thousand rows; None: no bound. Day after day, of one snapshot, each day in the order of its files."""
        terms = [] if start is None else [f"start_ns >= {start * SECOND}"]
        terms += [] if end is None else [f"start_ns < {end * SECOND}"]
        query = f"SELECT * FROM {{rows}} WHERE {' AND '.join(terms) or 'TRUE'}"
        with self._lock:
            table = self._fresh(self._connections)
            files = table.files()
        lowest = "" if start is None else day_of(start).isoformat()
        highest = "9999" if end is None else day_of(end - 1).isoformat()
        for day in sorted({f.partition["day"] for f in files if lowest <= f.partition["day"] <= highest}):
            paths = sorted(f.path for f in files if f.partition["day"] == day)
            try:
                for batch in self._engine.stream(query, {"rows": table.source(paths)}):
                    yield named(pa.Table.from_batches([batch]))
            except (duckdb.Error, OSError) as error:
                raise StoreError(self._place.uri, str(error)) from error

    def _days(self, start: int, end: int) -> Any:
        """The rows of the days that start <= t < end touches."""
        lowest, highest = day_of(start).isoformat(), day_of(max(start, end - 1)).isoformat()
        with self._lock:
            table = self._fresh(self._connections)
            files = table.files()
        return table.source(f.path for f in files if lowest <= f.partition["day"] <= highest)

    def state(self) -> State:
        """How far the dataset has come."""
        now = int(self._clock())
        with self._lock:
            rollups = self._fresh(self._rollups)
            counts = rollups.identity, rollups.transaction(FOLLOWED), rollups.transaction(PRUNED)
        sensors, files = self._known()
        until = closed(sensors, (each.end for each in files), now)
        befell = crc32(repr((missed(sensors, 0, now, until), overlapping(sensors))).encode())
        updated = max([*(each.added for each in sensors), *(each.ingested for each in files)], default=0)
        return State(".".join(map(str, (*counts, befell))), until, updated)

    def gaps(self, start: int, end: int) -> Sequence[Gap]:
        """As `query.Dataset.gaps`."""
        sensors, files = self._known()
        return missed(sensors, start, end, closed(sensors, (each.end for each in files), int(self._clock())))

    def overlaps(self, start: int, end: int) -> Sequence[Overlap]:
        """As `query.Dataset.overlaps`."""
        sensors, _ = self._known()
        return [each for each in overlapping(sensors) if each.start < end and each.end > start]

    def _known(self) -> tuple[list[Sensor], list[Ingested]]:
        with self._lock:
            self._ledger.refresh()
            return list(self._ledger.sensors.values()), list(self._ledger.files.values())

    def _by_grain(self, table: Table) -> Mapping[str, Partitions]:
        """The files of the snapshot of the rollups, parted once for each snapshot."""
        files = table.files()
        if self._parted[0] is not files:
            grains: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
            for file in files:
                grains[file.partition["grain"]][file.partition["day"]].append(file.path)
            self._parted = files, grains
        return self._parted[1]

    def _fresh(self, table: Table) -> Table:
        now = time.monotonic()
        if (
            self._place.local
            or now - self._looked.get(table.layout.name, -self._freshness) >= self._freshness
        ):
            table.refresh()
            self._looked[table.layout.name] = now
        return table

    def _again(self, ask: Callable[[], Answer]) -> Answer:
        """Ask once more if a file vanished in between: vacuum took it, and the newest snapshot is without it."""
        try:
            return ask()
        except (duckdb.IOException, duckdb.InvalidInputException, OSError):
            self._looked.clear()
        try:
            return ask()
        except (duckdb.Error, OSError) as error:
            raise StoreError(self._place.uri, str(error)) from error


def _touched(partitions: Partitions, grain: str, start: int, end: int) -> Partitions:
    """The partitions of a grain that hold start <= bucket < end."""
    lowest, highest = partition_of(grain, start), partition_of(grain, end - 1)
    return {day: files for day, files in partitions.items() if lowest <= day <= highest}
