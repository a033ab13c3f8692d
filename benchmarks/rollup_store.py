"""Makes the store that answers are timed on: 54 weeks of about 100 million connections a year, deterministic.

Everything about a connection (time, network, place, sensor, how it ended) follows from its number by a hash.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from halfopen.connections.rules import SIGNATURES, Tag
from halfopen.model import SECOND, Stage
from halfopen.places.continents import _CONTINENT, continent_of
from halfopen.store import rollup
from halfopen.store.committer import Batch
from halfopen.store.schema import CONNECTIONS, INCOMING, ROLLUPS
from halfopen.store.store import Store
from halfopen.store.tables import Table

DAY: Final = 86400
QUARTER: Final = 900
DAYS: Final = 54 * 7
EACH_DAY: Final = 275_000
END: Final = 1_790_553_600 // DAY * DAY
BEGIN: Final = END - DAYS * DAY
NETWORKS: Final = 5_000
LOCATIONS: Final = 200
RATES: Final = (1.0, 1.0, 0.5, 0.5, 0.25, 0.1)

Array = NDArray[Any]


def mix(numbers: Array, salt: int) -> Array:
    with np.errstate(over="ignore"):
        z = numbers * np.uint64(0x9E3779B97F4A7C15) + np.uint64(salt * 0xD1B54A32D192ED03 & (1 << 64) - 1)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def unit(numbers: Array, salt: int) -> Array:
    return (mix(numbers, salt) >> np.uint64(11)).astype(np.float64) / 2**53


def zipf(count: int) -> Array:
    weights = 1 / np.arange(1, count + 1)
    return np.cumsum(weights) / weights.sum()


_NETWORK = zipf(NETWORKS)
_LOCATION = zipf(LOCATIONS)
_HOME = np.searchsorted(_LOCATION, unit(np.arange(NETWORKS, dtype=np.uint64), 20))
_ASN = 1000 + mix(np.arange(NETWORKS, dtype=np.uint64), 21).astype(np.int64) % 60 + 70 * np.arange(NETWORKS)
np.random.default_rng(1).shuffle(_ASN)
_CODES = np.array(list(_CONTINENT))[:LOCATIONS]
_CONT = np.array([continent_of(c) for c in _CODES])


# ways to end: share of 1000, stage, signature, tags
def bits(*tags: Tag) -> int:
    return sum(1 << t for t in tags)


ENDS = [
    (640, Stage.no_match, 0, 0),
    (60, Stage.no_match, 0, bits(Tag.server_closed)),
    (20, Stage.no_match, 0, bits(Tag.server_reset)),
    (10, Stage.undecided, 0, 0),
]
for s in SIGNATURES:
    for share, tags in (
        (8, bits(Tag.timeout if s.number % 3 == 0 else Tag.reset)),
        (3, bits(Tag.reset, Tag.answered)),
        (2, bits(Tag.reset, Tag.syn_retransmitted)),
        (1, bits(Tag.zmap)),
    ):
        ENDS.append((share, s.stage, s.number, tags))
_SHARES = np.cumsum([e[0] for e in ENDS]) / sum(e[0] for e in ENDS)
_STAGE = np.array([int(e[1]) for e in ENDS], np.int8)
_SIG = np.array([e[2] for e in ENDS], np.int8)
_TAGS = np.array([e[3] for e in ENDS], np.int64)
_PORTS = np.array([443] * 26 + [80] * 4 + [22, 8443], np.int32)


def columns(first: int, last: int, start: int, span: int) -> dict[str, Any]:
    n = np.arange(first, last, dtype=np.uint64)
    network = np.searchsorted(_NETWORK, unit(n, 1))
    away = unit(n, 2) < 0.1
    location = np.where(away, np.searchsorted(_LOCATION, unit(n, 3)), _HOME[network])
    seconds = start + (unit(n, 4) * span).astype(np.int64)
    end = np.searchsorted(_SHARES, unit(n, 5))
    sensor = (mix(n, 6) % np.uint64(len(RATES))).astype(np.int64)
    v6 = unit(n, 7) < 0.15
    port = _PORTS[(mix(n, 8) % np.uint64(len(_PORTS))).astype(np.int64)]
    return dict(
        seconds=seconds,
        asn=_ASN[network],
        location=_CODES[location],
        continent=_CONT[location],
        stage=_STAGE[end],
        signature=_SIG[end],
        tags=_TAGS[end],
        sensor=sensor,
        ip_version=np.where(v6, 6, 4).astype(np.int8),
        server_port=port,
        weight=1 / np.array(RATES)[sensor],
    )


def day_rows(day: int) -> Any:
    c = columns(day * EACH_DAY, (day + 1) * EACH_DAY, BEGIN + day * DAY, DAY)
    return pa.table(
        {
            "bucket": c["seconds"] - c["seconds"] % QUARTER,
            "sensor": pa.DictionaryArray.from_arrays(
                c["sensor"].astype(np.int8), [f"sensor-{k}" for k in range(len(RATES))]
            ).cast(pa.string()),
            "asn": c["asn"],
            "location": c["location"],
            "continent": c["continent"],
            "stage": c["stage"],
            "signature": c["signature"],
            "tags": c["tags"],
            "ip_version": c["ip_version"],
            "server_port": c["server_port"],
            "file": pa.nulls(EACH_DAY, pa.string()),
            "ingested": np.zeros(EACH_DAY, np.int64),
            "weight": c["weight"],
        }
    )


def main(where: str) -> None:
    store = Store(where, create=True)
    t = Table(store.place / ROLLUPS.name, ROLLUPS)
    t0 = time.time()
    for day in range(DAYS):
        quarters = store.engine.ask(
            rollup._QUARTERS, {"added": day_rows(day), "removed": day_rows(0).slice(0, 0)}
        )
        fs, old = rollup.on_top(t, store.engine, quarters)
        t.commit(rollup.DATA, {}, fs, old)
        if day % 20 == 0:
            print(day, time.time() - t0, [(f.path[:30], f.rows, f.size) for f in fs], flush=True)
    print(time.time() - t0)


if __name__ == "__main__":
    main(sys.argv[1])
