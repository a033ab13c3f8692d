"""The summary: every count by the plainest way of counting, and what people read."""

from __future__ import annotations

import json
import re
from collections import Counter as Tally
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfopen.cli.report import counters_line
from halfopen.cli.summary import Summary, summed, wilson
from halfopen.cli.text import columns, printable
from halfopen.connections.rules import Tag
from halfopen.model import STAGES, Counter, LeftOut, Stage
from halfopen.pipeline import Account, Judged
from halfopen.testing.conversation import Conversation, framed
from halfopen.testing.pcap import pcap
from tests.cli.conftest import Ran
from tests.cli.rows import judged


@given(st.lists(judged(), max_size=4))
def test_counting_in_bulk_is_counting_one_by_one(batches: list[Judged]) -> None:
    rows = [
        (row, place)
        for batch in batches
        for row, place in zip(batch.rows, batch.places, strict=True)
        if row["left_out"] == LeftOut.decided
    ]
    summary = Summary()
    for half in (batches[::2], batches[1::2]):
        summary.merge(summed(half))
    assert summary.decided == len(rows)
    for stage in Stage:
        of_stage = [row for row, _ in rows if row["stage"] == stage]
        assert summary.stage(stage) == len(of_stage)
        counted = {tag: sum(int(row["tags"]) >> tag & 1 for row in of_stage) for tag in Tag}
        assert summary.tags(stage) == {tag: count for tag, count in counted.items() if count}
    cut = [(row, place) for row, place in rows if row["stage"] != Stage.no_match]
    every = Tally(int(row["signature"]) for row, _ in cut)
    echoed = Tally(int(row["signature"]) for row, _ in cut if row["reset_echoes"])
    assert summary.signatures() == {number: (count, echoed[number]) for number, count in every.items()}
    assert [count for count, _ in summary.signatures().values()] == sorted(every.values(), reverse=True)
    networks = Tally((int(place["asn"]), place["location"].decode()) for _, place in rows)
    cuts = Tally((int(place["asn"]), place["location"].decode()) for _, place in cut)
    assert summary.networks() == {key: (count, cuts[key]) for key, count in networks.items()}
    assert summary.start == min((row["start"] for row, _ in rows), default=None)
    assert summary.end == max((row["end"] for row, _ in rows), default=None)


def test_the_interval_is_wilsons() -> None:
    # Newcombe (1998), table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    published = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }
    for (part, whole), (low, high) in published.items():
        assert wilson(part, whole) == pytest.approx((low, high), abs=5e-5)
    assert wilson(0, 0) == (0, 1)


@given(st.integers(0, 10**9), st.integers(1, 10**9))
def test_the_interval_holds_the_share(part: int, whole: int) -> None:
    part = min(part, whole)
    low, high = wilson(part, whole)
    assert 0 <= low <= part / whole + 1e-12
    assert part / whole - 1e-12 <= high <= 1


def test_a_summary_for_machines_is_one_object(
    halfopen: Callable[..., Ran], captures: Path, damaged: Path
) -> None:
    ran = halfopen("classify", captures, damaged, "--format", "ndjson", "--summary")
    assert len(ran.out.splitlines()) == 1
    summary = json.loads(ran.out)
    assert list(summary["stages"]) == [stage.name for stage in STAGES]
    assert sum(stage["share"] for stage in summary["stages"].values()) == pytest.approx(1)
    assert sum(stage["connections"] for stage in summary["stages"].values()) == summary["counters"]["decided"]
    assert summary["stages"]["post_ack"]["tags"]["reset"] == summary["stages"]["post_ack"]["connections"]
    assert summary["captures"] == 4
    assert len(summary["problems"]) == 1
    assert sum(each["connections"] for each in summary["networks"]) == summary["counters"]["decided"]


def test_the_table_is_the_summary(halfopen: Callable[..., Ran], captures: Path) -> None:
    plain = halfopen("classify", captures)
    assert halfopen("classify", captures, "--summary") == plain
    lines = [" ".join(line.split()) for line in plain.out.splitlines()]
    assert lines[0] == (
        "3 captures, 2025-06-15 15:06:40 to 2025-06-15 15:40:05 UTC: 18 of 18 connections were cut (100.00 %)"
        "; 3 more were left out: undecided 3"
    )
    assert any(line.startswith("post_psh 9 50.00 % 29.03 to 70.97 % ") for line in lines)
    assert "ack_rst 6 33.33 % a handshake, then exactly one RST" in lines
    assert "unknown unknown 18 18 100.00 % 82.41 to 100.00 %" in lines
    assert "3 undecided: the capture ended too early to tell" in lines


def test_the_heading_says_how_many_were_evicted(halfopen: Callable[..., Ran], captures: Path) -> None:
    ran = halfopen("classify", captures / "one.pcap", "--max-connections", 1, "--server-port", 443)
    heading = ran.out.splitlines()[0]
    assert re.search(r"; (\d) more were left out: .*evicted \d", heading), heading


def test_with_nothing_decided_there_are_no_shares(halfopen: Callable[..., Ran], tmp_path: Path) -> None:
    path = tmp_path / "late.pcap"
    path.write_bytes(pcap(framed(Conversation(("192.0.2.1", 40000), ("192.0.2.2", 443)).syn())))
    table = halfopen("classify", path).out
    assert table.startswith(
        "1 capture: no connection that could be decided; 1 more was left out: undecided 1\n\nPackets "
    )
    assert "%" not in table
    line = halfopen("classify", path, "--format", "ndjson").err
    assert line.startswith("halfopen: 1 packet read, 1 TCP, 0 tunnelled")
    assert "; 1 connection: 0 decided, 1 undecided" in line


def test_the_line_of_counters_says_what_was_skipped_and_dropped() -> None:
    account = Account()
    assert "skipped" not in counters_line(account)
    account.counters[[Counter.not_ip, Counter.fragment, Counter.trigger_dropped]] = 1200, 3, 5
    line = counters_line(account)
    assert "1,203 skipped (1,200 not_ip, 3 fragment)" in line
    assert line.endswith("0 evicted, 5 trigger_dropped")


@given(st.lists(st.tuples(st.text(), st.text()), min_size=1))
def test_columns_start_at_the_same_place(rows: list[tuple[str, str]]) -> None:
    width = max(len(first) for first, _ in rows)
    for (first, second), line in zip(rows, columns(rows), strict=True):
        assert line == f"{first.ljust(width)}  {second}".rstrip()


@given(st.text())
def test_nothing_from_outside_moves_the_cursor(text: str) -> None:
    assert printable(text).isprintable()
