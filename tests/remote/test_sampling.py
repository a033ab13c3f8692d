"""Sensors that sample at different rates write into one installation: every number is that of plain Python."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pytest

from halfopen.capture.source import open_captures
from halfopen.connections.limits import Limits
from halfopen.ingest import incoming
from halfopen.model import SECOND
from halfopen.pipeline import Judge
from halfopen.places import Places
from halfopen.privacy import Address, Name, Privacy
from halfopen.radar.windows import stamp
from halfopen.store.schema import INCOMING
from tests.cli.conftest import spawned
from tests.dataset import reference
from tests.dataset.conftest import PLACES, ran, spread_bytes
from tests.dataset.reference import DAY, STAGES, Connection, Test, everything
from tests.remote.conftest import Serving, serving
from tests.remote.test_batches import NOW, post, stream

BEGIN: Final = (NOW - 11 * DAY) // 900 * 900
MIDDLE: Final = BEGIN + 5 * DAY + 1000
END: Final = BEGIN + 10 * DAY + 900

RATES: Final = {"edge": ("1", "1"), "web-1": ("0.5", "0.07"), "web-2": ("0.3", "0.3")}
"""Sampling rate of each sensor, before and after `MIDDLE`. The first is a capture that is ingested."""

TESTS: Final[list[tuple[dict[str, str], Test]]] = [
    ({}, everything),
    ({"sensor": "web-1"}, lambda row: row.sensor == "web-1"),
    ({"sensor": "web-1,web-2"}, lambda row: row.sensor != "edge"),
    ({"sensor": "-web-2"}, lambda row: row.sensor != "web-2"),
    ({"location": "DE,PE"}, lambda row: row.location in ("DE", "PE")),
    ({"asn": "-64496", "serverPort": "443"}, lambda row: row.asn != 64496 and row.server_port == 443),
    ({"tag": "timeout", "sensor": "-edge"}, lambda row: "timeout" in row.tags and row.sensor != "edge"),
]


def rate(sensor: str, start: int) -> Fraction:
    return Fraction(RATES[sensor][start >= MIDDLE])


def sampled(capture: Path) -> Any:
    """The rows of a capture as a sensor sends them, weights left for later."""
    judge = Judge(Limits(), Places.open([str(PLACES)]), 1, packets=True)
    privacy = Privacy(Address.truncated, Name.domain)
    batches = judge.run(open_captures([str(capture)]), lambda each: incoming(each, privacy))
    return pa.Table.from_batches(list(batches)).cast(INCOMING)


def weighted(rows: Any, sensor: str) -> Iterator[tuple[str, Any]]:
    """A batch for each of its rates: the rate, and the rows."""
    starts = rows["start_ns"].to_numpy() // SECOND
    for text, chosen in zip(RATES[sensor], (starts < MIDDLE, starts >= MIDDLE), strict=True):
        part = rows.filter(pa.array(chosen))
        weights = pa.array([1 / float(text)] * part.num_rows, pa.float64())
        yield text, part.set_column(part.schema.get_field_index("weight"), INCOMING.field("weight"), weights)


@pytest.fixture(scope="module")
def sampling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Serving, list[Connection]]]:
    """A server that all three have delivered to, and what `classify` says of their captures."""
    folder = tmp_path_factory.mktemp("sampling")
    captures = {}
    for seed, sensor in enumerate(RATES):
        captures[sensor] = folder / f"{sensor}.pcap"
        captures[sensor].write_bytes(spread_bytes(begin=BEGIN, seed=seed))
    lines = ran("classify", *captures.values(), "--places", PLACES, "--format", "ndjson")
    plain = reference.connections(lines, {str(path): sensor for sensor, path in captures.items()}, {})
    rows = [replace(each, weight=1 / rate(each.sensor, each.start)) for each in plain]
    data = folder / "data"
    data.mkdir(mode=0o700)
    edge = captures.pop("edge")
    assert spawned("ingest", "--data", data, "--places", PLACES, edge, "--sensor", "edge").code == 0
    with serving(data) as server:
        for sensor, capture in captures.items():
            for number, (text, part) in enumerate(weighted(sampled(capture), sensor), 1):
                answer = post(server, stream(part), number, sensor, sensor, rate=text)
                assert answer.json()["result"]["taken"], answer.text
        whole = [reference.raw_value(each) for each in reference.counted(rows, everything, BEGIN, END)]
        end = time.monotonic() + 20
        while list(summary(server, normalization="RAW_VALUES").values()) != whole:
            assert time.monotonic() < end, (summary(server, normalization="RAW_VALUES"), whole)
            time.sleep(0.1)
        yield server, rows


def asked(server: Serving, path: str, query: dict[str, str]) -> Any:
    window = {"dateStart": stamp(BEGIN), "dateEnd": stamp(END)}
    found = server.ask("GET", f"/radar/tcp_resets_timeouts/{path}", "radar", params=window | query)
    assert found.status_code == 200, found.text
    return found.json()["result"]


def summary(server: Serving, **query: str) -> dict[str, str]:
    """The five numbers, in the order of a CSV file."""
    found = asked(server, "summary", query)["summary_0"]
    return {stage: found[stage] for stage in STAGES}


@pytest.mark.parametrize(("query", "test"), TESTS)
def test_summaries(sampling: tuple[Serving, list[Connection]], query: dict[str, str], test: Test) -> None:
    server, rows = sampling
    counts = reference.counted(rows, test, BEGIN, END)
    assert any(counts)
    assert summary(server, **query) == reference.summary(rows, test, BEGIN, END)
    assert list(summary(server, **query, normalization="RAW_VALUES").values()) == [
        reference.raw_value(count) for count in counts
    ]


@pytest.mark.parametrize(("query", "test"), TESTS)
@pytest.mark.parametrize("token", ["15m", "1h", "1d", "1w"])
def test_series(
    sampling: tuple[Serving, list[Connection]], query: dict[str, str], test: Test, token: str
) -> None:
    server, rows = sampling
    found = asked(server, "timeseries_groups", query | {"aggInterval": token})["serie_0"]
    assert found == reference.series(rows, test, BEGIN, END, token, END + DAY)


@pytest.mark.parametrize("dimension", ["sensor", "location", "signature"])
def test_groups(sampling: tuple[Serving, list[Connection]], dimension: str) -> None:
    server, rows = sampling
    sums: dict[str, Fraction] = {}
    for row in rows:
        if row.stage in STAGES:
            key = getattr(row, dimension) or "other"
            sums[key] = sums.get(key, Fraction(0)) + row.weight
    query = {"normalization": "RAW_VALUES", "limitPerGroup": "100"}
    found = asked(server, f"summary/{dimension}", query)["summary_0"]
    assert found == {key: reference.raw_value(weight) for key, weight in sums.items()}
