"""From arguments to captures: files, patterns, directories, standard input, compression, joining."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
import zstandard

from halfopen.capture.link_names import link_name
from halfopen.capture.source import Capture, open_captures
from halfopen.errors import UsageError
from halfopen.model import Batch, Counter
from tests.capture.layers import enhanced, ethernet, interface, ipv4, pcap, record, section, tcp

FRAME = ethernet(ipv4(tcp(b"x")))
ONE = pcap(record(1, FRAME))


def packets(capture: Capture) -> int:
    """Read a capture to its end; its packets."""
    rows = sum(len(batch.rows) for batch in capture.batches())
    assert rows == capture.counters[Counter.tcp]
    return int(capture.counters[Counter.packets])


def problem(capture: Capture) -> tuple[int, str]:
    (damage,) = capture.problems
    assert damage.file == capture.name
    return damage.offset, damage.expected


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Captures and other files in a tree of directories."""
    for name, data in {
        "b.pcap": ONE,
        "a.bin": section() + interface() + enhanced(1, FRAME),
        "notes.txt": b"not a capture",
        "empty.pcap": b"",
        "sub/c.pcap.gz": gzip.compress(ONE),
        "sub/d.zst": zstandard.compress(ONE),
        "sub/other.gz": gzip.compress(b"not a capture"),
        "sub/cut.gz": gzip.compress(ONE)[:5],
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return tmp_path


def names(arguments: list[str], root: Path) -> list[str]:
    return [str(Path(capture.name).relative_to(root)) for capture in open_captures(arguments)]


def test_a_directory_means_the_captures_in_it_by_their_content(tree: Path) -> None:
    assert names([str(tree)], tree) == ["a.bin", "b.pcap", "sub/c.pcap.gz", "sub/d.zst"]
    captures = open_captures([str(tree)])
    assert [packets(capture) for capture in captures] == [1, 1, 1, 1]
    assert not any(capture.problems for capture in captures)


def test_patterns_and_paths_in_the_order_given(tree: Path) -> None:
    assert names([f"{tree}/b*", str(tree / "a.bin")], tree) == ["b.pcap", "a.bin"]
    assert names([f"{tree}/**/*.gz"], tree) == ["sub/c.pcap.gz", "sub/cut.gz", "sub/other.gz"]
    assert names([f"{tree}/s*"], tree) == ["sub/c.pcap.gz", "sub/d.zst"]


def test_a_file_with_the_letters_of_a_pattern_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "[1].pcap").write_bytes(ONE)
    assert names([str(tmp_path / "[1].pcap")], tmp_path) == ["[1].pcap"]


@pytest.mark.parametrize(
    ("argument", "why"),
    [
        ("nowhere.pcap", "no such file"),
        ("nothing*.pcap", "matches nothing"),
        ("nothing", "no capture in this directory"),
        ("x" * 300, "cannot be read: File name too long"),
    ],
)
def test_an_argument_that_means_no_file(argument: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    path = str(tmp_path / argument)
    (capture,) = open_captures([path])
    assert packets(capture) == 0
    assert [str(each) for each in capture.problems] == [f"{path}: {why}"]
    assert not capture.readable


def test_what_is_named_is_reported_where_a_walk_would_pass_it_over(tree: Path) -> None:
    captures = open_captures([str(tree / name) for name in ("notes.txt", "empty.pcap", "sub/other.gz")])
    assert [packets(capture) for capture in captures] == [0, 0, 0]
    offsets, texts = zip(*map(problem, captures), strict=True)
    assert offsets == (0, 0, 0)
    assert "pcap or pcapng" in texts[0]
    assert "empty" in texts[1]
    assert "pcap or pcapng" in texts[2]


def test_a_file_that_cannot_be_opened_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    (capture,) = open_captures([str(tmp_path / "dangling")])
    assert packets(capture) == 0
    assert "no such file" in problem(capture)[1]


def test_standard_input() -> None:
    read, write = os.pipe()
    os.write(write, gzip.compress(ONE))
    os.close(write)
    kept = os.dup(0)
    os.dup2(read, 0)
    try:
        (capture,) = open_captures(["-"])
        assert capture.progress == (0, None)
        assert (capture.name, packets(capture), capture.problems) == ("-", 1, [])
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        os.close(read)


def test_progress_counts_the_bytes_of_the_file(tree: Path) -> None:
    (capture,) = open_captures([str(tree / "sub/c.pcap.gz")])
    size = (tree / "sub/c.pcap.gz").stat().st_size
    assert capture.progress == (0, size)
    packets(capture)
    assert capture.progress == (size, size)


def rotated(directory: Path) -> list[str]:
    """Three files of one capture whose names are not in the order of time."""
    for name, ts in (("x1", 30), ("x2", 10), ("x3", 20)):
        (directory / name).write_bytes(pcap(record(ts, FRAME), record(ts + 5, FRAME)))
    return [str(directory / name) for name in ("x1", "x2", "x3")]


def test_files_joined_are_one_capture_in_the_order_of_time(tmp_path: Path) -> None:
    (capture,) = open_captures(rotated(tmp_path), joined=True)
    times = [int(ts) for batch in capture.batches() for ts in batch.rows["ts"]]
    assert times == [10**9 * second for second in (10, 15, 20, 25, 30, 35)]
    assert (capture.name, capture.clock, capture.problems) == ("joined", 35 * 10**9, [])
    assert capture.progress[0] == capture.progress[1]


def test_files_by_themselves_know_nothing_of_each_other(tmp_path: Path) -> None:
    captures = open_captures(rotated(tmp_path))
    assert [packets(capture) for capture in captures] == [2, 2, 2]
    assert [capture.clock // 10**9 for capture in captures] == [35, 15, 25]


def test_a_damaged_file_does_not_stop_those_joined_to_it(tmp_path: Path) -> None:
    files = rotated(tmp_path)
    Path(files[2]).write_bytes(Path(files[2]).read_bytes()[:-1])
    Path(tmp_path / "empty").write_bytes(b"")
    (capture,) = open_captures([*files, str(tmp_path / "empty")], joined=True)
    assert packets(capture) == 5
    assert [Path(damage.file).name for damage in capture.problems] == ["x3", "empty"]


def test_the_first_time_counts_even_of_a_packet_that_is_not_used(tmp_path: Path) -> None:
    arp = ethernet(bytes(28), 0x0806)
    (tmp_path / "late").write_bytes(pcap(record(20, FRAME)))
    (tmp_path / "soon").write_bytes(pcap(record(10, arp), record(31, FRAME)))
    (capture,) = open_captures([str(tmp_path / "late"), str(tmp_path / "soon")], joined=True)
    assert [int(ts) // 10**9 for batch in capture.batches() for ts in batch.rows["ts"]] == [31, 31, 20]


def test_standard_input_cannot_be_joined_to_files(tree: Path) -> None:
    with pytest.raises(UsageError, match="-"):
        open_captures(["-", str(tree / "b.pcap")], joined=True)
    (capture,) = open_captures([str(tree / "b.pcap")], joined=True)
    assert packets(capture) == 1


def test_a_batch_outlives_the_reading_of_the_next_two(tmp_path: Path) -> None:
    path = tmp_path / "large.pcap"
    path.write_bytes(pcap(*(record(i / 1000, ethernet(ipv4(tcp(b"%06d" % i * 50)))) for i in range(40_000))))
    (capture,) = open_captures([str(path)])
    kept: list[tuple[int, bytes, int, Batch]] = []
    for batch in capture.batches():
        row = batch.rows[0]
        start = int(row["payload_offset"])
        kept.append((int(row["ts"]), batch.data[start : start + 300].tobytes(), start, batch))
        for ts, payload, at, old in kept[-3:]:
            assert old.rows["ts"][0] == ts
            assert old.data[at : at + 300].tobytes() == payload
    assert len(kept) > 9


def test_unknown_links_are_named(tmp_path: Path) -> None:
    (tmp_path / "wifi").write_bytes(pcap(record(1, bytes(9)), record(2, bytes(9)), link=105))
    (capture,) = open_captures([str(tmp_path / "wifi")])
    assert packets(capture) == 2
    assert capture.unknown_links == {"IEEE802_11 (105)": 2}
    assert [link_name(link) for link in (147, 162)] == ["USER0 (147)", "USER15 (162)"]


def test_nothing_is_opened_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "gone.pcap"
    path.write_bytes(ONE)
    (capture,) = open_captures([str(path)])
    path.unlink()
    assert packets(capture) == 0
    assert problem(capture)[0] == 0
