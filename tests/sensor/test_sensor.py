"""The sensor's loop over wires that a test makes: what goes out, when, and how far it says to have come."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from halfopen.capture.live.wire import Losses
from halfopen.connections.limits import Limits
from halfopen.connections.tracker import Tracker
from halfopen.model import SECOND, Batch, Counter, Stage, new_counters
from halfopen.pipeline import Judged, LiveJudge
from halfopen.sampling import WHOLE, Sampling
from halfopen.sensor.sensor import (
    BEHIND,
    LINGERING,
    NO_PORTS,
    SMALLEST,
    STRAGGLING,
    Gap,
    Report,
    Sensor,
    spoken_ports,
)
from tests.connections.packets import P, batch
from tests.sensor.test_clock import System

PORTS = frozenset({443})


class Made:
    """A wire of packets that a test makes."""

    name = "made"

    def __init__(self) -> None:
        self.counters = new_counters()
        self.waiting = ""
        self.lost = Losses(0, 0)
        self.watched: list[tuple[frozenset[int], Sampling]] = []
        self._there: list[Batch] = []
        self._end, self._other = os.pipe()

    def fileno(self) -> int:
        return self._end

    def batches(self) -> Iterator[Batch]:
        there, self._there = self._there, []
        self.counters[Counter.packets] += sum(len(each.rows) for each in there)
        yield from there

    def add(self, made: Batch) -> None:
        self._there.append(made)

    def watch(self, ports: frozenset[int], sampling: Sampling) -> None:
        self.watched.append((ports, sampling))

    def look(self) -> None:
        pass

    def losses(self) -> Losses:
        return self.lost

    def close(self) -> None:
        os.close(self._end)
        os.close(self._other)


@dataclass
class Out:
    """What was handed on: starts and ends (ns), stages, and how far."""

    rows: list[tuple[int, int, Stage]] = field(default_factory=list)
    handed: list[tuple[int, Gap | None]] = field(default_factory=list)
    report: Report | None = None

    def take(self, judged: Judged) -> None:
        self.rows += [(int(row["start"]), int(row["end"]), Stage(row["stage"])) for row in judged.rows]

    def hand_on(self, watermark: int, gap: Gap | None, report: Report) -> None:
        self.handed.append((watermark, gap))
        self.report = report

    def counts(self) -> dict[str, int]:
        return {"kept": len(self.rows)}

    status = "on its way"
    behind = False


class Scene:
    """A sensor, its system and its wire."""

    def __init__(self, *, adapts: bool = False, most: int = 1000, out: Out | None = None) -> None:
        self.system, self.wire, self.out = System(), Made(), out or Out()
        self.ports = PORTS
        self.said: list[str] = []
        tracker = Tracker(Limits(max_connections=most), new_counters(), sampling=Sampling((1, 2), WHOLE))
        self.sensor = Sensor(
            [self.wire], LiveJudge("made", tracker), self.out, lambda: self.ports,
            adapts=adapts, told=self.said.append, clock=self.system.clock(),
        )  # fmt: skip

    def pass_(self, seconds: float, step: float = 0.25) -> None:
        for _ in range(round(seconds / step)):
            self.system.passed += round(step * SECOND)
            self.sensor.step()

    def put(self, *script: P, to: int = 443) -> None:
        made = batch(list(script))
        made.rows["dst_port"] = np.where(made.rows["dst_port"] == 443, to, made.rows["dst_port"])
        made.rows["ts"] = self.system.wall()
        self.wire.add(made)

    @property
    def now(self) -> int:
        return self.system.wall() // SECOND

    def close(self) -> None:
        self.sensor.close()
        self.wire.close()


@pytest.fixture
def scene() -> Iterator[Scene]:
    with closing(Scene()) as made:
        yield made


SYN, ACK, RST = P(0, "S"), P(0, "A", 1, 1), P(0, "R", 1)


def test_a_reset_goes_out_seconds_after_its_silence(scene: Scene) -> None:
    scene.pass_(1)
    at = scene.system.wall()
    scene.put(SYN, RST)
    scene.pass_(10)
    assert not scene.out.rows
    handed = len(scene.out.handed)
    scene.pass_(4)
    assert scene.out.rows == [(at, at, Stage.post_syn)]
    assert len(scene.out.handed) > handed


def test_silence_is_told_when_nothing_comes_any_more(scene: Scene) -> None:
    scene.put(SYN)
    scene.pass_(93)
    assert [stage for *_, stage in scene.out.rows] == [Stage.post_syn]


def test_a_clock_that_is_set_ends_nothing(scene: Scene) -> None:
    """An hour forward is no hour of silence; the row has the times that the clock now has."""
    scene.pass_(1)
    scene.put(SYN)
    scene.pass_(5)
    scene.system.set += 3600 * SECOND
    scene.put(ACK)
    at = scene.system.wall()
    scene.pass_(800, step=1)
    assert not scene.out.rows
    scene.pass_(105)
    ((start, end, stage),) = scene.out.rows
    assert stage == Stage.post_ack
    assert (end - start, end) == (5 * SECOND, at)
    assert scene.out.report is not None
    assert scene.out.report.steps == 1


def test_the_watermark_follows_the_oldest_connection(scene: Scene) -> None:
    scene.pass_(20)
    begun = scene.now
    scene.put(SYN, ACK)
    scene.pass_(100)
    assert scene.out.handed[-1][0] == begun
    scene.pass_(800, step=1)
    scene.pass_(20)
    assert scene.out.handed[-1][0] >= scene.now - 20


def test_one_that_says_something_now_and_then_does_not_hold_it_back_for_ever(scene: Scene) -> None:
    scene.put(SYN)
    for number in range(6):
        scene.put(P(0, "PA", 1 + number, 1, length=1))
        scene.pass_(600, step=2)
    assert scene.now - scene.out.handed[-1][0] <= (STRAGGLING + BEHIND) // SECOND + 20


def test_the_first_batch_says_since_when_it_watches(scene: Scene) -> None:
    begun = scene.now
    scene.pass_(40)
    assert scene.out.handed[0][1] == Gap(None, begun)
    assert [gap for _, gap in scene.out.handed[1:]] == [None] * (len(scene.out.handed) - 1)


def test_a_wire_that_goes_leaves_a_gap(scene: Scene) -> None:
    scene.pass_(20)
    scene.wire.waiting = "made is away"
    gone = scene.now
    scene.pass_(60)
    assert "made is away" in scene.said
    assert scene.out.handed[-1][0] <= gone
    scene.wire.waiting = ""
    back = scene.now
    scene.pass_(40)
    gap = scene.out.handed[-1][1] or next(gap for _, gap in scene.out.handed[1:] if gap)
    assert gap.begin is not None
    assert gone - 2 <= gap.begin <= gone
    assert back <= gap.end <= back + 2
    assert scene.out.handed[-1][0] > back


def test_a_wire_that_goes_twice_before_it_can_be_told_leaves_one_gap(scene: Scene) -> None:
    scene.pass_(20)
    gone = scene.now
    for _ in range(2):
        scene.wire.waiting = "made is away"
        scene.pass_(2)
        scene.wire.waiting = ""
        scene.pass_(2)
    back = scene.now
    scene.pass_(20)
    (gap,) = (gap for _, gap in scene.out.handed[1:] if gap)
    assert gap.begin is not None
    assert gone - 2 <= gap.begin <= gone
    assert back - 2 <= gap.end <= back


def test_ports_that_change_are_followed(scene: Scene) -> None:
    scene.pass_(2)
    scene.ports = frozenset({443, 8443})
    scene.pass_(2)
    assert [ports for ports, _ in scene.wire.watched] == [PORTS, frozenset({443, 8443})]
    assert "server ports: 443, 8443" in scene.said


def test_packets_of_a_port_that_is_closed_are_read_as_long_as_its_connections_may_last(scene: Scene) -> None:
    """A server that goes closes its port first: the end of a connection is not to be missed, and no new one is opened."""
    scene.ports = frozenset({443, 8443})
    scene.pass_(2)
    scene.put(SYN, ACK, to=8443)
    scene.pass_(2)
    scene.ports = PORTS
    scene.pass_(60)
    assert scene.wire.watched[-1][0] == {443, 8443}
    assert scene.said[-1] == "server ports: 443"
    scene.put(P(0, "FA", 1, 1), P(0, "S", client=(0, 7, 7)), to=8443)
    scene.pass_(120)
    assert [stage for *_, stage in scene.out.rows] == [Stage.no_match]
    scene.pass_(LINGERING // SECOND, step=1)
    assert scene.wire.watched[-1][0] == PORTS


def test_under_pressure_the_sample_is_halved_in_the_kernel_too() -> None:
    clients = [(0, 0xFFFF_C000_0200 | n, 40000 + n) for n in range(90)]
    with closing(Scene(adapts=True, most=100)) as scene:
        scene.put(*(P(0, "S", client=client) for client in clients))
        scene.pass_(4)
        assert [sampling.threshold for _, sampling in scene.wire.watched] == [WHOLE, WHOLE // 2]
        report = scene.sensor.report()
        left = report.counters[[Counter.unsampled, Counter.not_sampled]]
        assert sum(left) == 90 - report.live
        assert "sample: one connection in 2" in scene.said


def test_losses_that_no_sample_takes_away_do_not_make_it_vanish() -> None:
    with closing(Scene(adapts=True)) as scene:
        for number in range(120):
            scene.wire.lost = Losses(1000 * number, 500 * number)
            scene.pass_(1)
        assert min(sampling.threshold for *_, sampling in scene.wire.watched) == SMALLEST


def test_what_was_counted_is_told_when_asked(scene: Scene) -> None:
    scene.put(SYN, RST)
    scene.pass_(15)
    scene.sensor.tell()
    scene.pass_(1)
    assert any("post_syn 1" in words and "packets 2" in words and "kept 1" in words for words in scene.said)
    assert "on its way" in scene.said


def test_it_stops_with_all_that_can_be_told(scene: Scene) -> None:
    """Silent for more than ten seconds: told; for less: left out, and counted."""
    scene.put(SYN)
    scene.pass_(11)
    scene.put(P(0, "S", client=(0, 0xFFFF_C000_0207, 5)))
    scene.sensor.stop()
    scene.sensor.run()
    assert [stage for *_, stage in scene.out.rows] == [Stage.post_syn]
    assert scene.out.report is not None
    assert scene.out.report.counters[Counter.undecided] == 1


def test_ports_in_words() -> None:
    assert spoken_ports(frozenset({80, 443, 444, 445, 8080})) == "80, 443-445, 8080"
    assert spoken_ports(frozenset()) == "all"
    assert spoken_ports(NO_PORTS) == "none: nothing listens here"


def test_a_dozen_connections_by_a_real_clock() -> None:
    """Real waiting: each comes out once its silence is over (here 1 s, 2 s, 3 s), and not before."""
    limits = Limits(idle_timeout=SECOND, linger_syn=2 * SECOND, linger=3 * SECOND)
    wire, out = Made(), Timed()
    tracker = Tracker(limits, new_counters())
    sensor = Sensor([wire], LiveJudge("real", tracker), out, lambda: PORTS, adapts=False, told=lambda _: None)
    waits = {Stage.post_syn: 2, Stage.post_ack: 3, Stage.post_psh: 1, Stage.no_match: 1}
    scripts = {
        Stage.post_syn: [SYN],
        Stage.post_ack: [SYN, ACK],
        Stage.post_psh: [SYN, ACK, P(0, "PA", 1, 1, length=5), P(0, "R", 6)],
        Stage.no_match: [SYN, ACK, P(0, "FA", 1, 1)],
    }
    sent: dict[int, tuple[float, Stage]] = {}
    runs = threading.Thread(target=sensor.run)
    runs.start()
    try:
        for number in range(12):
            stage = list(scripts)[number % 4]
            client = (0, 0xFFFF_C000_0200 | number, 50000 + number)
            made = batch([replace(each, client=client) for each in scripts[stage]])
            made.rows["ts"] = time.time_ns()
            sent[50000 + number] = time.monotonic(), stage
            wire.add(made)
            time.sleep(0.1)
        end = time.monotonic() + 30
        while len(out.seen) < 12 and time.monotonic() < end:
            time.sleep(0.05)
    finally:
        sensor.stop()
        runs.join()
        sensor.close()
        wire.close()
    assert {port: stage for port, (stage, _) in out.seen.items()} == {
        port: stage for port, (_, stage) in sent.items()
    }
    for port, (stage, at) in out.seen.items():
        assert at - sent[port][0] > waits[stage]


class Timed(Out):
    """When each connection came out, by its client's port."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[int, tuple[Stage, float]] = {}

    def take(self, judged: Judged) -> None:
        for row in judged.rows:
            self.seen[int(row["client_port"])] = Stage(row["stage"]), time.monotonic()


def test_while_much_waits_it_is_handed_on_less_often(scene: Scene) -> None:
    scene.put(SYN, RST)
    scene.out.behind = True
    scene.pass_(13)
    assert scene.out.rows
    handed = len(scene.out.handed)
    scene.put(P(0, "S", client=(0, 0xFFFF_C000_0207, 5)), P(0, "R", 1, client=(0, 0xFFFF_C000_0207, 5)))
    scene.pass_(13)
    assert len(scene.out.handed) <= handed + 1
