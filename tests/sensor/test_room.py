"""A spool without room, on a disk that is full, and with files that are damaged: what is lost is counted and told."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from halfopen.sensor.batch_file import rows_of
from halfopen.sensor.spool import Spool, Spooled
from tests.conftest import allow
from tests.house.project import ROOT
from tests.sensor.rows import connections, numbers_of
from tests.store.rows import BEGIN

Log = pytest.LogCaptureFixture


def put(spool: Spool, number: int, since: int | None = None, until: int | None = None) -> bool:
    """Ten connections, the first of this number."""
    now = BEGIN + number
    rows = connections(range(number, number + 10), now - 5)
    return spool.put(rows, now, since=since, until=until, drops=number)


def drained(spool: Spool) -> list[Spooled]:
    found = []
    while (batch := spool.first()) is not None:
        found.append(batch)
        spool.forget(batch)
    return found


def firsts(batches: list[Spooled]) -> list[int]:
    return [(numbers_of(rows_of(batch.stream)) or [-1])[0] for batch in batches]


def test_a_pause_is_told_once_even_in_pieces(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "web-1")
    assert put(spool, 0, since=BEGIN)
    assert put(spool, 10, since=BEGIN + 400, until=BEGIN + 390)
    first = spool.first()
    assert first is not None
    spool.forget(first)
    second = spool.first()
    assert second is not None
    assert (second.since, second.until, second.watermark) == (BEGIN + 400, BEGIN + 390, BEGIN + 10)
    assert spool.split(second)
    left = drained(spool)
    assert [(each.since, each.until) for each in left] == [(BEGIN + 400, BEGIN + 390), (None, None)]
    assert [each.watermark for each in left] == [BEGIN, BEGIN + 10]


def test_a_full_spool_takes_no_more_and_tells_of_it_when_it_has_room(tmp_path: Path, caplog: Log) -> None:
    caplog.set_level(logging.INFO, "halfopen.sensor")
    spool = Spool(tmp_path / "web-1", most=4 * 8192)
    assert [put(spool, 10 * number, since=None if number else BEGIN) for number in range(8)] == [True] * 4 + [
        False
    ] * 4
    assert (spool.spooled, spool.lost, spool.waits) == (40, 40, 4)
    assert "full, 32,768 bytes of 32,768" in spool.trouble
    batch = spool.first()
    assert batch is not None
    spool.forget(batch)
    assert put(spool, 80)
    assert spool.trouble == ""
    assert put(spool, 90) is False
    left = drained(spool)
    assert firsts(left) == [10, 20, 30, 80]
    assert [each.since for each in left] == [None, None, None, BEGIN + 70]
    assert left[-1].watermark == BEGIN + 80
    spool.close()
    assert [(record.levelname, "full, " in record.message, "40 connections were lost" in record.message) for record in caplog.records] == [
        ("ERROR", True, False), ("WARNING", False, True), ("ERROR", True, False),
    ]  # fmt: skip


def test_an_empty_batch_without_room_is_no_loss(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "web-1", most=8192)
    assert put(spool, 0, since=BEGIN)
    assert spool.put(connections([], 0), BEGIN + 10) is False
    assert spool.lost == 0
    drained(spool)
    assert put(spool, 20)
    (batch,) = drained(spool)
    assert batch.since is None
    spool.close()


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    mounted = ["unshare", "-m", "sh", "-c", f'mount -t tmpfs -o size=1m none {tmp_path} && exec "$@"', "sh"]
    able = (
        shutil.which("unshare") is not None
        and subprocess.run([*mounted, "true"], capture_output=True).returncode == 0
    )
    allow(able, "to mount a file system")
    ran = subprocess.run(
        [*mounted, sys.executable, "-m", "tests.sensor.small_disk", str(tmp_path)],
        cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["trouble"] == "No space left on device"
    delivered = found["delivered"]
    assert len(delivered) == len(set(delivered)) == found["spooled"]
    assert set(found["acknowledged"]) <= set(delivered)
    assert found["lost"] == 500
    assert found["gaps"] == [BEGIN, found["end"] - 10]


def holding(tmp_path: Path, *numbers: int) -> Path:
    """The directory of a spool that holds batches."""
    spool = Spool(tmp_path / "web-1")
    for number in numbers:
        assert put(spool, number, since=None if number else BEGIN)
    spool.close()
    return spool.directory


@pytest.mark.parametrize("at", [0, 200, -200])
@pytest.mark.parametrize("how", ["cut", "changed", "gone"])
def test_a_damaged_batch_is_a_gap(tmp_path: Path, at: int, how: str, caplog: Log) -> None:
    directory = holding(tmp_path, 0, 10, 20, 30)
    path = directory / "000000000002.batch"
    content = bytearray(path.read_bytes())
    if how == "cut":
        path.write_bytes(content[:at])
    elif how == "changed":
        content[at] ^= 0xFF
        path.write_bytes(content)
    else:
        path.unlink()
    spool = Spool(directory)
    found = drained(spool)
    assert firsts(found) == [0, -1, 20, 30]
    assert [batch.sequence for batch in found] == [1, 2, 3, 4]
    assert (found[1].since, found[1].watermark, found[1].drops) == (BEGIN + 20, BEGIN + 20, 20)
    assert spool.damaged == 1
    assert "batch 2 is damaged" in caplog.text
    assert (directory / "000000000002.damaged").exists() is (how != "gone")
    spool.close()


def test_the_last_one_is_damaged(tmp_path: Path) -> None:
    directory = holding(tmp_path, 0, 10)
    (directory / "000000000002.batch").write_bytes(b"")
    spool = Spool(directory)
    assert put(spool, 20, since=BEGIN + 15)
    found = drained(spool)
    assert firsts(found) == [0, -1, 20]
    assert found[1].since == BEGIN + 20
    spool.close()


def test_numbers_go_on_and_are_never_used_twice(tmp_path: Path) -> None:
    directory = holding(tmp_path, 0, 10)
    spool = Spool(directory)
    first = drained(spool)
    spool.close()
    spool = Spool(directory)
    assert put(spool, 20)
    (third,) = drained(spool)
    assert (third.sequence, third.incarnation) == (3, first[0].incarnation)
    assert third.since is None
    spool.close()


@pytest.mark.parametrize("damaged", ["held", "incarnation", "held gone", "incarnation gone", "both gone"])
def test_an_empty_spool_whose_state_is_lost_begins_anew(tmp_path: Path, damaged: str) -> None:
    directory = holding(tmp_path, 0)
    spool = Spool(directory)
    (before,) = drained(spool)
    spool.close()
    name, _, gone = damaged.partition(" ")
    for path in [directory / each for each in (("held", "incarnation") if name == "both" else (name,))]:
        if gone:
            path.unlink()
        else:
            path.write_bytes(b"{}")
    spool = Spool(directory)
    assert put(spool, 10, since=BEGIN + 5)
    (after,) = drained(spool)
    assert (after.sequence, after.since) == (1, BEGIN + 5)
    assert after.incarnation != before.incarnation
    spool.close()


@pytest.mark.parametrize("damaged", ["held", "incarnation"])
def test_batches_outlive_a_state_that_is_lost(tmp_path: Path, damaged: str) -> None:
    directory = holding(tmp_path, 0, 10, 20)
    spool = Spool(directory)
    batch = spool.first()
    assert batch is not None
    spool.forget(batch)
    spool.close()
    (directory / damaged).write_bytes(b"")
    spool = Spool(directory)
    found = drained(spool)
    assert firsts(found) == [10, 20]
    assert [each.sequence for each in found] == ([2, 3] if damaged == "held" else [1, 2])
    spool.close()
