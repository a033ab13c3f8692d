"""Two halves of a flow table, each fed every packet, say what one whole table says."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from halfopen.connections.layout import OUT_ROWS
from halfopen.connections.limits import Limits
from halfopen.connections.tracker import Share, Tracker
from halfopen.model import MAPPED_PREFIX, Batch, ConnectionBatch
from tests.connections.packets import SERVER, Outcome, P, batch, differences, ns, run
from tests.connections.test_agreement import packets, timed

CLIENTS = [(0, MAPPED_PREFIX | 0xC0000200 | n, 40000 + n) for n in range(6)]


class Halves:
    """Both halves as one tracker."""

    def __init__(self, outcome: Outcome) -> None:
        self.halves = [Tracker(Limits(), outcome.counters, share) for share in (Share.FIRST, Share.SECOND)]

    def feed(self, batch: Batch) -> Iterator[ConnectionBatch]:
        for half in self.halves:
            yield from half.feed(batch)

    def finish(self, clock: int) -> Iterator[ConnectionBatch]:
        for half in self.halves:
            yield from half.finish(clock)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    script=st.lists(packets(clients=CLIENTS), max_size=40),
    silence=st.sampled_from([0, 1, 10, 10.5, 95, 1000]),
    cut=st.integers(0, 40),
)
def test_halves_equal_the_whole(script: list[P], silence: float, cut: int) -> None:
    whole = timed(script)
    parts = [batch(whole[:cut]), batch(whole[cut:])]
    clock = ns(max((p.t for p in whole), default=0) + silence)
    one, two = Outcome(), Outcome()
    run(Tracker(Limits(), one.counters), one, parts, clock)
    run(Halves(two), two, parts, clock)
    assert not differences(one, two)


def test_each_connection_is_in_one_half_whichever_way_its_packets_go() -> None:
    script: list[P] = []
    for client in CLIENTS * 20:
        client = (client[0], client[1], client[2] + len(script))
        script += [
            P(0, "S", client=client),
            P(0, "SA", 0, 1, server=True, client=client),
            P(0, "A", 1, 1, client=client),
        ]
    outcome = Outcome()
    for share in (Share.FIRST, Share.SECOND):
        before = len(outcome.rows)
        run(Tracker(Limits(), outcome.counters, share), outcome, [batch(script)], ns(100))
        assert 0 < len(outcome.rows) - before < len(CLIENTS) * 20
    assert len(outcome.rows) == len(CLIENTS) * 20
    assert {dict(row)["packets"] for row in outcome.rows} == {2}


def test_the_clock_that_the_other_half_moved_outlives_a_full_output() -> None:
    """A late packet of one half comes after one of the other half has closed its connection (D1)."""
    clients = {0: [], 1: []}  # type: dict[int, list[tuple[int, int, int]]]
    for number in range(4 * OUT_ROWS):
        client = (0, MAPPED_PREFIX | 0x0A000000 | number >> 14, 1024 + (number & 0x3FFF))
        clients[half(client)].append(client)
    own, (other, *_) = clients[0], clients[1]
    for more in (-2, -1, 0, 1):
        *many, late = own[: OUT_ROWS - 3 + more + 1]
        opened = [P(1, "S", client=client) for client in (*many, late)]
        replaced = [P(1.1, "S", client=client, isn=9) for client in many]
        end = [P(92, "S", client=other), P(83, "A", 1, 1, client=late)]
        parts = [batch(opened), batch(replaced + end)]
        one, two = Outcome(), Outcome()
        run(Tracker(Limits(), one.counters), one, parts, ns(92))
        run(Halves(two), two, parts, ns(92))
        assert not differences(one, two)


def half(client: tuple[int, int, int]) -> int:
    """In which half a connection of this client with `SERVER` is, as `table.half_of` has it."""
    low = client[1] ^ SERVER[1] ^ (client[2] ^ SERVER[2]) << 48
    return (low * 0x9E3779B97F4A7C15 & 2**64 - 1) >> 63
