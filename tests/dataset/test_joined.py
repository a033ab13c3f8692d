"""A rotated capture is one capture: its files joined give what the whole would have given, and each counts once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from halfopen.testing.pcap import pcap, read_pcap
from tests.cli.conftest import Ran
from tests.dataset.conftest import MATRIX, PLACES, spread_bytes
from tests.dataset.test_ingest import classified, info, kept

Run = Callable[..., Ran]


@pytest.fixture(scope="module")
def rotated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """A capture, and the same in three files that end in the middle of connections."""
    directory = tmp_path_factory.mktemp("rotated")
    whole = directory / "whole.pcap"
    whole.write_bytes(spread_bytes(11, 3600))
    link, frames = read_pcap(whole.read_bytes())
    files = []
    for number, (begin, end) in enumerate(((0, 3), (3, 18), (18, len(frames)))):
        # As tcpdump -C names them: by name the last one comes first.
        files.append(directory / f"cut.pcap{'' if number == 2 else number + 1}")
        files[-1].write_bytes(pcap(frames[begin:end], link))
    return whole, files


def test_joined_files_give_what_the_whole_gives(
    halfopen: Run, rotated: tuple[Path, list[Path]], tmp_path: Path
) -> None:
    whole, files = rotated
    joined = halfopen(
        "ingest", "--data", tmp_path / "joined", "--joined", *reversed(files), "--places", PLACES
    )
    assert joined.code == 0
    assert joined.out.startswith("joined: 9 connections, 2025-")
    assert halfopen("ingest", "--data", tmp_path / "whole", whole, "--places", PLACES).code == 0
    assert len(classified(halfopen, *files)) < 9, "the cuts cost nothing"

    def plain(data: Path) -> list[dict[str, object]]:
        own = ("file", "incarnation", "ingested")
        return [{name: row[name] for name in row if name not in own} for row in kept(data)]

    assert plain(tmp_path / "joined") == plain(tmp_path / "whole")
    (record,) = info(halfopen, tmp_path / "joined")["files"]
    assert len(record["members"]) == 3
    assert {row["file"] for row in kept(tmp_path / "joined")} == {record["digest"]}
    again = halfopen("ingest", "--data", tmp_path / "joined", "--joined", *files, "--places", PLACES)
    assert "there already, 9 connections" in again.out


def test_a_file_is_in_one_capture_only(
    halfopen: Run, rotated: tuple[Path, list[Path]], tmp_path: Path
) -> None:
    _, (first, second, third) = rotated
    ingest = ("ingest", "--data", tmp_path)
    assert halfopen(*ingest, "--joined", first, second).code == 0
    rows = kept(tmp_path)
    (record,) = info(halfopen, tmp_path)["files"]
    for more in (
        (first,),
        ("--joined", second, third),
        ("--joined", first, second, third),
        (second, "--replace"),
    ):
        refused = halfopen(*ingest, *more)
        assert refused.code == 1
        assert f"is in the store in the joined capture {record['digest']} already" in refused.out
    assert halfopen(*ingest, third).code == 0
    refused = halfopen(*ingest, "--joined", third, MATRIX / "mirai.pcap")
    assert refused.code == 1
    assert "is in the store by itself already" in refused.out
    assert rows == [row for row in kept(tmp_path) if row["file"] == record["digest"]]


def test_joined_with_a_file_that_is_missing(
    halfopen: Run, rotated: tuple[Path, list[Path]], tmp_path: Path
) -> None:
    missing = tmp_path / "missing.pcap"
    done = halfopen("ingest", "--data", tmp_path, "--joined", *rotated[1], missing)
    assert done.code == 1
    assert f"{missing}: no such file" in done.err
    assert info(halfopen, tmp_path)["files"] == []


def test_a_joined_capture_is_moved_as_a_whole(
    halfopen: Run, rotated: tuple[Path, list[Path]], tmp_path: Path
) -> None:
    halfopen("ingest", "--data", tmp_path, "--joined", *rotated[1])
    before = kept(tmp_path)
    halfopen("ingest", "--data", tmp_path, "--joined", *rotated[1], "--shift-end", "now", "--replace")
    after = kept(tmp_path)
    assert len({new["start_ns"] - old["start_ns"] for old, new in zip(before, after, strict=True)}) == 1
