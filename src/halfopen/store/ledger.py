"""What is known of sensors and of files: two small Parquet files beside the tables, replaced as a whole.

Committers alone write them, in their turns, and each only in the place of what it has read. Of sensors they say how far each has come and what it missed; a lost update is
mended by the next batch. The record of a file is written before its rows are committed and counts only once the
application transaction of the file has reached its number.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from typing import Any, Final, TypeVar

import pyarrow as pa
import pyarrow.parquet

from halfopen.errors import StoreError
from halfopen.store.losses import added, growth
from halfopen.store.place import COMPRESSION, Place
from halfopen.store.query import QUARTER, Gap, Overlap

LATENESS: Final = 30 * 60
"""Seconds after its end at which a bucket closes, whoever is missing; a sensor silent for longer is not live (D15)."""

TOGETHER: Final = 60
"""Seconds for which two incarnations of a sensor have watched at once before it counts as running twice: less is left to
a clock that was set, and a sensor that takes the place of another."""

GAPS_KEPT: Final = 1000
"""Past gaps remembered for each sensor; the oldest go first."""


@dataclass(frozen=True, slots=True)
class Sensor:
    """How far one incarnation of a sensor has come. Times in s since the epoch."""

    name: str
    incarnation: str
    since: int  # when it was first heard of, or from when on it watched
    seen: int  # when it was last heard of
    watermark: int  # all SYNs before this time are final and delivered
    added: int  # when rows of it were last added; 0 for never
    rate: float  # sampling rate, 0 < rate <= 1
    drops: int  # packets that it lost, as it counts them
    gaps: list[list[int]] = field(default_factory=list)  # [start, end) in which it did not watch
    sequence: int = 0  # of the batch that told of drops and counters
    counters: dict[str, int] = field(default_factory=dict)  # what else it counted (counters.COUNTERS)
    quarters: list[list[int]] = field(default_factory=list)  # what it lost in them (losses.added)


@dataclass(frozen=True, slots=True)
class Ingested:
    """One ingestion of a capture, a file or several that are joined; or that it was taken out."""

    digest: str
    number: int  # 1, and one more each time that it was replaced, taken out or put in again
    sensor: str
    options: str  # what it was ingested with, as text
    rows: int
    ingested: int  # s since the epoch
    end: int  # end of its last bucket, s since the epoch
    members: list[str] = field(default_factory=list)  # digests of the files of a joined capture
    forgotten: bool = False  # it was taken out, and is in the store no longer


Row = TypeVar("Row", Sensor, Ingested)

_SENSORS: Final = pa.schema(
    [
        ("name", pa.string()),
        ("incarnation", pa.string()),
        *((name, pa.int64()) for name in ("since", "seen", "watermark", "added")),
        ("rate", pa.float64()),
        ("drops", pa.int64()),
        ("gaps", pa.list_(pa.list_(pa.int64()))),
        ("sequence", pa.int64()),
        ("counters", pa.map_(pa.string(), pa.int64())),
        ("quarters", pa.list_(pa.list_(pa.int64()))),
    ]
)
_FILES: Final = pa.schema(
    [
        ("digest", pa.string()),
        ("number", pa.int64()),
        ("sensor", pa.string()),
        ("options", pa.string()),
        *((name, pa.int64()) for name in ("rows", "ingested", "end")),
        ("members", pa.list_(pa.string())),
        ("forgotten", pa.bool_()),
    ]
)


class Ledger:
    """Sensors and files of one store."""

    def __init__(self, place: Place, freshness: float = 0.0) -> None:
        """Read the ledger at `place`; an object store is asked for news every `freshness` seconds at most."""
        self._place, self._freshness = place, freshness
        self._read_at = -freshness
        self._marks: dict[str, str | None] = {}
        self.sensors: dict[tuple[str, str], Sensor] = {}
        self.files: dict[tuple[str, int], Ingested] = {}
        self.refresh()

    def refresh(self) -> None:
        """Read what has changed."""
        if not self._place.local and time.monotonic() - self._read_at < self._freshness:
            return
        self._read_at = time.monotonic()
        if (sensors := self._news("sensors.parquet", Sensor)) is not None:
            self.sensors = {(each.name, each.incarnation): each for each in sensors}
        if (files := self._news("files.parquet", Ingested)) is not None:
            self.files = {(each.digest, each.number): each for each in files}

    def put_sensors(self, sensors: Iterable[Sensor]) -> None:
        """Set and keep some sensors; Overtaken if others were kept since the last refresh."""
        self.sensors = {**self.sensors, **{(each.name, each.incarnation): each for each in sensors}}
        self._keep("sensors.parquet", list(self.sensors.values()), _SENSORS)

    def forget_sensor(self, name: str) -> None:
        """Drop all incarnations of a sensor that will not come back."""
        self.sensors = {key: each for key, each in self.sensors.items() if key[0] != name}
        self.put_sensors(())

    def put_file(self, record: Ingested, committed: int) -> None:
        """Keep the record of an ingestion about to be committed, beside the `committed` one of the same file.

        Overtaken if others were kept since the last refresh.
        """
        kept = {
            key: each for key, each in self.files.items() if key[0] != record.digest or key[1] == committed
        }
        self.files = {**kept, (record.digest, record.number): record}
        self._keep("files.parquet", list(self.files.values()), _FILES)

    def _news(self, name: str, kind: type[Row]) -> list[Row] | None:
        """What a file holds; None if that is known already."""
        if name in self._marks and self._place.mark(name) == self._marks[name]:
            return None
        found = self._place.read(name)
        rows = _rows(f"{self._place.uri}/{name}", found[0], kind) if found else []
        self._marks[name] = found[1] if found else None
        return rows

    def _keep(self, name: str, rows: Sequence[Row], schema: Any) -> None:
        content = pa.BufferOutputStream()
        table = pa.Table.from_pylist([asdict(row) for row in rows], schema)
        pa.parquet.write_table(table, content, compression=COMPRESSION)
        self._marks[name] = self._place.replace(name, content.getvalue().to_pybytes(), self._marks.get(name))


def _rows(where: str, content: bytes, kind: type[Row]) -> list[Row]:
    try:
        rows = pa.parquet.read_table(io.BytesIO(content)).to_pylist()
        return [kind(**{name: _plain(name, value) for name, value in row.items()}) for row in rows]
    except (pa.ArrowException, OSError, TypeError) as error:  # TypeError: of other columns
        raise StoreError(where, f"this file is damaged: {error}") from error


def _plain(name: str, value: Any) -> Any:
    return dict(value) if name == "counters" else value


def forgotten(digest: str, number: int) -> Ingested:
    """The record of a capture that was taken out: nothing is known but that."""
    return Ingested(digest, number, "", "", 0, 0, 0, forgotten=True)


def heard(
    before: Sensor | None,
    name: str,
    incarnation: str,
    now: int,
    watermark: int,
    since: int | None,
    until: int | None,
    rate: float,
    drops: int,
    rows: int,
    sequence: int,
    counters: Mapping[str, int],
) -> Sensor:
    """The sensor after a batch. A `since` past its watermark, or past `until`, says that it did not watch in between; what
    was counted since the batch before, it says of the quarter of its own watermark."""
    if before is None:
        begun = watermark if since is None else since
        before = Sensor(name, incarnation, begun, now, watermark, 0, rate, 0)
    if sequence > before.sequence and before.watermark > now >= watermark:
        before = replace(before, watermark=watermark)  # its clock was ahead, and has been put right
    gaps = before.gaps
    if sequence > before.sequence:  # or it comes again, and was counted
        watched = before.watermark if until is None else until
        if since is not None and since > watched:
            gaps = [*gaps, [watched, since]][-GAPS_KEPT:]
        counted = {"dropped": drops, **counters}
        grown = growth({"dropped": before.drops, **before.counters}, counted)
        quarters = added(before.quarters, _quarter(max(watermark - 1, 0)), grown)
        before = replace(
            before,
            sequence=sequence,
            drops=drops,
            counters=dict(counters) or before.counters,
            quarters=quarters,
        )
    return replace(
        before,
        seen=max(now, before.seen),
        watermark=max(watermark, before.watermark),
        added=now if rows else before.added,
        rate=rate,
        gaps=gaps,
    )


def closed(sensors: Iterable[Sensor], ends_of_files: Iterable[int], now: int) -> int:
    """The time (s) up to which buckets are closed (D15)."""
    late = _quarter(now - LATENESS)
    live = [each.watermark for each in _live(sensors, now)]
    if live:
        return max(late, _quarter(min(min(live), now)))
    return max(late, min(max(ends_of_files, default=0), _quarter(now)))


def missed(sensors: Iterable[Sensor], start: int, end: int, closed: int) -> list[Gap]:
    """Gaps that touch start <= t < end: those between an incarnation's watches and to its successor's, and those
    of sensors whose watermark has stayed behind the last closed bucket."""
    found = []
    for name, lives in _by_name(sensors):
        reached = lives[0].watermark
        for each in lives:
            found += [Gap(name, first, last) for first, last in each.gaps]
            if each.since > reached:
                found.append(Gap(name, reached, each.since))
            reached = max(reached, each.watermark)
        if reached < closed:
            found.append(Gap(name, reached, closed))
    return [gap for gap in found if gap.start < end and gap.end > start]


def overlapping(sensors: Iterable[Sensor]) -> list[Overlap]:
    """Where more than one incarnation of a name has watched."""
    found = []
    for name, lives in _by_name(sensors):
        reached = lives[0].watermark
        for each in lives[1:]:
            last = min(reached, each.watermark)
            if last - each.since > TOGETHER:
                found.append(Overlap(name, each.since, last))
            reached = max(reached, each.watermark)
    return found


def running_twice(sensors: Iterable[Sensor], now: int) -> dict[str, list[str]]:
    """Incarnations by name of the sensors that run more than once: live ones that have watched at the same time."""
    live = _live(sensors, now)
    names = {overlap.sensor for overlap in overlapping(live)}
    return {name: [each.incarnation for each in lives] for name, lives in _by_name(live) if name in names}


def _live(sensors: Iterable[Sensor], now: int) -> list[Sensor]:
    return [each for each in sensors if each.seen > now - LATENESS]


def _by_name(sensors: Iterable[Sensor]) -> Iterator[tuple[str, list[Sensor]]]:
    """The incarnations of each name, in the order in which they began to watch."""
    ordered = sorted(sensors, key=lambda each: (each.name, each.since))
    for name, lives in groupby(ordered, key=lambda each: each.name):
        yield name, list(lives)


def _quarter(time_: int) -> int:
    return time_ - time_ % QUARTER
