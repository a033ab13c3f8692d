"""confidenceInfo.level over HTTP: every value that A21 gives, from batches of sensors."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa
import pytest

from halfopen.model import Stage
from halfopen.radar.windows import DAY, HOUR, stamp
from tests.remote.conftest import Serving
from tests.remote.test_batches import NOW, post, row, stream
from tests.store.rows import table

BEGIN: Final = (NOW - 3 * DAY) // HOUR * HOUR
USUAL: Final = {Stage.no_match: 800, Stage.post_syn: 100, Stage.post_ack: 60, Stage.post_psh: 30, Stage.later_in_flow: 10}  # fmt: skip

STEADY, ERRATIC, FEW, FEWER, FEWEST = (443, 8443, 80, 22, 25)
"""Ports of the servers: each has its own traffic, of 24 hours."""

SINCE: Final = BEGIN - 2 * DAY
"""Where the window begins: it is so long that steadiness is judged by the hour."""


def hour(number: int, port: int, stages: dict[Stage, int]) -> Iterator[Any]:
    for stage, count in stages.items():
        one = table([row(BEGIN + number * HOUR, stage=int(stage), signature=0, server_port=port)])
        yield one.take(pa.array([0] * count))


def traffic(*ports: int) -> Any:
    shown = {
        STEADY: [USUAL] * 24,
        ERRATIC: [*[USUAL] * 7, USUAL | {Stage.no_match: 600, Stage.post_ack: 260}, *[USUAL] * 16],
        FEW: [{Stage.no_match: 20, Stage.post_syn: 20}] * 24,
        FEWER: [{Stage.no_match: 6, Stage.post_syn: 6}] * 24,
        FEWEST: [{Stage.no_match: 4}] * 24,
    }
    parts = [
        part for port in ports for number in range(24) for part in hour(number, port, shown[port][number])
    ]
    return pa.concat_tables(parts).combine_chunks()


@pytest.fixture(scope="module")
def judged(served: Serving) -> Serving:
    """A server with a sensor that never slept, and one that did for an hour."""
    rows = traffic(STEADY, ERRATIC, FEW, FEWER, FEWEST)
    assert post(served, stream(rows)).status_code == 200
    for number, port, gap in (
        (1, STEADY, {"watermark": BEGIN + 9 * HOUR}),
        (2, FEW, {"since": BEGIN + 10 * HOUR}),
    ):
        assert post(served, stream(traffic(port)), number, "web-2", "web-2", **gap).status_code == 200
    end = time.monotonic() + 20
    while told(served)[1] != 2 * (24_000 + 960) + 24_000 + 288 + 96:
        assert time.monotonic() < end
        time.sleep(0.1)
    return served


def told(server: Serving, hours: int = 24, **query: str) -> tuple[int, float, list[str]]:
    """The level, how many connections it is about, and what its annotations say."""
    window = {
        "dateStart": stamp(SINCE),
        "dateEnd": stamp(BEGIN + hours * HOUR),
        "normalization": "RAW_VALUES",
    }
    path = "/radar/tcp_resets_timeouts/summary"
    found = server.ask("GET", path, "radar", params=window | query).json()["result"]
    about = found["meta"]["confidenceInfo"]
    words = [each["description"] for each in about["annotations"]]
    return about["level"], sum(map(float, found["summary_0"].values())), words


@pytest.mark.parametrize(
    ("port", "level", "count"),
    [(STEADY, 5, 24_000), (ERRATIC, 3, 24_000), (FEW, 2, 960), (FEWER, 1, 288), (FEWEST, 1, 96)],
)
def test_by_what_is_counted(judged: Serving, port: int, level: int, count: int) -> None:
    assert told(judged, sensor="web-1", serverPort=str(port)) == (level, count, [])


def test_a_gap_lowers_5_to_3_and_says_so(judged: Serving) -> None:
    port = str(STEADY)
    silent = ["Sensor web-2 did not report."]
    assert told(judged, serverPort=port, sensor="web-2") == (3, 24_000, silent)
    assert told(judged, serverPort=port) == (3, 48_000, silent)
    assert told(judged, 9, serverPort=port, sensor="web-2") == (5, 9_000, [])
    assert told(judged, sensor="web-2", serverPort=str(FEW)) == (2, 960, silent)


def test_the_worst_of_several_series(judged: Serving) -> None:
    path = "/radar/tcp_resets_timeouts/timeseries_groups"
    asked = [
        ("dateStart", stamp(SINCE)),
        ("dateEnd", stamp(BEGIN + DAY)),
        ("sensor", "web-1"),
        ("sensor", "web-1"),
    ]
    ports = [("serverPort", str(STEADY)), ("serverPort", str(FEWEST))]
    for some, level in ((ports[:1] * 2, 5), (ports, 1)):
        found = judged.ask("GET", path, "radar", params=[*asked, *some]).json()["result"]
        assert found["meta"]["confidenceInfo"]["level"] == level
