"""What sensors and a capture bring, known beforehand, and what must lie in a store that was brought it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeAlias

import pyarrow as pa
import pyarrow.dataset
from deltalake import DeltaTable

from halfopen.model import SECOND
from halfopen.store.committer import Batch, Committer, application_of
from halfopen.store.place import Place
from halfopen.store.rollup import DATA, FOLLOWED, LAYOUT, RETENTION
from halfopen.store.schema import CONNECTIONS, KINDS, LESS, ROLLUPS, WHOLE, Layout
from halfopen.store.tables import Table
from halfopen.store.upkeep import Upkeep
from tests.store.rows import BEGIN, Row, row, table

LIMIT: Final = BEGIN + 86400 // 2
"""What is older goes by retention (s)."""

END: Final = BEGIN + 86400
NOW: Final = END + 3600
"""What the clocks of the test stand at: all that is brought is over."""

ROWS: Final = 10
"""Connections of each batch that has any."""
OLD: Final = 2
"""As many of them lie before `LIMIT`."""

DIGEST: Final = "digest"
"""The capture that is replaced again and again, by `file_rows` of a number that grows."""

PASSING: Final = "passing"
"""The capture that is put in, with `file_rows(0)`, and taken out again."""

Key: TypeAlias = tuple[Any, ...]
"""Kind of rollup, bucket, sensor, network, country, stage."""
Sums: TypeAlias = dict[Key, tuple[int, float, float]]
"""Connections, weights, squares of weights."""


@lru_cache(10_000)
def batch_rows(sensor: str, incarnation: str, number: int) -> Sequence[Row]:
    """The connections of one batch; none in every seventh."""
    chance = random.Random(f"{sensor} {incarnation} {number}")
    starts = [chance.randrange(BEGIN, LIMIT) for _ in range(OLD)]
    starts += [chance.randrange(LIMIT, END) for _ in range(ROWS - OLD)]
    return [_row(chance, start) for start in starts] if number % 7 else []


@lru_cache(1_000)
def file_rows(number: int) -> Sequence[Row]:
    chance = random.Random(number)
    return [_row(chance, chance.randrange(BEGIN, END)) for _ in range(5 + number % 7)]


def _row(chance: random.Random, start: int) -> Row:
    return row(
        start,
        stage=chance.randrange(5),
        asn=chance.choice((None, 64496, 64497)),
        location=chance.choice((None, "DE", "US")),
        weight=chance.choice((1.0, 4.0, 64.0)),
    )


def batch(sensor: str, incarnation: str, number: int) -> Batch:
    rows = table(batch_rows(sensor, incarnation, number))
    return Batch(sensor, incarnation, number, BEGIN + number, rows)


@dataclass(frozen=True)
class Spool:
    """What a sensor knows when it comes back: which batches it sent, and which of them it was told are held."""

    folder: Path
    sensor: str
    incarnation: str

    def note(self, word: str, number: int) -> None:
        with self._path.open("a") as file:
            file.write(f"{word} {number}\n")

    def last(self, word: str) -> int:
        if not self._path.exists():
            return 0
        pairs = (line.split() for line in self._path.read_text().splitlines())
        return max((int(number) for noted, number in pairs if noted == word), default=0)

    @property
    def _path(self) -> Path:
        return self.folder / f"spool {self.sensor} {self.incarnation}"


def agree(where: str, spools: Iterable[Spool]) -> int:
    """Compare connections, every grain of the rollups, and the truth, whoever is at work; gives how many
    connections there are.

    Connections are as of the data that the rollups hold. What was acknowledged is in the newest.
    """
    held = {each: each.last("held") for each in spools}
    place = Place(where)
    newest = _opened(place, CONNECTIONS)
    sent = {each: each.last("sent") for each in held}
    for each, acknowledged in held.items():
        reached = _reached(newest, each)
        assert acknowledged <= reached <= sent[each], f"{each}: {acknowledged}, {reached}, {sent[each]}"
    rollups = _opened(place, ROLLUPS)
    connections = _opened(place, CONNECTIONS, _followed(place, rollups, newest.version()))
    truth = [
        (each.sensor, one)
        for each in held
        for number in range(1, _reached(connections, each) + 1)
        for one in batch_rows(each.sensor, each.incarnation, number)
    ]
    truth += [("lab", one) for one in _of_captures(connections.transaction_version)]
    _same_connections(place, connections, truth)
    _same_sums(place, rollups, truth)
    return len(truth)


def settle(where: str, committer: Committer, spools: list[Spool]) -> None:
    """What was sent comes once more; then all of it is there, whatever is tidied away."""
    connections = 0
    for each in spools:
        sent = [batch(each.sensor, each.incarnation, number + 1) for number in range(each.last("sent"))]
        assert all(receipt.held for receipt in committer.commit(sent))
        each.note("held", len(sent))
        connections += sum(one.rows.num_rows for one in sent)
    committer.follow()
    assert committer.connections.transaction(f"file:{DIGEST}") > 1
    connections += len(_of_captures(committer.connections.transaction))
    assert agree(where, spools) == connections
    upkeep = Upkeep(committer)
    upkeep.compact(2)
    upkeep.vacuum(0)
    assert agree(where, spools) == connections
    versions = range(1, committer.connections.version + 1)
    kinds = [committer.connections.change(version).kind for version in versions]
    assert {DATA, LAYOUT, RETENTION} <= set(kinds)


def _followed(place: Place, rollups: DeltaTable, newest: int) -> int:
    """The last version of connections that holds no more data than the rollups."""
    version = rollups.transaction_version(FOLLOWED) or 0
    connections = Table(place / CONNECTIONS.name, CONNECTIONS)
    while version < newest and connections.change(version + 1).kind != DATA:
        version += 1
    return version


def _of_captures(transaction: Callable[[str], int | None]) -> Sequence[Row]:
    """The connections of both captures, by how often each was put in, in its own place, or taken out."""
    replaced, passing = (transaction(f"file:{digest}") or 0 for digest in (DIGEST, PASSING))
    return [*(file_rows(replaced) if replaced else ()), *(file_rows(0) if passing % 2 else ())]


def _reached(connections: DeltaTable, spool: Spool) -> int:
    return connections.transaction_version(application_of(spool.sensor, spool.incarnation)) or 0


def _same_connections(place: Place, connections: DeltaTable, truth: Iterable[tuple[str, Row]]) -> None:
    """Every connection is there once; retention may have taken those of sensors before `LIMIT`."""
    found: Counter[tuple[Any, ...]] = Counter()
    for rows in _rows(place, connections, CONNECTIONS).values():
        found.update(zip(*(rows[name].to_pylist() for name in ("sensor", *_COMPARED)), strict=True))
    wanted = Counter((sensor, *(each[name] for name in _COMPARED)) for sensor, each in truth)
    pruned = Counter({one: n for one, n in wanted.items() if one[0] != "lab" and one[1] < LIMIT * SECOND})
    assert not found - wanted, f"too many: {found - wanted}"
    assert not wanted - found - pruned, f"missing: {wanted - found - pruned}"


_COMPARED: Final = ("start_ns", "asn", "location", "stage", "weight")


def _same_sums(place: Place, rollups: DeltaTable, truth: Sequence[tuple[str, Row]]) -> None:
    found = {grain: _summed(rows) for grain, rows in _rows(place, rollups, ROLLUPS).items()}
    for grain, step in (("15m", 900), ("1d", 86400)):
        for name, kinds in ((grain, [WHOLE]), (grain + LESS, list(KINDS))):
            wanted = _counted(truth, step, kinds)
            sums = found.get(name, {})
            assert sums == wanted, f"{name}: {sums.items() ^ wanted.items()}"


def _counted(truth: Iterable[tuple[str, Row]], step: int, kinds: Iterable[str]) -> Sums:
    sums: Sums = {}
    for kind in kinds:
        for sensor, each in truth:
            start = each["start_ns"] // SECOND
            facts = {"sensor": sensor, "asn": each["asn"] or 0, "location": each["location"] or ""}
            kept = (
                value if kind == WHOLE or name in KINDS[kind] else type(value)()
                for name, value in facts.items()
            )
            key = kind, start - start % step, *kept, each["stage"]
            n, weight, squares = sums.get(key, (0, 0.0, 0.0))
            sums[key] = n + 1, weight + each["weight"], squares + each["weight"] ** 2
    return sums


def _summed(rows: Any) -> Sums:
    """Rows of one grain added up, as their readers do."""
    keys = ["kind", "bucket", "sensor", "asn", "location", "stage"]
    values = ["connections", "weight", "squares"]
    sums = rows.group_by(keys).aggregate([(name, "sum") for name in values])
    lists = [sums[name].to_pylist() for name in (*keys, *(f"{name}_sum" for name in values))]
    rows = zip(*lists, strict=True)
    return {row[: len(keys)]: row[len(keys) :] for row in rows if row[len(keys) :] != (0, 0.0, 0.0)}


def _opened(place: Place, layout: Layout, version: int | None = None) -> DeltaTable:
    lies = place / layout.name
    return DeltaTable(lies.uri, version=version, storage_options=lies.options)


def _rows(place: Place, opened: DeltaTable, layout: Layout) -> dict[str, Any]:
    """Rows as any engine sees them, by the value of the first partition column."""
    actions = pa.table(opened.get_add_actions(flatten=True))
    folder = f"{place.local / layout.name}/" if place.local else ""
    paths: dict[str, list[str]] = {}
    column = actions[f"partition.{layout.partitions[0]}"]
    for path, value in zip(actions["path"].to_pylist(), column.to_pylist(), strict=True):
        paths.setdefault(str(value), []).append(folder + path)
    files = None if place.local else (place / layout.name).files
    return {value: _read(chosen, layout, files) for value, chosen in paths.items()}


def _read(paths: list[str], layout: Layout, files: Any) -> Any:
    return pa.dataset.dataset(paths, schema=layout.written, format="parquet", filesystem=files).to_table()
