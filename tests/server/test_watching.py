"""What those see who watch a server: metrics, and whether it is ready."""

from __future__ import annotations

import shutil
import time

import httpx

from tests.server.conftest import COMMITS, Served
from tests.server.test_upkeep import SUMMARY, until

ROUTE = "/radar/tcp_resets_timeouts/summary"


def test_metrics_tell_of_store_and_requests(served: Served) -> None:
    for _ in range(3):
        assert served.get(SUMMARY).status_code == 200
    assert served.get(f"/client/v4{ROUTE}?dateRange=never").status_code == 400
    assert httpx.get(f"{served.url}/client/v4{ROUTE}").status_code == 400  # no token
    assert served.get("/client/v4/secret/words/of/a/client").status_code == 404
    page = httpx.get(f"{served.url}/metrics")
    assert page.headers["content-type"].startswith("text/plain; version=")
    assert page.headers["cache-control"] == "no-store"
    found = served.metrics()
    assert found["halfopen_store_readable"] == 1
    assert found['halfopen_table_rows{table="connections"}'] == COMMITS + 1
    assert found['halfopen_table_bytes{table="connections"}'] > 1000
    assert found['halfopen_table_rows{table="rollups"}'] > 0
    now = time.time()
    assert now - 3600 < found["halfopen_dataset_closed_timestamp_seconds"] <= now
    assert now - 120 < found["halfopen_dataset_updated_timestamp_seconds"] <= now
    assert found[f'halfopen_requests_total{{route="{ROUTE}",status="200"}}'] == 3
    assert found[f'halfopen_requests_total{{route="{ROUTE}",status="400"}}'] == 2
    assert found['halfopen_requests_total{route="other",status="404"}'] == 1
    assert found[f'halfopen_request_seconds_count{{route="{ROUTE}"}}'] == 5
    assert found["halfopen_upkeep_failures_total"] == 0
    assert "halfopen_upkeep_timestamp_seconds" not in found  # not yet


def test_metrics_hold_nothing_of_anybody(served: Served) -> None:
    served.get(f"{SUMMARY}&location=PT")
    served.get("/client/v4/secret/words")
    text = httpx.get(f"{served.url}/metrics").text
    for secret in (served.token, str(served.store), "lyon", "192.0.2.", "secret", "PT", "127.0.0.1"):
        assert secret not in text


def test_ready_until_the_store_is_gone(served: Served) -> None:
    ready = httpx.get(f"{served.url}/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ok"})
    shutil.rmtree(served.store)
    assert until(lambda: httpx.get(f"{served.url}/readyz").status_code == 503)
    waiting = httpx.get(f"{served.url}/readyz").json()
    assert waiting == {"status": "waiting", "missing": ["store"]}
    assert httpx.get(f"{served.url}/healthz").status_code == 200
    found = served.metrics()
    assert found["halfopen_store_readable"] == 0
    assert not any(name.startswith("halfopen_table") for name in found)


def test_a_stop_is_quick_and_quiet(served: Served) -> None:
    served.process.terminate()
    assert served.process.wait(10) == 0
    assert "Traceback" not in served.log.read_text()
