"""`halfopen export`: what goes in comes out, in the span asked for, and nothing half."""

from __future__ import annotations

import csv
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pyarrow.parquet
import pytest

from halfopen.model import SECOND
from halfopen.store.committer import Batch
from halfopen.store.store import Store
from halfopen.store.told import TOLD
from tests.cli.conftest import Ran
from tests.store.rows import BEGIN, row, table

Run = Callable[..., Ran]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with closing(Store(tmp_path / "store", create=True)) as store:
        committer = store.committer()
        rows = [row(BEGIN + 450 * index, client_port=index) for index in range(400)]  # two days
        committer.commit([Batch("web-1", "one", 1, BEGIN, table(rows[::2]), rate=0.5)])
        committer.commit([Batch("web-1", "one", 2, BEGIN, table(rows[1::2]))])
    return tmp_path


def ports(path: Path) -> list[int]:
    return sorted(pyarrow.parquet.read_table(path)["client_port"].to_pylist())


def test_everything_as_parquet(data: Path, halfopen: Run) -> None:
    out = data / "all.parquet"
    ran = halfopen("export", "--data", data, "-o", out)
    assert (ran.code, ran.out, ran.err) == (0, "", "halfopen: 400 connections\n")
    found = pyarrow.parquet.read_table(out)
    assert found.schema.remove_metadata() == TOLD
    days = [each // (86400 * SECOND) for each in found["start"].cast("int64").to_pylist()]
    assert days == sorted(days)
    assert ports(out) == list(range(400))


def test_csv_has_the_same_rows(data: Path, halfopen: Run) -> None:
    out = data / "all.csv"
    assert halfopen("export", "--data", data, "-o", out).code == 0
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(int(each["client_port"]) for each in rows) == list(range(400))
    assert rows[0].keys() >= {"evidence_left_out", "trigger_name", "sensor", "weight"}
    assert rows[0]["tags"] == "timeout"


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (0, 3600, range(0, 8)),
        (899, 1801, range(0, 4)),  # floored
        (86400 - 900, 86400 + 900, range(190, 194)),
        (None, 900, range(0, 2)),
        (398 * 450, None, range(398, 400)),
        (40 * 86400, None, range(0)),
    ],
)
def test_a_span(data: Path, halfopen: Run, first: int | None, last: int | None, expected: range) -> None:
    out = data / "span.parquet"
    span: list[str] = []
    for name, at in (("--from", first), ("--to", last)):
        if at is not None:
            span += [name, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(BEGIN + at))]
    assert halfopen("export", "--data", data, "-o", out, *span).code == 0
    assert ports(out) == list(expected)


def test_it_needs_no_lease(data: Path, halfopen: Run) -> None:
    with closing(Store(data / "store")) as store, store.committer().lock:
        assert halfopen("export", "--data", data, "-o", data / "x.parquet").code == 0


def test_a_broken_store_leaves_what_stood_there(data: Path, halfopen: Run) -> None:
    out = data / "kept.csv"
    out.write_text("before")
    last = max((data / "store" / "connections").glob("day=*"))
    for file in last.glob("*.parquet"):
        file.write_bytes(b"damaged")
    ran = halfopen("export", "--data", data, "-o", out)
    assert ran.code == 1
    assert ran.err.count("\n") == 1, ran.err
    assert out.read_text() == "before"
    assert not list(data.glob(".*.part"))


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["-o", "x.txt"], "-o: x.txt cannot be used; accepted: a name that ends in .parquet or .csv"),
        (["-o", "x.csv", "--from", "soon"], "--from: soon"),
        (
            ["-o", "x.csv", "--from", "2026-01-02", "--to", "2026-01-02T00:14"],
            "--to: 2026-01-02T00:00:00Z cannot be used; accepted: a time after --from (2026-01-02T00:00:00Z)",
        ),
    ],
)
def test_what_cannot_be_used(data: Path, halfopen: Run, argv: list[str], words: str) -> None:
    ran = halfopen("export", "--data", data, *argv)
    assert ran.code == 2
    assert words in ran.err


def test_no_store_is_made(tmp_path: Path, halfopen: Run) -> None:
    for verb in (("export", "-o", tmp_path / "x.csv"), ("store", "info"), ("store", "prune")):
        ran = halfopen(*verb, "--data", tmp_path / "data")
        assert ran.code == 1
        assert "nothing was ingested yet (halfopen ingest FILE)" in ran.err
        assert not list(tmp_path.iterdir())


UNREADABLE = """
import os, sys
from halfopen.errors import StoreError
from halfopen.store.store import Store

Store(sys.argv[1] + "/store").close()
os.chmod(sys.argv[1], 0)
if not os.geteuid():
    os.seteuid(65534)  # nothing is forbidden to root
try:
    Store(sys.argv[1] + "/store")
except StoreError as error:
    print(error)
"""


def test_a_store_that_may_not_be_read_says_so(data: Path) -> None:
    try:
        done = subprocess.run(
            [sys.executable, "-c", UNREADABLE, str(data)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        data.chmod(0o700)
    assert done.stdout == f"{data}/store/connections: Permission denied\n", done.stderr
