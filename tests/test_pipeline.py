"""From captures to judged connections, whatever the threads do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from halfopen import pipeline
from halfopen.capture.source import open_captures
from halfopen.connections.limits import Limits
from halfopen.model import CONNECTION, Counter
from halfopen.pipeline import Judge, Judged
from tests.cli.conftest import capture_bytes

Rows = tuple[str, list[tuple[object, ...]]]


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("captures")
    for number in range(5):
        (directory / f"{number}.pcap").write_bytes(capture_bytes(number, 20))
    (directory / "5.pcap").write_bytes(capture_bytes(5)[:-9])
    return directory


def judged(paths: list[Path], jobs: int, left_out: bool = False) -> tuple[list[Rows], Judge]:
    def copied(batches: Iterator[Judged]) -> Iterator[Rows]:
        return ((batch.file, batch.rows.tolist()) for batch in batches)

    judge = Judge(Limits(), jobs=jobs, left_out=left_out)
    return list(judge.run(open_captures(list(map(str, paths))), copied)), judge


def test_threads_change_nothing(captures: Path) -> None:
    alone, first = judged([captures], 1)
    for jobs in (2, 3, 8):
        beside, judge = judged([captures], jobs)
        assert beside == alone
        assert judge.account.about() == first.account.about()


def test_a_capture_read_ahead_is_the_same_capture(captures: Path) -> None:
    paths = [captures / "0.pcap"]
    assert judged(paths, 2)[0] == judged(paths, 1)[0]


def test_counters_are_summed_and_problems_collected(captures: Path) -> None:
    _, judge = judged([captures], 2)
    account = judge.account
    assert account.captures == account.readable == 6
    assert account.counters[Counter.connections] == 5 * 21 + 6
    assert [Path(problem.file).name for problem in account.problems] == ["5.pcap"]


def test_connections_without_a_stage_are_handed_on_if_asked(captures: Path) -> None:
    def left_out(batches: list[Rows]) -> int:
        place = list(CONNECTION.names or ()).index("left_out")
        return sum(1 for _, rows in batches for row in rows if row[place])

    assert left_out(judged([captures], 1)[0]) == 0
    rows, judge = judged([captures], 1, left_out=True)
    assert left_out(rows) == judge.account.counters[Counter.undecided] > 0


@pytest.fixture
def _parted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every capture is large."""
    monkeypatch.setattr(pipeline, "LARGE", 1)


def flat(batches: list[Rows]) -> list[tuple[object, ...]]:
    """All rows, sorted, without where their names lie."""
    place = list(CONNECTION.names or ()).index("name_offset")
    return sorted((file, *row[:place], *row[place + 1 :]) for file, rows in batches for row in rows)


@pytest.mark.usefixtures("_parted")
def test_threads_change_nothing_where_the_table_is_parted(captures: Path) -> None:
    alone, first = judged([captures / "0.pcap"], 1)
    assert len(alone) > 1
    for jobs in (2, 3):
        beside, judge = judged([captures / "0.pcap"], jobs)
        assert beside == alone
        assert judge.account.about() == first.account.about()


def test_parting_the_table_changes_the_order_alone(captures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, first = judged([captures / "0.pcap"], 1, left_out=True)
    monkeypatch.setattr(pipeline, "LARGE", 1)
    parted, judge = judged([captures / "0.pcap"], 1, left_out=True)
    assert flat(parted) == flat(whole)
    assert len(parted) > len(whole)
    assert judge.account.about() == first.account.about()


def test_the_order_of_a_parted_table_is_the_same_in_every_run(captures: Path) -> None:
    program = """
import sys
from halfopen import pipeline
from halfopen.cli.main import main
pipeline.LARGE = 1
sys.exit(main(["classify", sys.argv[1], "--format", "ndjson"]))
"""
    said = {
        subprocess.run(
            [sys.executable, "-c", program, captures / "0.pcap"],
            env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(said) == 1


def test_a_small_limit_is_kept_by_one_table(captures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def evicted() -> int:
        judge = Judge(Limits(max_connections=7), jobs=2)
        files = open_captures([str(captures / "0.pcap")])
        assert sum(judge.run(files, lambda batches: (len(batch.rows) for batch in batches)))
        return int(judge.account.counters[Counter.evicted])

    alone = evicted()
    monkeypatch.setattr(pipeline, "LARGE", 1)
    assert evicted() == alone > 0
