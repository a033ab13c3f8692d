"""A server with live sensors, ingestion and upkeep at once on one dataset: each by turns, nothing lost or doubled."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from halfopen.store.lease import myself
from halfopen.store.query import Dimension, Filters
from halfopen.store.store import Store
from tests.cli.conftest import capture_bytes, spawned
from tests.remote.conftest import Serving, serving
from tests.remote.test_batches import RECENT, body, post, row

BATCHES = 6
ROWS = 5
OF_A_CAPTURE = 6


def captures(folder: Path, count: int) -> list[Path]:
    paths = [folder / f"{number}.pcap" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(capture_bytes(number))
    return paths


def deliver(server: Serving, sensor: str) -> None:
    """All batches of a sensor; as long as one is not taken it is sent again."""
    for number in range(1, BATCHES + 1):
        rows = [row(RECENT + number, client_port=port) for port in range(ROWS)]
        while (answer := post(server, body(rows), number, sensor, sensor)).status_code == 503:
            assert answer.headers["retry-after"] == "10"
            time.sleep(0.2)
        assert answer.json()["result"]["expected"] == number + 1, answer.text


def test_all_at_once(tmp_path: Path, where: str) -> None:
    files = captures(tmp_path, 3)
    verbs = [("ingest", *files), ("ingest", *files), ("store", "compact"), ("store", "prune")]
    with serving(tmp_path / "data", "--store", where) as server, ThreadPoolExecutor() as pool:
        sensors = [pool.submit(deliver, server, name) for name in ("web-1", "web-2")]
        ran = pool.map(lambda verb: spawned(*verb, "--data", server.data, "--store", where), verbs)
        for each in ran:
            assert each.code == 0, each.err
        for sensor in sensors:
            sensor.result()
    with closing(Store(where, threads=1)) as store:
        store.committer().follow()
        truth = {"web-1": BATCHES * ROWS, "web-2": BATCHES * ROWS, "captures": 3 * OF_A_CAPTURE}
        found: Counter[str] = Counter()
        for batch in store.dataset.stream(None, None):
            found.update(batch["sensor"].to_pylist())
        assert found == truth
        for step in (900, 86400):
            cells = store.dataset.now().counts(Filters(), 0, 2**32 - 2**32 % 86400, step, Dimension.sensor)
            assert sum(cell.connections for cell in cells) == sum(truth.values())


def test_an_ingestion_says_for_whom_it_waits(tmp_path: Path) -> None:
    (path,) = captures(tmp_path, 1)
    with closing(Store(tmp_path / "store", create=True)) as store:
        with store.committer().lock:
            process = subprocess.Popen(
                [sys.executable, "-m", "halfopen", "ingest", "--data", str(tmp_path), str(path)],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            assert process.stderr is not None
            assert (
                process.stderr.readline()
                == f"halfopen: waiting for {myself()}, which commits to the dataset\n"
            )
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
        assert out.startswith(f"{path}: {OF_A_CAPTURE} connections, 2025-")
        assert store.info().tables[0].rows == OF_A_CAPTURE


def test_a_batch_waits_for_a_while(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "store", create=True)) as store, serving(tmp_path) as server:
        lock = store.committer().lock
        with lock:
            answer = post(server, body([row(RECENT)]))
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "10"
            assert "another process commits to it" in answer.json()["errors"][0]["message"]
        with ThreadPoolExecutor() as pool:
            with lock:
                waiting = pool.submit(post, server, body([row(RECENT)]))
                time.sleep(0.5)
                assert not waiting.done()
            assert waiting.result().json()["result"] == {"held": True, "taken": True, "expected": 2}
