"""Makes the store that answers are timed on: 54 weeks, 275,000 connections a day, and an hour of live sensors.

Everything about a connection follows from its number by a hash, so the store is the same wherever it is made. The product's
own code adds the connections up and writes the tables; of the connections themselves only the live hour is kept, as
if retention had taken the others. `python benchmarks/dataset.py FOLDER` makes it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from halfopen.connections.rules import SIGNATURES, Tag
from halfopen.model import SECOND, Stage
from halfopen.places.countries import continent_of
from halfopen.store import rollup
from halfopen.store.committer import Batch
from halfopen.store.query import QUARTER
from halfopen.store.schema import INCOMING, ROLLUPS
from halfopen.store.store import Store
from halfopen.store.tables import File, Table
from halfopen.store.upkeep import Upkeep

DAY: Final = 86400
HOUR: Final = 3600
DAYS: Final = 54 * 7
EACH_DAY: Final = 275_000
MIDNIGHT: Final = 1_781_481_600
"""A Monday, s since the epoch: the live hour begins, and the days before it end."""
END: Final = MIDNIGHT + HOUR

RATES: Final = (1.0, 1.0, 0.5, 0.5, 0.25, 0.1)
"""Sampling rates of the sensors."""
DELIVERY: Final = 30
"""Seconds between two batches of a live sensor."""

Array = NDArray[Any]


def mix(numbers: Array, salt: int) -> Array:
    """Well-spread 64-bit values for numbers and a purpose (splitmix64)."""
    with np.errstate(over="ignore"):
        z = numbers * np.uint64(0x9E3779B97F4A7C15) + np.uint64(salt * 0xD1B54A32D192ED03 % 2**64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def chance(numbers: Array, salt: int) -> Array:
    """A number from 0 to 1 for each."""
    return (mix(numbers, salt) >> np.uint64(11)) / 2**53


def drawn(numbers: Array, salt: int, weights: Sequence[float] | Array) -> Array:
    """For each an index, as often as its weight says."""
    return np.searchsorted(np.cumsum(weights) / np.sum(weights), chance(numbers, salt))


_EVERY: Final = tuple(f"{a}{b}" for a in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" for b in "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
LOCATIONS: Final = np.array([code for code in _EVERY if continent_of(code)][:200])
CONTINENTS: Final = np.array([continent_of(code) for code in LOCATIONS])
_NUMBERS: Final = np.arange(5_000, dtype=np.uint64)
NETWORKS: Final = np.argsort(mix(_NUMBERS, 1)) * 50 + 1_000
"""AS numbers, those with the most connections first."""
_HARMONIC: Final = 1 / np.arange(1, 5_001)  # the n-th largest is an n-th of the largest (Zipf)
_HOMES: Final = drawn(_NUMBERS, 2, _HARMONIC[: len(LOCATIONS)])
_PORTS: Final = ((443, 26), (80, 4), (22, 1), (8443, 1))


def _bits(*tags: Tag) -> int:
    return sum(1 << tag for tag in tags)


_ENDS: Final = (
    (640, Stage.no_match, 0, 0),
    (60, Stage.no_match, 0, _bits(Tag.server_closed)),
    (20, Stage.no_match, 0, _bits(Tag.server_reset)),
    (10, Stage.undecided, 0, 0),
    *(
        (share, each.stage, each.number, tags)
        for each in SIGNATURES
        for share, tags in (
            (8, _bits(Tag.reset if each.resets[1] or each.reset_acks[1] else Tag.timeout)),
            (3, _bits(Tag.reset, Tag.answered)),
            (2, _bits(Tag.reset, Tag.syn_retransmitted)),
            (1, _bits(Tag.zmap)),
        )
    ),
)
"""How connections end: share, stage, signature, tags."""


def connections(first: int, last: int, start: int, seconds: int) -> dict[str, Array]:
    """Columns of the connections first..last, whose SYNs lie from `start` (s) on for so many seconds."""
    n = np.arange(first, last, dtype=np.uint64)
    network = drawn(n, 3, _HARMONIC)
    away = chance(n, 4) < 0.1
    location = np.where(away, drawn(n, 5, _HARMONIC[: len(LOCATIONS)]), _HOMES[network])
    end = drawn(n, 6, [share for share, *_ in _ENDS])
    port = drawn(n, 7, [share for _, share in _PORTS])
    stage, signature, tags = (np.array(column)[end] for column in list(zip(*_ENDS, strict=True))[1:])
    sensor = (mix(n, 8) % np.uint64(len(RATES))).astype(np.int64)
    return {
        "seconds": start + (chance(n, 9) * seconds).astype(np.int64),
        "sensor": sensor,
        "asn": NETWORKS[network],
        "location": LOCATIONS[location],
        "continent": CONTINENTS[location],
        "stage": stage.astype(np.int8),
        "signature": signature.astype(np.int8),
        "tags": tags,
        "ip_version": np.where(chance(n, 10) < 0.15, 6, 4).astype(np.int8),
        "server_port": np.array([number for number, _ in _PORTS], np.int32)[port],
        "weight": 1 / np.array(RATES)[sensor],
    }


def name_of(sensor: int) -> str:
    """Name of a sensor."""
    return f"sensor-{sensor}"


def one_day(where: str, day: int) -> list[File]:
    """Write the rollups of one day; the files are still to be committed."""
    with closing(Store(where, threads=1)) as store:
        rows = connections(day * EACH_DAY, (day + 1) * EACH_DAY, MIDNIGHT - (DAYS - day) * DAY, DAY)
        seconds = rows.pop("seconds")
        names = np.array([name_of(sensor) for sensor in range(len(RATES))])
        rows |= {"sensor": names[rows["sensor"]], "bucket": seconds - seconds % QUARTER}
        added = pa.table(
            rows | {"file": pa.nulls(EACH_DAY, pa.string()), "ingested": np.zeros(EACH_DAY, np.int64)}
        )
        quarters = store.engine.ask(rollup.QUARTERS, {"added": added, "removed": added.slice(0, 0)})
        files, _ = rollup.on_top(Table(store.place / ROLLUPS.name, ROLLUPS), store.engine, quarters)
        return files


def live_hour(store: Store) -> None:
    """What six live sensors delivered, each batch in a commit of its own, with the rollups following."""
    committer = store.committer()
    rows = connections(DAYS * EACH_DAY, DAYS * EACH_DAY + EACH_DAY // 24, MIDNIGHT, HOUR)
    for turn in range(HOUR // DELIVERY):
        for sensor in range(len(RATES)):
            since = MIDNIGHT + turn * DELIVERY
            mine = rows["sensor"] == sensor
            now = mine & (rows["seconds"] >= since) & (rows["seconds"] < since + DELIVERY)
            committer.commit([_batch(sensor, turn + 1, {name: column[now] for name, column in rows.items()})])
            committer.follow()


def _batch(sensor: int, sequence: int, rows: dict[str, Array]) -> Batch:
    start = rows["seconds"] * SECOND
    count = len(start)
    given = {name: pa.array(rows[name]) for name in rows if name in INCOMING.names}
    given |= {"start_ns": pa.array(start), "end_ns": pa.array(start + SECOND)}
    for name, value in (("client_port", 50_000), ("packets", 4), ("rules_version", 1)):
        given[name] = pa.array(np.full(count, value))
    given["server"] = pa.repeat("192.0.2.1", count)
    columns = [given.get(field.name, pa.nulls(count, field.type)).cast(field.type) for field in INCOMING]
    watermark = MIDNIGHT + sequence * DELIVERY
    incarnation = f"00000000-0000-4000-8000-{sensor:012}"
    return Batch(
        name_of(sensor), incarnation, sequence, watermark, pa.table(columns, INCOMING), rate=RATES[sensor]
    )


def make(where: str) -> None:
    """Make the whole store."""
    with closing(Store(where, create=True, clock=lambda: END)) as store:
        # Spawned: the runtime of delta-rs does not survive a fork.
        with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
            days = list(pool.map(partial(one_day, where), range(DAYS)))
        rollups = Table(store.place / ROLLUPS.name, ROLLUPS)
        rollups.commit(rollup.DATA, {}, [file for files in days for file in files])
        upkeep = Upkeep(store.committer())
        upkeep.compact(2)  # as upkeep does once a partition is quiet
        upkeep.vacuum(0)
    with closing(Store(where, clock=lambda: END)) as store:
        live_hour(store)
        Upkeep(store.committer()).vacuum(0)


def main() -> None:
    """Make the store in a folder, which is there once all of it is."""
    folder = Path(sys.argv[1])
    fresh = folder.with_suffix(".partial")
    make(str(fresh))
    fresh.rename(folder)


if __name__ == "__main__":
    main()
