"""What `store forget` takes out is gone, from every file once the old ones left the disk, and nothing else changes."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from halfopen.radar.windows import stamp
from halfopen.store.committer import Batch
from halfopen.store.store import Store
from halfopen.store.upkeep import Upkeep
from tests.cli.conftest import Ran
from tests.dataset import reference
from tests.dataset.conftest import PLACES
from tests.dataset.reference import DAY, everything
from tests.dataset.test_ingest import SPAN, classified, info, kept, told
from tests.dataset.test_ingest import small as small
from tests.dataset.test_joined import rotated as rotated
from tests.store.rows import BEGIN, row, table

Run = Callable[..., Ran]


@pytest.fixture
def other(tmp_path: Path, small: Path) -> Path:
    """Another capture of the same time, of five of the connections."""
    path = tmp_path / "other.pcap"
    path.write_bytes(small.read_bytes()[:1500])
    return path


def vacuum(data: Path) -> None:
    """What upkeep does a day later."""
    with closing(Store(data / "store")) as store:
        Upkeep(store.committer()).vacuum(0)


def on_disk(data: Path) -> list[dict[str, Any]]:
    """The rows of all files of connections, those that left the table, too."""
    files = (data / "store" / "connections").rglob("*.parquet")
    data_files = [file for file in files if "_delta_log" not in file.parts]
    return [row for file in data_files for row in pyarrow.parquet.ParquetFile(file).read().to_pylist()]


def test_a_capture_is_taken_out(halfopen: Run, small: Path, other: Path, tmp_path: Path) -> None:
    data = ("--data", tmp_path / "data")
    assert halfopen("ingest", small, *data, "--places", PLACES, "--shift-end", "now").code == 0
    assert halfopen("ingest", small, *data, "--places", PLACES, "--replace").code == 0
    assert halfopen("ingest", other, *data, "--places", PLACES).code == 0
    halfopen("store", "compact", *data)  # rows of both in one file
    rows = classified(halfopen, other)
    assert 0 < len(rows) < 9
    first, second = (file["digest"] for file in info(halfopen, data[1])["files"])
    done = halfopen("store", "forget", "--capture", small, *data)
    assert (done.code, done.out) == (0, f"capture {first}: 9 connections taken out\n")
    assert [file["digest"] for file in info(halfopen, data[1])["files"]] == [second]
    assert {row["file"] for row in kept(data[1])} == {second}
    for token in ("1h", "1d"):
        series = told(data[1], ("aggInterval", token), path="timeseries_groups")
        assert series == reference.series(rows, everything, *SPAN, token, SPAN[1] + DAY)
    assert first in {row["file"] for row in on_disk(data[1])}
    vacuum(data[1])
    assert {row["file"] for row in on_disk(data[1])} == {second}
    assert halfopen("store", "forget", "--capture", first, *data).code == 1
    assert halfopen("store", "forget", "--capture", second, *data).code == 0
    assert kept(data[1]) == []
    assert "9 connections" in halfopen("ingest", small, *data).out


def test_the_annotation_of_a_capture_goes_with_it(halfopen: Run, small: Path, tmp_path: Path) -> None:
    halfopen("ingest", small, "--data", tmp_path, "--shift-end", "now")
    assert "was moved" in halfopen("annotate", "--list", "--data", tmp_path).out
    halfopen("store", "forget", "--capture", small, "--data", tmp_path)
    assert "was moved" not in halfopen("annotate", "--list", "--data", tmp_path).out


def test_a_file_of_a_joined_capture_is_no_capture(
    halfopen: Run, rotated: tuple[Path, list[Path]], tmp_path: Path
) -> None:
    data = ("--data", tmp_path)
    halfopen("ingest", "--joined", *rotated[1], *data)
    (record,) = info(halfopen, tmp_path)["files"]
    refused = halfopen("store", "forget", "--capture", rotated[1][0], *data)
    assert refused.code == 1
    assert f"in the joined capture {record['digest']}" in refused.err
    assert halfopen("store", "forget", "--capture", record["digest"], *data).code == 0
    assert "connections" in halfopen("ingest", rotated[1][0], *data).out


@pytest.mark.parametrize("how", ["full", "hash"])
def test_a_client_is_taken_out(halfopen: Run, small: Path, tmp_path: Path, how: str) -> None:
    data = ("--data", tmp_path)
    options = ("--keep-clients", how, "--keep-names", "full", "--places", PLACES)
    assert halfopen("ingest", small, *data, *options).code == 0
    address = json.loads(halfopen("classify", small, "--format", "ndjson").out.splitlines()[0])["client"]
    before, answer = kept(tmp_path), told(tmp_path)
    halfopen("ingest", small, "--data", tmp_path / "full", "--keep-clients", "full")
    hers = [each["start_ns"] for each in kept(tmp_path / "full") if each["client"] == address]
    assert 0 < len(hers) < 9
    done = halfopen("store", "forget", "--client", address, *data)
    assert (done.code, done.out) == (0, f"address and names taken out of {len(hers):,} connections\n")
    gone = {"client": None, "trigger": None}
    assert kept(tmp_path) == [each | gone if each["start_ns"] in hers else each for each in before]
    assert told(tmp_path) == answer
    vacuum(tmp_path)
    names = {each["client"] for each in before if each["start_ns"] in hers}
    assert not names & {each["client"] for each in on_disk(tmp_path)}
    again = halfopen("store", "forget", "--client", address, *data)
    assert "of 0 connections" in again.out
    network = address.rpartition(".")[0] + ".0"
    assert f"one of {network}/24: --client {network} takes all of them out" in again.err
    # The capture is whole as before: it can be replaced and taken out.
    assert halfopen("ingest", small, *data, "--replace").code == 0
    assert halfopen("store", "forget", "--capture", small, *data).code == 0


def test_a_sensor_is_missed_no_longer(halfopen: Run, tmp_path: Path) -> None:
    with closing(Store(tmp_path / "store", create=True)) as store:
        committer = store.committer()
        committer.commit([Batch("web-1", "one", 1, BEGIN + 900, table([row(BEGIN)]))])
        committer.follow()
        assert store.dataset.now().gaps(BEGIN, BEGIN + DAY)
        assert "web-2" in halfopen("store", "forget", "--sensor", "web-2", "--data", tmp_path).err
        done = halfopen("store", "forget", "--sensor", "web-1", "--data", tmp_path)
        assert (done.code, done.out) == (0, "sensor web-1 is missed no longer\n")
        assert not store.dataset.now().gaps(BEGIN, BEGIN + DAY)
    assert len(kept(tmp_path)) == 1


def test_what_went_by_retention_cannot_be_taken_out(halfopen: Run, small: Path, tmp_path: Path) -> None:
    halfopen("ingest", small, "--data", tmp_path)
    with closing(Store(tmp_path / "store")) as store:
        upkeep = Upkeep(store.committer())
        assert upkeep.prune(-1, DAY).pruned == 9
    done = halfopen("store", "forget", "--capture", small, "--data", tmp_path)
    assert done.code == 1
    assert "gone by retention" in done.err
    assert re.search(
        r": 0 connections, 9 more gone by age, as captures, ingested 2",
        halfopen("store", "info", "--data", tmp_path).out,
    )


def test_captures_are_told_by_their_times(halfopen: Run, small: Path, tmp_path: Path) -> None:
    halfopen("ingest", small, "--data", tmp_path, "--sensor", "edge")
    times = sorted(each["start_ns"] // 10**9 for each in kept(tmp_path))
    span = f"9 connections of {stamp(times[0])} to {stamp(times[-1])}, as edge, ingested {stamp(int(time.time()))[:10]}"
    assert span in halfopen("store", "info", "--data", tmp_path).out
    (file,) = info(halfopen, tmp_path)["files"]
    assert file["held"] == {"connections": 9, "first": times[0], "last": times[-1]}


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        ((), "--capture"),
        (("--client", "here"), "here"),
        (("--capture", "/nonexistent.pcap"), "/nonexistent.pcap"),
        (("--sensor", "a", "--client", "192.0.2.1"), "not allowed with"),
    ],
)
def test_what_cannot_be_taken_out(halfopen: Run, tmp_path: Path, argv: tuple[str, ...], named: str) -> None:
    Store(tmp_path / "store", create=True).close()
    done = halfopen("store", "forget", *argv, "--data", tmp_path)
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert named in done.err
