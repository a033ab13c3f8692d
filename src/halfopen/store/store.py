"""The front door of the store."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from halfopen.model import SECOND
from halfopen.store.committer import Committer, application_of_file
from halfopen.store.engine import Engine
from halfopen.store.lease import FileLease, Lease
from halfopen.store.ledger import Ingested, Ledger, Sensor, running_twice
from halfopen.store.object_lease import ObjectLease
from halfopen.store.place import Place
from halfopen.store.reader import Reader
from halfopen.store.rollup import FOLLOWED, changes_rows
from halfopen.store.schema import CONNECTIONS, FORMAT, ROLLUPS
from halfopen.store.tables import Table

PATIENCE: Final = 600.0
"""Seconds for which another process that commits is waited for."""


@dataclass(frozen=True, slots=True)
class TableFacts:
    """What a table amounts to."""

    name: str
    version: int
    rows: int
    files: int
    bytes: int
    first_day: str | None  # of its partitions, ISO 8601
    last_day: str | None


@dataclass(frozen=True, slots=True)
class Facts:
    """What a store amounts to."""

    place: str
    format: int
    tables: tuple[TableFacts, ...]
    followed: int  # version of connections that the rollups hold
    sensors: tuple[Sensor, ...]
    running_twice: dict[str, list[str]]  # live incarnations by sensor, where more than one watches: a fault
    files: tuple[Ingested, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """What is there of a capture: its connections that did not go by retention, and the first and last SYN (s)."""

    connections: int
    first: int
    last: int


class Store:
    """A store at a local directory or an object store URL (``s3://bucket/prefix``).

    Keys, region and endpoint of an object store come from the environment, as object stores' own tools name
    them (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, ...).
    """

    def __init__(
        self,
        where: str | Path,
        *,
        create: bool = False,
        threads: int | None = None,
        freshness: float = 1.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open the store, or with `create` make what of it is missing; StoreError if there is none.

        `threads` bounds the threads of a query; an object store is asked for news every `freshness` seconds at
        most; `clock` gives the time in s since the epoch.
        """
        self.place = Place(where)
        self._clock = clock
        if create:
            self.place.make()
            for layout in (CONNECTIONS, ROLLUPS):
                Table.make(self.place / layout.name, layout)
        self.engine = Engine(threads)
        self.dataset = Reader(self.place, self.engine, clock, freshness)

    def committer(
        self,
        *,
        patience: float = PATIENCE,
        told: Callable[[str], None] = lambda _: None,
        lease: Lease | None = None,
    ) -> Committer:
        """What commits to the store, by turns with others.

        `patience` says for how many s the turn of another process is waited for, before a LeaseError; `told` hears
        for whom, where that takes a moment. The `lease` is the place's own if none is given.
        """
        own = FileLease if self.place.local else ObjectLease
        return Committer(self.place, self.engine, lease or own(self.place), patience, told, self._clock)

    def info(self) -> Facts:
        """What the store amounts to."""
        ledger = Ledger(self.place)
        tables = {layout.name: Table(self.place / layout.name, layout) for layout in (CONNECTIONS, ROLLUPS)}
        return Facts(
            self.place.uri,
            FORMAT,
            tuple(_facts(table) for table in tables.values()),
            tables[ROLLUPS.name].transaction(FOLLOWED),
            tuple(ledger.sensors.values()),
            running_twice(ledger.sensors.values(), int(self._clock())),
            tuple(
                each
                for each in ledger.files.values()
                if not each.forgotten
                and each.number == tables[CONNECTIONS.name].transaction(application_of_file(each.digest))
            ),
        )

    def waiting(self) -> int | None:
        """Since when (s) the connections that the rollups lack are there; None where they lack none."""
        connections, rollups = (Table(self.place / each.name, each) for each in (CONNECTIONS, ROLLUPS))
        for version in range(rollups.transaction(FOLLOWED) + 1, connections.version + 1):
            change = connections.change(version)
            if changes_rows(change):
                return change.made // 1000
        return None

    def held(self) -> dict[str, Held]:
        """What is there of each capture, by its digest; nothing of those that went by retention as a whole."""
        table = Table(self.place / CONNECTIONS.name, CONNECTIONS)
        query = (
            f"SELECT file, count(*) AS connections, min(start_ns) // {SECOND} AS first, max(start_ns) // {SECOND} AS last "
            "FROM {rows} WHERE file IS NOT NULL GROUP BY file"
        )
        found = self.engine.ask(query, {"rows": table.source(file.path for file in table.files())})
        return {row.pop("file"): Held(**row) for row in found.to_pylist()}

    def close(self) -> None:
        """Let go of the query engine."""
        self.engine.close()


def _facts(table: Table) -> TableFacts:
    files = table.files()
    days = [file.partition["day"] for file in files]
    return TableFacts(
        table.layout.name,
        table.version,
        sum(file.rows for file in files),
        len(files),
        sum(file.size for file in files),
        min(days, default=None),
        max(days, default=None),
    )
