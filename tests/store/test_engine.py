"""The engine asked by many threads at once, while its databases come and go."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from halfopen.store import engine
from halfopen.store.engine import Engine

MANY = 12
"""More threads than may ask at a time."""


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    paths = [str(tmp_path / f"{number}.parquet") for number in range(MANY)]
    for number, path in enumerate(paths):
        pq.write_table(pa.table({"x": [number] * 10}), path)
    return paths


def answers(asked: Engine, files: list[str]) -> list[int]:
    def ask(path: str) -> int:
        return int(asked.columns("SELECT sum(x) AS total FROM {rows}", {"rows": [path]})["total"][0])

    with ThreadPoolExecutor(MANY) as pool:
        return list(pool.map(ask, chain.from_iterable(repeat(files, 10))))


def test_more_threads_than_cursors(files: list[str]) -> None:
    asked = Engine(threads=1)
    assert answers(asked, files) == [10 * number for number in range(MANY)] * 10
    asked.close()


def test_its_database_is_opened_anew_once_it_knows_too_many_files(
    files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    connect = duckdb.connect

    def counted(*args: Any, **options: Any) -> object:
        opened.append(1)
        return connect(*args, **options)

    monkeypatch.setattr(engine, "_METADATA", 1)
    monkeypatch.setattr(engine, "_LOOK", 7)
    monkeypatch.setattr(duckdb, "connect", counted)
    asked = Engine(threads=1)
    assert answers(asked, files) == [10 * number for number in range(MANY)] * 10
    assert len(opened) > 2
    asked.close()


def test_a_question_that_fails_stops_no_other(files: list[str]) -> None:
    asked = Engine(threads=1)
    for _ in range(MANY):
        with pytest.raises(duckdb.Error):
            asked.columns("SELECT nothing FROM {rows}", {"rows": files})
    assert answers(asked, files) == [10 * number for number in range(MANY)] * 10
    asked.close()


@pytest.mark.parametrize("how", ["ask", "columns"])
def test_ctrl_c_ends_a_question_as_it_ends_all_else(how: str) -> None:
    endless = "SELECT sum(a.range * b.range) AS x FROM range(10000000) a, range(10000000) b"
    program = f"""
import os, signal, threading
from halfopen.store.engine import Engine

asked = Engine(threads=1)
threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    asked.{how}("{endless}", {{}})
except KeyboardInterrupt:
    print(asked.columns("SELECT 7 AS x", {{}})["x"][0])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("7\n", "")
