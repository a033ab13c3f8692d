"""`halfopen classify`: inputs, damage, exit codes, errors."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from fcntl import ioctl
from pathlib import Path
from termios import FIONREAD
from typing import IO

import pytest

from halfopen.model import Counter
from tests.cli.conftest import Ran, capture_bytes, command, spawned

Run = Callable[..., Ran]


def files(ran: Ran) -> list[str]:
    """Names of the captures of the rows, each once, in order."""
    return list(dict.fromkeys(Path(json.loads(line)["file"]).name for line in ran.out.splitlines()))


def ndjson(run: Run, *argv: object) -> Ran:
    return run("classify", "--format", "ndjson", *argv)


def test_a_directory_and_a_pattern_mean_the_captures_in_them(halfopen: Run, captures: Path) -> None:
    assert files(ndjson(halfopen, captures)) == ["one.pcap", "three.pcap", "two.pcap"]
    assert files(ndjson(halfopen, captures / "t*.pcap")) == ["three.pcap", "two.pcap"]
    assert files(ndjson(halfopen, captures / "two.pcap", captures / "one.pcap")) == ["two.pcap", "one.pcap"]


def test_standard_input() -> None:
    ran = spawned("classify", "-", "--format", "ndjson", stdin=capture_bytes(0))
    assert (ran.code, len(ran.out.splitlines())) == (0, 6)


def test_what_is_missing_is_named_and_the_others_go_on(halfopen: Run, captures: Path, tmp_path: Path) -> None:
    missing = (tmp_path, tmp_path / "nosuch.pcap", tmp_path / "*.pcap")
    ran = ndjson(halfopen, *missing, captures / "one.pcap")
    assert ran.code == 0
    assert files(ran) == ["one.pcap"]
    words = [
        f"halfopen: {tmp_path}: no capture in this directory",
        f"halfopen: {tmp_path}/nosuch.pcap: no such file",
        f"halfopen: {tmp_path}/*.pcap: matches nothing",
    ]
    assert ran.err.splitlines()[:-1] == words
    assert ndjson(halfopen, *missing, captures / "one.pcap", "--strict").code == 1
    ran = ndjson(halfopen, *missing)
    assert (ran.code, ran.err.splitlines()) == (1, [*words, "halfopen: nothing was readable"])


def test_a_file_may_be_called_like_an_option(
    halfopen: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("-x.pcap", "y.pcap"):
        Path(name).write_bytes(capture_bytes(0))
    assert files(ndjson(halfopen, "--", "-x.pcap", "y.pcap")) == ["-x.pcap", "y.pcap"]


def test_options_may_stand_between_the_files(halfopen: Run, captures: Path) -> None:
    one, two = captures / "one.pcap", captures / "two.pcap"
    whole = ndjson(halfopen, one, two, "--all")
    assert ndjson(halfopen, one, "--all", two) == whole
    assert ndjson(halfopen, "--all", "--", one, two) == whole
    ran = halfopen("classify", one, "--nonsense", two)
    assert ran.code == 2
    assert ran.err == "halfopen: unrecognized arguments: --nonsense (see halfopen classify --help)\n"


def test_damage_is_reported_beside_everything_readable(halfopen: Run, captures: Path, damaged: Path) -> None:
    ran = ndjson(halfopen, captures / "one.pcap", damaged, captures / "two.pcap")
    assert ran.code == 0
    assert files(ran) == ["one.pcap", "cut.pcap", "two.pcap"]
    about_damage, counters = ran.err.splitlines()
    assert about_damage.startswith(f"halfopen: {damaged}: at byte ")
    assert counters.startswith("halfopen: ")


def test_strict_makes_damage_an_error(halfopen: Run, captures: Path, damaged: Path) -> None:
    ran = ndjson(halfopen, captures, damaged, "--strict")
    assert ran.code == 1
    assert "cut.pcap" in files(ran)
    assert ndjson(halfopen, captures, "--strict").code == 0


def test_nothing_readable_is_an_error_and_leaves_the_output_alone(halfopen: Run, tmp_path: Path) -> None:
    foreign, out = tmp_path / "words.pcap", tmp_path / "out.csv"
    foreign.write_text("this is no capture")
    out.write_text("of yesterday")
    ran = halfopen("classify", foreign, tmp_path / "words.pcap", "-o", out)
    assert ran.code == 1
    assert [line.split(": ")[1] for line in ran.err.splitlines()] == [
        str(foreign),
        str(foreign),
        "nothing was readable",
    ]
    assert out.read_text() == "of yesterday"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "words.pcap"]


def test_a_capture_without_packets_is_readable(halfopen: Run, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pcap"
    empty.write_bytes(capture_bytes(0)[:24])
    ran = halfopen("classify", empty)
    assert (ran.code, ran.err) == (0, "")
    assert "no connection that could be decided" in ran.out


def test_jobs_change_nothing(halfopen: Run, captures: Path, damaged: Path) -> None:
    alone = ndjson(halfopen, captures, damaged, "--jobs", 1)
    assert ndjson(halfopen, captures, damaged, "--jobs", 4) == alone
    tables = {halfopen("classify", captures, damaged, "--jobs", jobs).out for jobs in (1, 2, 4)}
    assert len(tables) == 1


def test_all_adds_the_undecided(halfopen: Run, captures: Path) -> None:
    assert len(ndjson(halfopen, captures).out.splitlines()) == 18
    stages = [json.loads(line)["stage"] for line in ndjson(halfopen, captures, "--all").out.splitlines()]
    assert len(stages) == 21
    assert stages.count("undecided") == 3


def test_servers_and_times_can_be_chosen(halfopen: Run, captures: Path) -> None:
    one = captures / "one.pcap"
    assert ndjson(halfopen, one, "--server-port", "80,443").out
    assert not ndjson(halfopen, one, "--server-port", "80").out
    assert ndjson(halfopen, one, "--server-net", "203.0.113.0/24,2001:db8::/32").out
    assert not ndjson(halfopen, one, "--server-net", "192.0.2.0/24").out
    joined = ndjson(halfopen, captures, "--joined", "--idle-timeout", "5").out.splitlines()
    assert {json.loads(line)["file"] for line in joined} == {"joined"}
    assert len(joined) == 20


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["--format", "xml"], ["--format", "'xml'", "ndjson"]),
        (["--server-port", "70000"], ["--server-port", "70000", "1 to 65535"]),
        (["--server-port", "80,,443"], ["--server-port", "80,,443", "commas"]),
        (["--server-net", "nowhere"], ["--server-net", "nowhere", "192.0.2.0/24"]),
        (["--idle-timeout", "0"], ["--idle-timeout", "0", "more than 0"]),
        (["--idle-timeout", "nan"], ["--idle-timeout", "nan", "seconds"]),
        (["--idle-timeout", "soon"], ["--idle-timeout", "soon", "seconds"]),
        (["--max-connections", "0"], ["--max-connections", "0", "1 to"]),
        (["--jobs", "many"], ["--jobs", "many", "whole number"]),
        (["--jobs", "\u0663"], ["--jobs", "whole number"]),
        (["--nonsense"], ["--nonsense", "see halfopen classify --help"]),
        (["--summary", "--format", "csv"], ["--summary", "csv", "ndjson"]),
        (["--summary", "-o", "x.parquet"], ["--summary", "parquet", "ndjson"]),
        (["-o", "x.docx"], ["-o", "x.docx", ".parquet"]),
        (["-o", "/nonexistent/x.csv"], ["-o", "/nonexistent/x.csv", "written"]),
        (["-o", "/"], ["-o", "directory"]),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named_in_one_line(
    halfopen: Run, captures: Path, argv: list[str], named: list[str]
) -> None:
    ran = halfopen("classify", captures / "one.pcap", *argv)
    assert ran.code == 2
    assert ran.out == ""
    assert len(ran.err.splitlines()) == 1
    assert ran.err.startswith("halfopen: ")
    assert all(word in ran.err for word in named), ran.err


def test_no_capture_is_overwritten(halfopen: Run, tmp_path: Path) -> None:
    path = tmp_path / "one.pcap"
    path.write_bytes(capture_bytes(0))
    ran = halfopen("classify", path, "-o", path, "--format", "csv")
    assert ran.code == 2
    assert path.read_bytes() == capture_bytes(0)


def test_the_output_keeps_usual_rights_and_a_device_stays_one(
    halfopen: Run, captures: Path, tmp_path: Path
) -> None:
    os.umask(mask := os.umask(0o022))
    assert halfopen("classify", captures, "-o", tmp_path / "x.csv").code == 0
    assert stat.S_IMODE((tmp_path / "x.csv").stat().st_mode) == 0o666 & ~mask
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]
    assert halfopen("classify", captures, "--format", "csv", "-o", "/dev/null").code == 0
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_link_to_the_output_stays_a_link(halfopen: Run, captures: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.csv"
    link.symlink_to(tmp_path / "real.csv")
    assert halfopen("classify", captures, "-o", link).code == 0
    assert link.is_symlink()
    assert (tmp_path / "real.csv").read_bytes().startswith(b"file,")


def test_a_reader_that_leaves_ends_it_quietly(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number}.pcap").write_bytes(capture_bytes(number, 200))
    for argv in (["--format", "ndjson"], ["--format", "csv", "--jobs", "1"], []):
        with subprocess.Popen(
            command("classify", tmp_path, *argv), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            if argv:
                process.stdout.readline()
            process.stdout.close()
            err = process.stderr.read()
            assert process.wait(300) == 141
            assert err == b""


def test_an_interrupt_ends_it_with_one_line() -> None:
    with subprocess.Popen(
        command("classify", "-", "--format", "ndjson"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(capture_bytes(0)[:24])
        process.stdin.flush()
        wait_until_it_reads(process.stdin)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read().splitlines()[-1] == b"halfopen: interrupted"


def wait_until_it_reads(pipe: IO[bytes]) -> None:
    """Wait until everything written to the pipe was taken from it."""
    for _ in range(6000):
        if not int.from_bytes(ioctl(pipe, FIONREAD, bytes(4)), sys.byteorder):
            return
        time.sleep(0.01)
    pytest.fail("the process never read its standard input")


def test_counters_are_always_shown(halfopen: Run, captures: Path) -> None:
    table = halfopen("classify", captures).out
    line = ndjson(halfopen, captures).err
    for name in (
        "tunnelled",
        "duplicates",
        "no_syn",
        "late",
        "undecided",
        "broke_off",
        "replaced",
        "evicted",
    ):
        assert name in table
        assert name in line
    counters = json.loads(ndjson(halfopen, captures, "--summary").out)["counters"]
    assert list(counters) == [counter.name for counter in Counter]
    assert (counters["connections"], counters["decided"], counters["undecided"]) == (21, 18, 3)


def test_an_output_that_cannot_take_more_is_one_line(halfopen: Run, captures: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("missing: /dev/full")
    ran = halfopen("classify", captures, "--format", "csv", "-o", "/dev/full")
    assert ran.code == 1
    assert ran.err.startswith("halfopen: ")
    assert "space" in ran.err


def test_too_little_memory_is_one_line(
    halfopen: Run, captures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(*_: object, **__: object) -> None:
        raise MemoryError("unable to allocate 40 GiB")

    monkeypatch.setattr("halfopen.pipeline.Tracker", none_left)
    ran = halfopen("classify", captures)
    assert (ran.code, ran.err) == (1, "halfopen: not enough memory: unable to allocate 40 GiB\n")


def test_a_file_may_have_any_name(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b'a\xff"\n\x1b.pcap')
    path.write_bytes(capture_bytes(0)[:-10])
    for form in ("ndjson", "csv"):
        ran = spawned("classify", tmp_path, "--format", form)
        assert ran.code == 0
        assert len(ran.err.splitlines()) == 2
        assert "\x1b" not in ran.err
    rows = [json.loads(line) for line in spawned("classify", tmp_path, "--format", "ndjson").out.splitlines()]
    assert {row["file"] for row in rows} == {f'{tmp_path}/a\\xff"\n\x1b.pcap'}
    told = spawned("explain", path, "192.0.2.10:40000")
    assert told.code == 0
    assert "\x1b" not in told.out
