"""Live or from a file, one core: given the columns of a capture and its clock, a live judge gives the rows of `classify`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from halfopen.capture.source import open_captures
from halfopen.connections.limits import Limits
from halfopen.connections.tracker import Tracker
from halfopen.model import CONNECTION, Batch, Kind, new_counters
from halfopen.pipeline import Judge, Judged, LiveJudge

CAPTURES = sorted((Path(__file__).parents[2] / "captures" / "matrix").glob("*.pcap*"))
AT_ONCE = 3
"""Packets fed together; the clock is turned in between."""


def told(batches: Iterator[Judged]) -> list[tuple[object, ...]]:
    """Each connection, with its name in the place of where that lies."""
    found = []
    for judged in batches:
        for row in judged.rows:
            name = judged.names[row["name_offset"] : row["name_offset"] + row["name_length"]].tobytes()
            found.append(
                (*(row[field].item() for field in CONNECTION.names or () if field != "name_offset"), name)
            )
    return found


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
def test_a_live_judge_says_what_classify_says(path: Path) -> None:
    judge = Judge(Limits())

    def every(batches: Iterator[Judged]) -> Iterator[list[tuple[object, ...]]]:
        yield told(batches)

    (of_file,) = judge.run(open_captures([str(path)]), every)
    live = LiveJudge("live", Tracker(Limits(), new_counters()))
    found, clock = [], 0
    (capture,) = open_captures([str(path)])
    for batch in capture.batches():
        for begin in range(0, len(batch.rows), AT_ONCE):
            rows = batch.rows[begin : begin + AT_ONCE]
            found += told(live.feed(Batch(rows, batch.data)))
            broken = np.flatnonzero(rows["kind"] == Kind.BREAK)
            since = int(broken[-1]) + 1 if len(broken) else 0
            clock = max([0 if len(broken) else clock, *rows["ts"][since:].tolist()])
            found += told(live.turn(clock))
    found += told(live.finish(capture.clock))
    assert sorted(found) == sorted(of_file)
