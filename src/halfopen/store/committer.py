"""The one that commits: batches of many sensors in one commit, captures as a whole, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from halfopen.errors import StoreError
from halfopen.model import SECOND
from halfopen.store.engine import Engine
from halfopen.store.lease import Lease, Turn
from halfopen.store.ledger import Ingested, Ledger, Sensor, heard
from halfopen.store.place import Overtaken, Place
from halfopen.store.query import QUARTER
from halfopen.store.rollup import DATA, Follower
from halfopen.store.schema import CONNECTIONS, INCOMING, ROLLUPS
from halfopen.store.tables import File, Table

DAY: Final = 86400


@dataclass(frozen=True, slots=True)
class Batch:
    """What a sensor sends: rows of `schema.INCOMING`, maybe none, and how far it has come."""

    sensor: str
    incarnation: str  # UUID of its spool
    sequence: int  # from 1, without holes
    watermark: int  # s: all SYNs before it are final and delivered with this batch
    rows: Any  # pyarrow.Table
    since: int | None = None  # s: set if it did not watch between its last watermark and this time
    rate: float = 1.0  # sampling rate
    drops: int = 0  # packets lost so far


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a batch: it is in the store for good, or the sequence expected in its stead."""

    sensor: str
    incarnation: str
    sequence: int
    held: bool  # committed now or earlier: the sensor may forget it
    taken: bool  # committed now
    expected: int  # the next sequence


class Committer:
    """Commits to one store, by turns with others. Safe to share among threads; commits come one after another.

    `lock` is the turn of this process, and holds it together over several commits; every method takes it.
    """

    def __init__(
        self,
        place: Place,
        engine: Engine,
        lease: Lease,
        patience: float,
        told: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        """As `Store.committer`."""
        self.lock = Turn(lease, place.uri, patience, told)
        self.engine = engine
        self.clock = clock
        self.connections = Table(place / CONNECTIONS.name, CONNECTIONS, lease.check)
        self.rollups = Table(place / ROLLUPS.name, ROLLUPS, lease.check)
        self.ledger = Ledger(place)
        self._follower = Follower(self.connections, self.rollups, engine)

    def forget(self, sensor: str) -> None:
        """Let go of a sensor that will not come back: its rows stay, it is missed no longer."""
        with self.lock:
            self.ledger.refresh()
            self.ledger.forget(sensor)

    def follow(self) -> int:
        """Bring the rollups up to the connections; gives the number of versions that held data."""
        with self.lock:
            self.connections.refresh()
            return self._follower.follow()

    def commit(self, batches: Sequence[Batch]) -> list[Receipt]:
        """Commit the batches that are next in their sequence; what is taken is on the disk when this returns.

        Rollups do not have it yet: `follow` is the next step.
        """
        for batch in batches:
            check(batch)
        with self.lock:
            while True:
                try:
                    return self._commit(batches)
                except Overtaken:
                    continue  # the snapshot is new: decide again

    def _commit(self, batches: Sequence[Batch]) -> list[Receipt]:
        self.connections.refresh()
        self.ledger.refresh()
        now = int(self.clock())
        reached: dict[str, int] = {}
        taken: list[Batch] = []
        receipts = []
        for batch in batches:
            application = application_of(batch.sensor, batch.incarnation)
            if application not in reached:
                reached[application] = self.connections.transaction(application)
            fresh = batch.sequence == reached[application] + 1
            if fresh:
                reached[application] = batch.sequence
                taken.append(batch)
            expected = reached[application] + 1
            receipts.append(
                Receipt(
                    batch.sensor,
                    batch.incarnation,
                    batch.sequence,
                    batch.sequence < expected,
                    fresh,
                    expected,
                )
            )
        if taken:
            rows = pa.concat_tables(
                [_stamped(b.rows, b.sensor, b.incarnation, b.sequence, now) for b in taken]
            )
            moved = {application_of(b.sensor, b.incarnation) for b in taken}
            self.connections.commit(DATA, {name: reached[name] for name in moved}, self._write(rows))
        held = [b for b, receipt in zip(batches, receipts, strict=True) if receipt.held]
        self._hear(held, {id(b) for b in taken}, now)
        return receipts

    def _hear(self, batches: Iterable[Batch], taken: set[int], now: int) -> None:
        sensors: dict[tuple[str, str], Sensor] = {}
        for batch in batches:
            key = batch.sensor, batch.incarnation
            sensors[key] = heard(
                sensors.get(key, self.ledger.sensors.get(key)),
                *key,
                now,
                batch.watermark,
                batch.since,
                batch.rate,
                batch.drops,
                batch.rows.num_rows if id(batch) in taken else 0,
            )
        if sensors:
            self.ledger.put_sensors(sensors.values())

    def ingest(
        self,
        digest: str,
        sensor: str,
        options: str,
        parts: Iterable[Any],
        *,
        members: Sequence[str] = (),
        replace: bool = False,
    ) -> Ingested:
        """Commit a whole capture: `parts` are tables of `schema.INCOMING`, `options` what made them so, `members` the
        digests of the files that are joined in it.

        A file that is in the store already with the same options is answered without effect. With others it is
        refused, or with `replace` put in the place of its earlier rows, in one commit; so is `replace` itself
        once some of those rows have gone by retention, because the rollups still hold them. A file that is in the
        store in another capture is refused always: its connections would count twice.
        """
        application = f"file:{digest}"
        # Parts are judged while they come: this may take minutes, and others commit meanwhile.
        files: list[File] | None = None
        end = rows = 0
        now = int(self.clock())
        while True:
            with self.lock:
                self.connections.refresh()
                self.ledger.refresh()
                number = self.connections.transaction(application)
                earlier = self.ledger.files.get((digest, number))
                if earlier and not replace:
                    if earlier.options == options:
                        return earlier
                    raise StoreError(digest, "this file is in the store with other options; replace it")
                if not earlier:
                    self._refuse_twice(digest, members)
                if files is not None:
                    record = Ingested(digest, number + 1, sensor, options, rows, now, end, list(members))
                    remove, kept = self._without(digest, earlier)
                    try:
                        self.ledger.put_file(record, number)
                        self.connections.commit(DATA, {application: number + 1}, [*files, *kept], remove)
                    except Overtaken:
                        continue
                    return record
            files = []
            for sequence, part in enumerate(parts, 1):
                stamped = _stamped(part, sensor, digest, sequence, now, digest)
                files += self._write(stamped)
                rows += part.num_rows
                if part.num_rows:
                    end = max(end, pc.max(stamped["bucket"]).as_py() + QUARTER)

    def _refuse_twice(self, digest: str, members: Sequence[str]) -> None:
        """StoreError where a file of a capture is in the store in another one."""
        mine = {digest, *members}
        for each in self.ledger.files.values():
            shared = mine & {each.digest, *each.members}
            if shared and each.number == self.connections.transaction(f"file:{each.digest}"):
                named = f"in the joined capture {each.digest}" if each.members else "by itself"
                which = ", ".join(sorted(shared))
                raise StoreError(digest, f"{which} is in the store {named} already; forget that one first")

    def _without(self, digest: str, earlier: Ingested | None) -> tuple[list[File], list[File]]:
        """The files that hold rows of an earlier ingestion, and new ones that hold the rest of their rows."""
        if earlier is None or not earlier.rows:
            return [], []
        remove, kept, found = [], [], 0
        for file in self.connections.files():
            source = {"rows": self.connections.source([file.path])}
            mine = self.engine.ask("SELECT count(*) AS n FROM {rows} WHERE file = ?", source, [digest])
            count = mine["n"][0].as_py()
            if not count:
                continue
            found += count
            remove.append(file)
            if count < file.rows:
                rest = self.engine.ask("SELECT * FROM {rows} WHERE file IS DISTINCT FROM ?", source, [digest])
                kept.append(self.connections.write(rest, file.partition))
        if found != earlier.rows:
            raise StoreError(
                digest, "connections of this file are gone by retention; its rollups cannot be replaced"
            )
        return remove, kept

    def _write(self, rows: Any) -> list[File]:
        """New files, one for each day."""
        return [
            self.connections.write(rows.filter(pc.equal(rows["day"], day)), {"day": day.as_py().isoformat()})
            for day in pc.unique(rows["day"])
        ]


def application_of(sensor: str, incarnation: str) -> str:
    """The application transaction that counts the batches of one incarnation of a sensor."""
    return f"sensor:{sensor}/{incarnation}"


def check(batch: Batch) -> None:
    """StoreError for a batch that no sensor should send."""
    if batch.rows.schema.names != INCOMING.names:
        raise StoreError(batch.sensor, "a batch has other columns than the store's")
    if batch.sequence < 1 or not 0 < batch.rate <= 1:
        raise StoreError(batch.sensor, "sequences begin at 1, and rates lie above 0 and up to 1")


def _stamped(
    rows: Any, sensor: str, incarnation: str, sequence: int, now: int, digest: str | None = None
) -> Any:
    """Rows of `connections` from rows as they come in."""
    count = rows.num_rows
    seconds = rows["start_ns"].to_numpy() // SECOND
    given = {
        "day": pa.array((seconds // DAY).astype(np.int32)).cast(pa.date32()),
        "sensor": _same(sensor, count, pa.string()),
        "incarnation": _same(incarnation, count, pa.string()),
        "sequence": _same(sequence, count, pa.int64()),
        "file": _same(digest, count, pa.string()),
        "bucket": pa.array(seconds - seconds % QUARTER),
        "ingested": _same(now, count, pa.int64()),
    }
    schema = CONNECTIONS.whole
    columns = [given[name] if name in given else rows[name] for name in schema.names]
    stamped = pa.Table.from_arrays(columns, names=schema.names)
    return stamped if stamped.schema.equals(schema) else stamped.cast(schema)


def _same(value: object, count: int, kind: Any) -> Any:
    return pa.repeat(pa.scalar(value, kind), count)
