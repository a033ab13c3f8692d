"""Readers beside a writer and a compactor, and a writer that is killed: nothing lost, nothing doubled."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

from halfopen.store.query import Dimension, Filters
from halfopen.store.store import Store
from tests.house.project import ROOT
from tests.store.child import DIGEST, SENSORS, batch_rows, file_rows
from tests.store.rows import BEGIN, SPAN, counted

KILLS = int(os.environ.get("HALFOPEN_KILLS", "10"))
ALL = Filters(), BEGIN, BEGIN + SPAN


def child(verb: str, where: Path, number: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.store.child", verb, str(where), str(number)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_two_readers_beside_a_writer_and_a_compactor(tmp_path: Path) -> None:
    where = tmp_path / "store"
    writer = child("write", where, 0)
    assert writer.stdout is not None
    try:
        assert writer.stdout.readline() == "ready\n"
        readers = [child("read", where, 3) for _ in range(2)]
        for reader in readers:
            said, _ = reader.communicate(timeout=60)
            assert reader.returncode == 0
            reads, seen = map(int, said.split())
            assert reads > 5
            assert seen > 0
        assert writer.poll() is None
    finally:
        writer.kill()
        writer.communicate()


def test_killed_at_any_moment(tmp_path: Path) -> None:
    where = tmp_path / "store"
    Store(where, create=True).close()
    chance = random.Random()
    acknowledged = filed = 0
    for _ in range(KILLS):
        writer = child("write", where, acknowledged)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        time.sleep(chance.uniform(0, 0.7))
        writer.kill()
        said, _ = writer.communicate()
        for line in said.splitlines(keepends=True):
            if line.endswith("\n"):
                word, number = line.split()
                acknowledged, filed = (int(number), filed) if word == "held" else (acknowledged, int(number))
        acknowledged, filed = agree(where, acknowledged, filed)
    assert acknowledged >= KILLS // 2


def agree(where: Path, acknowledged: int, filed: int) -> tuple[int, int]:
    """Compare all there is, before and after the replay of the rollups; gives what the store holds."""
    store = Store(where, threads=1)
    assert days(store, 900) == days(store, 86400)
    committer = store.committer()
    committer.follow()
    reached = {sensor: committer.connections.transaction(f"sensor:{sensor}/one") for sensor in SENSORS}
    number = committer.connections.transaction(f"file:{DIGEST}")
    assert set(reached.values()) <= {acknowledged, acknowledged + 1}
    assert number in (filed, filed + 1)
    truth = [
        (sensor, each)
        for sensor in SENSORS
        for batch in range(1, reached[sensor] + 1)
        for each in batch_rows(sensor, batch)
    ]
    truth += [("lab", each) for each in file_rows(number)] if number else []
    rows = store.dataset.connections(*ALL, limit=1_000_000)
    assert sorted(rows["start_ns"].to_pylist()) == sorted(each["start_ns"] for _, each in truth)
    for step in (900, 86400):
        for by in (Dimension.stage, Dimension.asn):  # of the world, and of its networks
            assert store.dataset.counts(*ALL, step, by) == counted(truth, *ALL, step, by)
    store.close()
    return reached["lyon"], number


def days(store: Store, step: int) -> dict[tuple[int, str], tuple[int, float]]:
    sums: dict[tuple[int, str], tuple[int, float]] = {}
    for cell in store.dataset.counts(*ALL, step):
        key = cell.bucket - cell.bucket % 86400, cell.key
        connections, weight = sums.get(key, (0, 0.0))
        sums[key] = connections + cell.connections, weight + cell.weight
    return sums
