"""The one that commits: batches of many sensors in one commit, captures as a whole, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from halfopen.errors import OptionsError, StoreError
from halfopen.model import SECOND
from halfopen.store.engine import Engine
from halfopen.store.lease import Lease, Turn
from halfopen.store.ledger import Ingested, Ledger, Sensor, forgotten, heard
from halfopen.store.place import Overtaken, Place
from halfopen.store.query import QUARTER
from halfopen.store.rewrite import Rewritten, rewritten
from halfopen.store.rollup import DATA, Follower
from halfopen.store.schema import CONNECTIONS, INCOMING, ROLLUPS
from halfopen.store.tables import File, Table

DAY: Final = 86400

PARTS_OF_A_FILE: Final = 32
"""Of a capture; few files, and none too large to be put together with others or written anew."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What a sensor sends: rows of `schema.INCOMING`, maybe none, and how far it has come."""

    sensor: str
    incarnation: str  # UUID of its spool
    sequence: int  # from 1, without holes
    watermark: int  # s: all SYNs before it are final and delivered with this batch
    rows: Any  # pyarrow.Table
    since: int | None = None  # s: set if it did not watch before this time
    until: int | None = None  # s: up to when it had watched then, if not up to its last watermark
    rate: float = 1.0  # sampling rate
    drops: int = 0  # packets lost so far
    counters: Mapping[str, int] = field(
        default_factory=dict
    )  # what else it counted so far (counters.COUNTERS)


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

    def forget_sensor(self, name: str) -> None:
        """Let go of a sensor that will not come back: its rows stay, it is missed no longer. StoreError if unknown."""
        with self.lock:
            while True:
                self.ledger.refresh()
                if all(known != name for known, _ in self.ledger.sensors):
                    raise StoreError(name, "no sensor of this name has delivered here")
                try:
                    return self.ledger.forget_sensor(name)
                except Overtaken:
                    continue

    def forget_capture(self, digest: str) -> Ingested:
        """Take the rows of a capture out again, and forget that it was here; gives what it was.

        Rollups follow. StoreError if it is not here, or once rows of it have gone by retention: the rollups hold them.
        """
        application = application_of_file(digest)
        with self.lock:
            while True:
                self.connections.refresh()
                self.ledger.refresh()
                number, record = self._known(digest)
                if record is None:
                    self._refuse_twice(digest, ())
                    raise StoreError(digest, "no such capture is in the store")
                found = self._without(digest, record)
                try:
                    self.ledger.put_file(forgotten(digest, number + 1), number)
                    self.connections.commit(DATA, {application: number + 1}, found.new, found.old)
                except Overtaken:
                    continue
                return record

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
                [
                    _stamped(b.rows, b.sensor, b.incarnation, b.sequence, now).cast(CONNECTIONS.whole)
                    for b in taken
                ]
            )
            moved = {application_of(b.sensor, b.incarnation) for b in taken}
            self.connections.commit(DATA, {name: reached[name] for name in moved}, self._write([rows]))
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
                batch.until,
                batch.rate,
                batch.drops,
                batch.rows.num_rows if id(batch) in taken else 0,
                batch.sequence,
                batch.counters,
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
        """Commit a whole capture: `parts` are rows of `schema.INCOMING`, all of the same types, text maybe
        dictionary-encoded; `options` is what made them so, `members` the digests of the files that are joined in it.

        A file that is in the store already with the same options is answered without effect. With others it is
        refused (OptionsError), or with `replace` put in the place of its earlier rows, in one commit; so is `replace` itself
        once some of those rows have gone by retention, because the rollups still hold them. A file that is in the
        store in another capture is refused always: its connections would count twice.
        """
        application = application_of_file(digest)
        # Parts are judged while they come: this may take minutes, and others commit meanwhile.
        files: list[File] | None = None
        end = rows = 0
        now = int(self.clock())
        while True:
            with self.lock:
                self.connections.refresh()
                self.ledger.refresh()
                number, earlier = self._known(digest)
                if earlier and not replace:
                    if earlier.options == options:
                        return earlier
                    raise OptionsError(digest, earlier.options)
                if not earlier:
                    self._refuse_twice(digest, members)
                if files is not None:
                    record = Ingested(digest, number + 1, sensor, options, rows, now, end, list(members))
                    before = self._without(digest, earlier)
                    try:
                        self.ledger.put_file(record, number)
                        self.connections.commit(
                            DATA, {application: number + 1}, [*files, *before.new], before.old
                        )
                    except Overtaken:
                        continue
                    return record
                there = self.connections.files()
            self._refuse_pruned(digest, earlier, there)  # now: judging takes long

            def stamped() -> Iterator[Any]:
                nonlocal end
                for sequence, part in enumerate(parts, 1):
                    if part.num_rows:
                        made = _stamped(part, sensor, digest, sequence, now, digest)
                        end = max(end, pc.max(made["bucket"]).as_py() + QUARTER)
                        yield made

            files = self._write(stamped())
            rows = sum(file.rows for file in files)

    def _known(self, digest: str) -> tuple[int, Ingested | None]:
        """The number of the last record of a capture, 0 for none; and the record, if the capture is in the store."""
        number = self.connections.transaction(application_of_file(digest))
        record = self.ledger.files.get((digest, number))
        if number and not record:
            raise StoreError(digest, "this file is in the store, but the record of it is lost")
        return number, record if record and not record.forgotten else None

    def _refuse_twice(self, digest: str, members: Sequence[str]) -> None:
        """StoreError where a file of a capture is in the store in another one."""
        mine = {digest, *members}
        for each in self.ledger.files.values():
            shared = mine & {each.digest, *each.members}
            if shared and self._known(each.digest)[1] is each:
                named = f"in the joined capture {each.digest}" if each.members else "by itself"
                which = ", ".join(sorted(shared))
                raise StoreError(digest, f"{which} is in the store {named} already; forget that one first")

    def _without(self, digest: str, earlier: Ingested | None) -> Rewritten:
        """The files that hold rows of an earlier ingestion, and new ones that hold the rest of their rows."""
        if earlier is None or not earlier.rows:
            return Rewritten()
        found = rewritten(self.connections, self.connections.files(), self.engine, "file = $1", [digest])
        if found.rows != earlier.rows:
            raise _pruned(digest)
        return found

    def _refuse_pruned(self, digest: str, earlier: Ingested | None, files: Sequence[File]) -> None:
        """StoreError where rows of an earlier ingestion are in none of the files any more."""
        if earlier is None or not earlier.rows:
            return
        source = {"rows": self.connections.source(file.path for file in files)}
        counted = self.engine.ask("SELECT count(*) AS n FROM {rows} WHERE file = $1", source, [digest])
        if counted["n"][0].as_py() != earlier.rows:
            raise _pruned(digest)

    def _write(self, parts: Iterable[Any]) -> list[File]:
        """New files, each of one day. Parts that follow one another go into one file, up to `PARTS_OF_A_FILE`."""
        pieces = (
            (day, number // PARTS_OF_A_FILE, rows)
            for number, part in enumerate(parts)
            for day, rows in _by_day(part)
        )
        return [
            self.connections.write_parts((rows for *_, rows in group), {"day": day})
            for (day, _), group in groupby(pieces, key=lambda piece: piece[:2])
        ]


def application_of(sensor: str, incarnation: str) -> str:
    """The application transaction that counts the batches of one incarnation of a sensor."""
    return f"sensor:{sensor}/{incarnation}"


def application_of_file(digest: str) -> str:
    """The application transaction that counts the ingestions of a capture."""
    return f"file:{digest}"


def check(batch: Batch) -> None:
    """StoreError for a batch that no sensor should send."""
    if batch.rows.schema.names != INCOMING.names:
        raise StoreError(batch.sensor, "a batch has other columns than the store's")
    if batch.sequence < 1 or not 0 < batch.rate <= 1:
        raise StoreError(batch.sensor, "sequences begin at 1, and rates lie above 0 and up to 1")


def _pruned(digest: str) -> StoreError:
    return StoreError(
        digest, "connections of this file are gone by retention; its rollups cannot be replaced"
    )


def _stamped(
    rows: Any, sensor: str, incarnation: str, sequence: int, now: int, digest: str | None = None
) -> Any:
    """Rows with the columns of `connections` from rows as they come in."""
    count = rows.num_rows
    seconds = rows["start_ns"].to_numpy() // SECOND
    given = {
        "day": pa.array((seconds // DAY).astype(np.int32)).cast(pa.date32()),
        "sensor": _word(sensor, count),
        "incarnation": _word(incarnation, count),
        "sequence": pa.repeat(pa.scalar(sequence, pa.int64()), count),
        "file": _word(digest, count),
        "bucket": pa.array(seconds - seconds % QUARTER),
        "ingested": pa.repeat(pa.scalar(now, pa.int64()), count),
    }
    names = CONNECTIONS.whole.names
    return pa.Table.from_arrays([given[name] if name in given else rows[name] for name in names], names)


def _word(word: str | None, count: int) -> Any:
    if word is None:
        return pa.nulls(count, pa.string())
    return pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int8()), count), pa.array([word]))


def _by_day(rows: Any) -> Iterator[tuple[str, Any]]:
    """The rows of each day."""
    days = pc.unique(rows["day"])
    for day in days:
        yield day.as_py().isoformat(), rows if len(days) == 1 else rows.filter(pc.equal(rows["day"], day))
