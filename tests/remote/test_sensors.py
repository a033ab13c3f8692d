"""What befalls sensors is shown, over HTTP and beside it: one that fell silent, and one that runs twice."""

from __future__ import annotations

import time
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import httpx

from halfopen.radar.windows import stamp
from halfopen.store.committer import Batch
from halfopen.store.store import Store
from tests.cli.conftest import spawned
from tests.dataset.conftest import away_from_the_end_of
from tests.remote.conftest import Serving, serving
from tests.remote.test_batches import body, post, row
from tests.store.rows import table

A, B = (str(uuid.UUID(int=number)) for number in (10, 11))
GAUGE: Final = "halfopen_sensors_running_twice"


def told(server: Serving, **query: str) -> list[tuple[str, str, str]]:
    """What answers and the list of annotations both say of sensors: words, start, end."""
    window = {"dateRange": "1d", **query}
    summary = server.ask("GET", "/radar/tcp_resets_timeouts/summary", "radar", params=window)
    listed = server.ask(
        "GET", "/radar/annotations", "radar", params={"dateRange": "1d", "eventType": "PIPELINE"}
    )
    answers = [brief(each) for each in summary.json()["result"]["meta"]["confidenceInfo"]["annotations"]]
    if "sensor" not in query:
        assert sorted(answers) == sorted(map(brief, listed.json()["result"]["annotations"]))
    return answers


def brief(annotation: Any) -> tuple[str, str, str]:
    assert (annotation["dataSource"], annotation["eventType"]) == ("CONNECTION_ANOMALY", "PIPELINE")
    assert annotation["tags"] == [annotation["description"].split()[1]]
    return annotation["description"], annotation["startDate"], annotation["endDate"]


def test_a_sensor_that_falls_silent_annotates_itself(tmp_path: Path) -> None:
    away_from_the_end_of(900, 60)
    now = int(time.time())
    begin, closed = now - 3 * 3600, now - now % 900
    with closing(Store(tmp_path / "store", create=True, clock=lambda: begin)) as store:
        store.committer().commit([Batch("web-2", A, 1, begin - 30, table([row(begin - 90)]))])
    with serving(tmp_path) as server:
        late = closed - 1800  # with nobody live a bucket closes half an hour after its end
        silent = "Sensor web-2 did not report."
        assert told(server) == [(silent, stamp(begin - 30), stamp(late))]
        assert post(server, body(), watermark=now).status_code == 200
        assert told(server) == [(silent, stamp(begin - 30), stamp(closed))]
        assert told(server, sensor="web-1") == []
        # It was away, and not only its batches: so it says, and the gap has an end.
        back = {"watermark": now, "since": begin + 600, "incarnation": A}
        assert post(server, body(), 2, "web-2", "web-2", **back).status_code == 200
        assert told(server) == [(silent, stamp(begin - 30), stamp(begin + 600))]
        assert spawned("store", "forget", "--sensor", "web-2", "--data", tmp_path).code == 0
        assert told(server) == []
        again = spawned("store", "forget", "--sensor", "web-2", "--data", tmp_path)
        assert (again.code, again.err) == (1, "halfopen: web-2: no sensor of this name has delivered here\n")


def test_a_sensor_that_runs_twice_is_taken_and_is_a_fault(tmp_path: Path) -> None:
    now = int(time.time())
    past = now - 7200
    with serving(tmp_path) as server:
        # Its spool was lost: a gap, and no fault.
        deliver(server, "web-2", A, past - 1200, past - 900)
        deliver(server, "web-2", B, past - 300, now)
        gap = "Sensor web-2 did not report.", stamp(past - 900), stamp(past - 300)
        assert told(server) == [gap]
        assert metric(server) == 0
        assert running_twice(tmp_path, now) == {}
        deliver(server, "web-1", A, past - 900, past - 300, past - 200, now)
        deliver(server, "web-1", B, past - 600, past - 240)
        twice = (
            "Sensor web-1 ran twice: what both saw is counted twice.",
            stamp(past - 600),
            stamp(past - 240),
        )
        assert told(server) == [gap, twice]
        assert told(server, sensor="-web-1") == [gap]
        end = time.monotonic() + 20
        while metric(server) != 1:
            assert time.monotonic() < end
            time.sleep(0.1)
        fault = "sensor web-1 runs twice, what both see is counted twice:"
        info = spawned("store", "info", "--data", tmp_path).out
        assert f"FAULT: {fault} {A}, {B}\n" in info
        assert f"sensor web-1, {B}: heard of " in info
        assert running_twice(tmp_path, now) == {"web-1": [A, B]}
        deliver(server, "web-1", B, past - 200, past - 100, first=3)
        log = server.log.read_text()
        assert log.count("runs twice") == log.count(f"{fault} incarnations {A}, {B}\n") == 1
    # Half an hour after one of them was last heard of it is over.
    assert running_twice(tmp_path, now + 3600) == {}


def running_twice(data: Path, now: int) -> dict[str, list[str]]:
    with closing(Store(data / "store", clock=lambda: now)) as store:
        return store.info().running_twice


def deliver(server: Serving, sensor: str, incarnation: str, *watermarks: int, first: int = 1) -> None:
    for number, watermark in enumerate(watermarks, first):
        rows = body([row(watermark - 60)])
        answer = post(server, rows, number, sensor, sensor, incarnation=incarnation, watermark=watermark)
        assert answer.json()["result"]["taken"], answer.text


def metric(server: Serving) -> float:
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    (line,) = (each for each in lines if each.startswith(GAUGE))
    return float(line.split()[1])
