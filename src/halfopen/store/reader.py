"""Results from a store, beside any number of other readers and the one that commits."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from halfopen.errors import StoreError
from halfopen.model import SECOND
from halfopen.store import query, questions
from halfopen.store.engine import Engine
from halfopen.store.ledger import Ledger
from halfopen.store.place import Place
from halfopen.store.query import Filters, Result
from halfopen.store.rollup import FOLLOWED, PRUNED, day_of
from halfopen.store.schema import CONNECTIONS, ROLLUPS
from halfopen.store.snapshot import Partitions, Snapshot
from halfopen.store.sums import Sums
from halfopen.store.tables import Table
from halfopen.store.told import named


class Reader:
    """A `query.Dataset` over the tables of one store; safe to share among threads."""

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

    def now(self) -> Snapshot:
        """The dataset as it stands."""
        with self._lock:
            self._ledger.refresh()  # first: more may be counted than it says is closed, not less
            rollups = self._fresh(self._rollups)
            counted = rollups.identity, rollups.transaction(FOLLOWED), rollups.transaction(PRUNED)
            version, grains = ".".join(map(str, counted)), self._by_grain(rollups)
            sensors, files = self._ledger.sensors.values(), self._ledger.files.values()
            return Snapshot(
                self._engine, self._sums, rollups, grains, version, sensors, files, int(self._clock())
            )

    def still(self, do: Callable[[query.Snapshot], Result]) -> Result:
        """As `query.Dataset.still`."""
        return self._again(lambda: do(self.now()))

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

    def _again(self, ask: Callable[[], Result]) -> Result:
        """Ask once more if a file vanished in between: vacuum took it, and the newest snapshot is without it."""
        try:
            return ask()
        except (duckdb.IOException, duckdb.InvalidInputException, OSError):
            self._looked.clear()
        try:
            return ask()
        except (duckdb.Error, OSError) as error:
            raise StoreError(self._place.uri, str(error)) from error
