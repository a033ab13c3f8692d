"""The packets that the dataset keeps of a connection are those that `explain` shows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from halfopen.capture.source import open_captures
from halfopen.cli.explain import _packets
from halfopen.connections.limits import Limits
from halfopen.connections.reference import ReferenceTracker, Story
from halfopen.connections.tracker import Tracker
from halfopen.ingest import incoming
from halfopen.model import Batch, LeftOut, new_counters
from halfopen.pipeline import Judged, LiveJudge
from halfopen.privacy import Privacy
from halfopen.store.schema import CONNECTIONS
from halfopen.store.told import named, told
from tests.connections.packets import P, batch, ns
from tests.connections.test_agreement import GOOD_START, packets, timed

MATRIX = Path(__file__).parents[1] / "captures" / "matrix"
UNKNOWN = "?"

Told = tuple[int, int, list[list[str]]]
"""Start and client's port of a connection, and of each packet what `explain` shows, as text."""


def of_the_dataset(batches: Sequence[Batch], clock: int) -> list[Told]:
    judge = LiveJudge("made", Tracker(Limits(), new_counters(), packets=True))
    judged = [each.kept() for part in batches for each in judge.feed(part)]
    judged += map(Judged.kept, judge.finish(clock))
    found: list[Told] = []
    for rows in incoming(iter(judged), Privacy()):
        whole = pa.table(
            [
                rows[each.name].cast(each.type)
                if each.name in rows.schema.names
                else pa.nulls(len(rows), each.type)
                for each in CONNECTIONS.written
            ],
            CONNECTIONS.written,
        )
        for each in told(named(whole)).to_pylist():
            shown = [
                [
                    f"{p['time']:.6f}", p["flags"], str(p["seq"]), "-" if p["ack"] is None else str(p["ack"]),
                    str(p["length"]), UNKNOWN if p["window"] is None else str(p["window"]), str(p["ttl"]),
                    "-" if p["ip_id"] is None else str(p["ip_id"]),
                ]
                for p in each["first_packets"]
            ]  # fmt: skip
            assert len(shown) == each["packets"]
            found.append((each["start"].value, each["client_port"], shown))
    return sorted(found)


def of_explain(batches: Sequence[Batch], clock: int) -> list[Told]:
    tracker = ReferenceTracker(Limits(), new_counters(), stories=True)
    for part in batches:
        list(tracker.feed(part))
    list(tracker.finish(clock))
    return sorted(
        (story.connection.start, story.connection.client[2], shown(story))
        for story in tracker.stories
        if story.verdict and story.verdict.left_out == LeftOut.decided
    )


def shown(story: Story) -> list[list[str]]:
    """The lines of the packets that took a place among the ten."""
    found = []
    for line in _packets(story):
        time, side, *cells = [*re.split(r"\s{2,}", line.strip()), ""]
        if side == "client" and not re.match("late|the same packet", cells[7]):
            cells[2] = cells[2].replace(str(-(2**31)), str(1 - 2**31))  # the dataset has that for none
            found.append([time, *cells[:7]])
    if not int(found[0][4]):
        found[0][5] = UNKNOWN  # the table has no room for the window of a SYN that waits
    return found


@pytest.mark.parametrize("path", sorted(MATRIX.glob("*.pcap*")), ids=lambda path: path.stem)
def test_of_shipped_captures(path: Path) -> None:
    (capture,) = open_captures([str(path)])
    batches = [Batch(part.rows.copy(), part.data.copy()) for part in capture.batches()]
    assert of_the_dataset(batches, capture.clock) == of_explain(batches, capture.clock)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    start=st.sampled_from([1, 2, 3, 4]),
    script=st.lists(packets(), max_size=24),
    silence=st.sampled_from([10.5, 95, 1000]),
)
def test_of_any_packets(start: int, script: list[P], silence: float) -> None:
    whole = timed(GOOD_START[:start] + script)
    batches = [batch(whole)]
    clock = ns(max(p.t for p in whole) + silence)
    assert of_the_dataset(batches, clock) == of_explain(batches, clock)
