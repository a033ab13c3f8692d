"""A flood beside known traffic: the sample becomes smaller, and stays one by which all of it can be told."""

from __future__ import annotations

from contextlib import closing

import numpy as np

from halfopen.model import MAPPED_PREFIX, PACKET, STAGES, Batch, Counter, Flag, Rows, Stage
from halfopen.pipeline import Judged
from tests.sensor.test_sensor import Out, Scene

LIMIT = 4000
SERVER = MAPPED_PREFIX | 0xCB007181
SYN, ACK, PUSH, RST, FIN = Flag.SYN, Flag.ACK, Flag.ACK | Flag.PSH, Flag.RST, Flag.FIN | Flag.ACK

KINDS = {
    Stage.no_match: (SYN, ACK, PUSH, FIN),
    Stage.post_syn: (SYN, RST),
    Stage.post_ack: (SYN, ACK, RST),
    Stage.post_psh: (SYN, ACK, PUSH, RST),
    Stage.later_in_flow: (SYN, ACK, PUSH, PUSH, RST),
}
EACH_SECOND = 30
FLOOD = range(40, 70)
FLOOD_A_SECOND = 3000
"""Three quarters of the table in one batch."""
SECONDS = 200
NINETY_NINE = 2.576


class Weighed(Out):
    """What was handed on, weighed: the sum by stage, and what its variance adds up to."""

    def __init__(self) -> None:
        super().__init__()
        self.sums, self.variances = np.zeros(len(Stage)), np.zeros(len(Stage))
        self.most = 1.0

    def take(self, judged: Judged) -> None:
        weights = 2.0 ** judged.rows["halvings"]
        stages = judged.rows["stage"]
        self.most = max(self.most, weights.max())
        np.add.at(self.sums, stages, weights)
        np.add.at(self.variances, stages, weights * (weights - 1))


def connections(kind: tuple[Flag, ...], first: int, count: int, now: int) -> Rows:
    """So many connections of one kind, of clients that are numbered from `first` on, all their packets at once."""
    rows = np.zeros(count * len(kind), PACKET)
    number = np.repeat(np.arange(first, first + count, dtype=np.uint64), len(kind))
    place = np.tile(np.arange(len(kind)), count)
    rows["ts"] = now + place
    rows["src_lo"] = np.uint64(MAPPED_PREFIX | 0x0A000000) + number % np.uint64(50_000)
    rows["src_port"] = 1024 + number // np.uint64(50_000)
    rows["dst_lo"], rows["dst_port"] = SERVER, 443
    flags = np.array([int(each) for each in kind])
    before = np.cumsum([0, *(each == PUSH for each in kind)])[:-1] * 100
    rows["flags"] = flags[place]
    rows["seq"] = np.where(place == 0, 1000, 1001 + before[place])
    rows["payload_length"] = np.where(flags[place] == PUSH, 100, 0)
    return rows


def test_every_stage_can_be_told_from_what_is_left() -> None:
    out, truth, number = Weighed(), np.zeros(len(Stage)), 0
    with closing(Scene(adapts=True, most=LIMIT, out=out)) as scene:
        for second in range(SECONDS):
            wanted = [(stage, kind, EACH_SECOND) for stage, kind in KINDS.items()]
            if second in FLOOD:
                wanted += [(Stage.post_syn, (SYN,), FLOOD_A_SECOND), (Stage.post_syn, (SYN, RST), 100)]
            for stage, kind, count in wanted:
                rows = connections(kind, number, count, scene.system.wall())
                scene.wire.add(Batch(rows, np.zeros(1, np.uint8)))
                number, truth[stage] = number + count, truth[stage] + count
            scene.pass_(1)
        scene.pass_(1000, step=2)
        counters = scene.sensor.report().counters
    assert out.most >= 8
    assert counters[Counter.evicted] == 0
    assert counters[Counter.unsampled] > 0
    for stage in STAGES:
        off = out.sums[stage] - truth[stage]
        assert abs(off) <= NINETY_NINE * out.variances[stage] ** 0.5, stage.name
        assert out.variances[stage] > 0
