"""A sample of connections: who is in it, who leaves when it is halved, and that it stays a fair one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfopen.connections.limits import Limits
from halfopen.connections.tracker import Tracker
from halfopen.model import MAPPED_PREFIX, SECOND, Batch, Counter, LeftOut, Rows, Stage, new_counters
from halfopen.sampling import WHOLE, Sampling
from tests.connections.packets import Outcome, P, batch, ns
from tests.connections.rooms import in_use
from tests.connections.test_live import KINDS

Client = tuple[int, int, int]
KEY = (0x01234567, 0x89ABCDEF)


def client(number: int) -> Client:
    return (0, MAPPED_PREFIX | 0xC0000200 | number >> 8, 1024 + (number & 0xFF))


@dataclass
class Known:
    """What is expected of one connection in the table."""

    halvings: int
    judged: bool


@given(
    threshold=st.sampled_from([WHOLE, WHOLE // 3, 1 << 30, 3]),
    key=st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
    steps=st.lists(
        st.one_of(st.sampled_from(["tighten", "tighten", "loosen"]), st.integers(1, 40)), max_size=12
    ),
)
def test_exactly_those_beyond_the_threshold_leave(
    threshold: int, key: tuple[int, int], steps: list[Literal["tighten", "loosen"] | int]
) -> None:
    """Every second connection has its verdict already; it leaves without being counted."""
    outcome, opened, halvings = Outcome(), 0, 0
    tracker = Tracker(Limits(), outcome.counters, sampling=Sampling(key, threshold))
    there: dict[Client, Known] = {}
    rows: dict[Client, int] = {}
    not_sampled = unsampled = 0
    for step in steps:
        if isinstance(step, int):
            script = []
            for number in range(opened, opened + step):
                who = client(number)
                script.append(P(0, "S", client=who))
                if number % 2:
                    script += [P(0, "A", 1, n, client=who) for n in range(9)]
                if tracker.sampling.takes(*who):
                    there[who] = Known(halvings, bool(number % 2))
                    if number % 2:
                        rows[who] = halvings
                else:
                    not_sampled += 1
            opened += step
            outcome.take(tracker.feed(batch(script)))
            continue
        if step == "tighten" and tracker.sampling.threshold > 1:
            halvings += 1
        elif step == "loosen":
            halvings = max(halvings - 1, 0)
        getattr(tracker, step)()
        assert tracker.sampling == Sampling(key, threshold >> halvings)
        for who, known in list(there.items()):
            if tracker.sampling.hash(*who) >= tracker.sampling.threshold:
                unsampled += not known.judged
                del there[who]
            else:
                known.halvings = max(known.halvings, halvings)
    assert tracker.live == len(there)
    outcome.take(tracker.finish(ns(50)))
    rows |= {who: known.halvings for who, known in there.items() if not known.judged}
    found = [dict(row) for row in outcome.rows]
    assert {
        (row["client_hi"], row["client_lo"], row["client_port"]): row["halvings"] for row in found
    } == rows
    assert len(found) == len(rows)
    assert outcome.counters[Counter.not_sampled] == not_sampled
    assert outcome.counters[Counter.unsampled] == unsampled
    assert outcome.counters[Counter.evicted] == 0
    assert set(in_use(tracker).values()) == {0}


def test_the_sample_outlives_the_end_of_a_capture() -> None:
    tracker = Tracker(Limits(), new_counters(), sampling=Sampling(KEY))
    tracker.tighten()
    list(tracker.finish(ns(1)))
    assert tracker.sampling == Sampling(KEY, WHOLE // 2)


@pytest.mark.parametrize("kind", KINDS)
def test_the_smallest_sample_is_one_hash(kind: str) -> None:
    tracker: Any = KINDS[kind](Limits(), new_counters(), sampling=Sampling(KEY, 2))
    for expected in (1, 1):
        tracker.tighten()
        assert tracker.sampling.threshold == expected
    for expected in (2, 2):
        tracker.loosen()
        assert tracker.sampling.threshold == expected


EACH = 2000
"""Connections of each kind."""

SCRIPTS = {
    Stage.post_syn: [P(0, "S")],
    Stage.post_ack: [P(0, "S"), P(0.1, "A", 1, 1), P(0.3, "R", 1)],
    Stage.post_psh: [P(0, "S"), P(0.1, "A", 1, 1), P(0.2, "PA", 1, 1, b"?" * 9), P(30, "RA", 10, 1)],
    Stage.later_in_flow: [
        P(0, "S"),
        P(0.1, "A", 1, 1),
        *(P(0.2 * n, "PA", 1 + 9 * n, 1, b"?" * 9) for n in range(1, 4)),
        P(1, "R", 37),
    ],
    Stage.no_match: [P(0, "S"), P(0.1, "A", 1, 1), P(60, "FA", 1, 1)],
}


def traffic() -> tuple[Rows, Any]:
    """Packets of `EACH` connections of each script, begun evenly over ten minutes, in the order of time."""
    rows, data = [], b""
    for kind, script in enumerate(SCRIPTS.values()):
        made = batch(script)
        part = np.tile(made.rows, EACH)
        number = np.repeat(np.arange(EACH), len(script))
        part["ts"] += number * (600 * SECOND // EACH)
        part["src_lo"] = MAPPED_PREFIX | 0x0A000000 | kind << 16 | number
        part["payload_offset"] += len(data)
        data += made.data.tobytes()
        rows.append(part)
    whole = np.concatenate(rows)
    return whole[np.argsort(whole["ts"], kind="stable")], np.frombuffer(bytearray(data), np.uint8)


@pytest.mark.parametrize(
    "deeds",
    [
        {100: "tighten", 200: "tighten", 300: "tighten"},
        {100: "tighten", 150: "tighten", 300: "loosen", 301: "loosen", 450: "tighten"},
        {0: "tighten", 1: "loosen", 300: "tighten", 305: "tighten", 599: "loosen"},
    ],
)
def test_what_stays_stands_for_all(deeds: dict[int, str]) -> None:
    """By its weights the sample tells how many connections of each stage there were, wherever it was halved."""
    rows, data = traffic()
    tracker = Tracker(Limits(), new_counters(), sampling=Sampling(KEY))
    weights: dict[int, list[int]] = {stage: [] for stage in Stage}

    def take(batches: Any) -> None:
        for part in batches:
            assert (part.rows["left_out"] == LeftOut.decided).all()
            for stage, halvings in zip(
                part.rows["stage"].tolist(), part.rows["halvings"].tolist(), strict=True
            ):
                weights[stage].append(2**halvings)

    begin = 0
    for second in range(720):
        end = int(np.searchsorted(rows["ts"], ns(second)))
        take(tracker.feed(Batch(rows[begin:end].copy(), data)))
        take(tracker.turn(ns(second)))
        begin = end
        if second in deeds:
            getattr(tracker, deeds[second])()
    assert begin == len(rows)
    for stage in SCRIPTS:
        # Each is there with a chance of 1 / its weight: what varies is that, and no two depend on each other.
        spread = sum(weight * (weight - 1) for weight in weights[stage]) ** 0.5
        assert spread > 0
        assert abs(sum(weights[stage]) - EACH) < 2.576 * spread
    assert tracker.counters[Counter.unsampled] > 0
    assert tracker.counters[Counter.evicted] == 0
