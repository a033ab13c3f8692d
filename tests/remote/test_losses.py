"""What a sensor counts and loses is shown: in /metrics, by `store info`, in annotations and in the level of answers."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest
from prometheus_client.parser import text_string_to_metric_families

from halfopen.radar.windows import stamp
from halfopen.store.counters import COUNTERS
from tests.cli.conftest import spawned
from tests.remote.conftest import Serving, serving
from tests.remote.test_batches import body, post, row, stream
from tests.store.rows import table

A = str(uuid.UUID(int=7))
COUNTS = {name: 1000 + number for number, name in enumerate(COUNTERS)}


def words(counters: dict[str, int]) -> str:
    return ",".join(f"{name}:{count}" for name, count in counters.items())


def metrics(server: Serving) -> dict[tuple[str, str], float]:
    """Every sample of sensors by name and stage."""
    found = {}
    for family in text_string_to_metric_families(httpx.get(f"{server.url}/metrics").text):
        for sample in family.samples:
            if sample.labels.get("incarnation") == A and not sample.name.endswith("_created"):
                found[sample.name.removeprefix("halfopen_sensor_"), sample.labels.get("stage", "")] = (
                    sample.value
                )
    return found


def test_counters_are_kept_and_shown(tmp_path: Path) -> None:
    now = int(time.time())
    with serving(tmp_path) as server:
        told: dict[str, Any] = {
            "counters": words(COUNTS) + ",of_a_newer_sensor:3",
            "drops": 7,
            "rate": "0.0625",
        }
        assert post(server, body(), watermark=now - 100, **told).status_code == 200
        found = metrics(server)
        lag = found.pop(("lag_seconds", ""))
        assert 100 <= lag <= 100 + time.time() - now
        assert found == {
            ("sampling_rate", ""): 0.0625,
            ("dropped_packets_total", ""): 7,
            ("received_packets_total", ""): COUNTS["received"],
            ("packets_total", ""): COUNTS["packets"],
            **{
                ("judged_connections_total", stage): COUNTS[stage]
                for stage in ("no_match", "post_syn", "post_ack", "post_psh", "later_in_flow")
            },
            **{
                (f"{name}_connections_total", ""): COUNTS[name]
                for name in ("left_out", "evicted", "unsampled", "spooled", "delivered", "lost")
            },
        }
        info = spawned("store", "info", "--data", tmp_path).out
        assert "  counted received 1,000, dropped 7, packets 1,001, no_match 1,002, " in info
        assert "lost 1,012, sampled 1 in 16\n" in info
        (sensor,) = json.loads(spawned("store", "info", "--json", "--data", tmp_path).out)["sensors"]
        assert (sensor["counters"], sensor["drops"]) == (COUNTS, 7)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("received", "counters:"),
        ("received:-1", "counters:"),
        ("received:1,", "counters:"),
        ("received:1234567890123456", "counters:"),
        (",".join(["packets:1"] * 65), "counters:"),
        ("packets:1,packets:2", "counters: a name twice"),
    ],
)
def test_counters_are_checked(served: Serving, text: str, said: str) -> None:
    answer = post(served, body(), 90, counters=text)
    assert answer.status_code == 400
    assert [each["message"].startswith(said) for each in answer.json()["errors"]] == [True]


def answered(server: Serving, start: int) -> tuple[int, list[Any]]:
    window = {"dateStart": stamp(start), "dateEnd": stamp(start + 3600), "aggInterval": "15m"}
    path = "/radar/tcp_resets_timeouts/summary"
    result = server.ask("GET", path, "radar", params=window).json()["result"]
    info = result["meta"]["confidenceInfo"]
    return info["level"], [
        (each["description"], each["startDate"], each["endDate"], each["eventType"], each["dataSource"])
        for each in info["annotations"]
    ]


def test_losses_that_matter_are_annotated_and_lower_the_level(tmp_path: Path) -> None:
    start = (int(time.time()) - 7200) // 900 * 900
    many = table([row(start + 900)]).take(pa.array([0] * 2000)).combine_chunks()
    with serving(tmp_path) as server:
        quarters = [(1, 0, 1000, 0), (2, 11, 2000, 0), (3, 41, 3000, 60), (4, 42, 4000, 60)]
        for number, drops, received, evicted in quarters:
            told: dict[str, Any] = {
                "watermark": start + number * 900, "drops": drops,
                "counters": words({"received": received, "no_match": 1000 * number, "left_out": evicted, "evicted": evicted}),
            }  # fmt: skip
            rows = stream(many) if number == 1 else body()
            assert post(server, rows, number, **told).status_code == 200
        last = post(
            server, body(), 5, watermark=int(time.time()), **{key: told[key] for key in ("drops", "counters")}
        )
        assert last.status_code == 200
        said = "lost 41 of 2,000 packets (2.1%) and 60 of 2,060 connections (2.9%)."
        span = stamp(start + 900), stamp(start + 2700)
        assert answered(server, start) == (
            3,
            [(f"Sensor web-1 {said}", *span, "PIPELINE", "CONNECTION_ANOMALY")],
        )
        assert answered(server, start + 2700)[1] == []
        listed = server.ask("GET", "/radar/annotations", "radar").json()["result"]["annotations"]
        assert [each["id"] for each in listed] == [f"web-1-lost-{start + 900}"]
        page = httpx.get(f"{server.url}/annotations").text
        assert f"A sensor {said}" in page
        assert "web-1" not in page
