"""The flow table of a live sensor: time passes without packets, and what is watched changes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from halfopen.connections.limits import Limits
from halfopen.connections.reference import ReferenceTracker
from halfopen.connections.tracker import Tracker
from halfopen.model import MAPPED_PREFIX, SECOND, Counter, Kind, LeftOut, new_counters
from halfopen.sampling import WHOLE, Sampling
from tests.connections.packets import Outcome, P, batch, differences, ns, run
from tests.connections.rooms import in_use
from tests.connections.test_agreement import GOOD_START, TARGETS, gaps, packets, timed

CLIENTS = [(0, MAPPED_PREFIX | 0xC0000200 | n, 40000 + n) for n in range(12)]
KINDS = {"kernel": Tracker, "reference": ReferenceTracker}


@dataclass(frozen=True)
class Deed:
    """What is done to a tracker so many seconds after what came before."""

    what: str
    after: float = 0


deeds = st.builds(Deed, st.sampled_from(["turn", "turn", "turn", "tighten", "loosen", "serve"]), gaps)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    script=st.lists(
        st.one_of(packets(clients=CLIENTS), packets(clients=CLIENTS[:3], targets=TARGETS), deeds), max_size=40
    ),
    limit=st.sampled_from([1, 3, 1000, 1000]),
    threshold=st.sampled_from([1, WHOLE // 2, WHOLE, WHOLE]),
    key=st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
)
def test_kernel_equals_reference_whatever_is_done(
    script: list[P | Deed], limit: int, threshold: int, key: tuple[int, int]
) -> None:
    """Rows and counters are equal, and so is what is told in between; afterwards nothing is in use."""
    limits, sampling = Limits(max_connections=limit), Sampling(key, threshold)
    fast, plain = Outcome(), Outcome()
    ours = Tracker(limits, fast.counters, sampling=sampling, packets=True)
    twin = ReferenceTracker(limits, plain.counters, sampling=sampling)
    now = 0.0
    ports = [frozenset[int](), frozenset({80, 40003}), frozenset({443, 80})]
    for step in script:
        now = max(now + (step.t if isinstance(step, P) else step.after), 0)
        for outcome, tracker in ((fast, ours), (plain, twin)):
            if isinstance(step, P):
                outcome.take(tracker.feed(batch([replace(one, t=now) for one in timed([step])])))
            elif step.what == "turn":
                outcome.take(tracker.turn(ns(now)))
            elif step.what == "serve":
                tracker.serve(ports[0])
            else:
                getattr(tracker, step.what)()
        if isinstance(step, Deed) and step.what == "serve":
            ports.append(ports.pop(0))
        assert (ours.oldest(), ours.sampling, ours.live) == (twin.oldest(), twin.sampling, twin.live)
    for outcome, tracker in ((fast, ours), (plain, twin)):
        outcome.take(tracker.finish(ns(now)))
        outcome.rows.sort()
    assert not differences(plain, fast)
    assert ours.live == 0
    assert set(in_use(ours).values()) == {0}


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    start=st.sampled_from([0, 1, 3, 4, 4]),
    script=st.lists(packets(clients=CLIENTS[:4]), max_size=24),
    turns=st.lists(st.tuples(st.integers(0, 28), st.floats(0, 1)), max_size=10),
    silence=st.sampled_from([0, 10.5, 95, 1000]),
)
def test_time_that_passes_changes_no_row(
    start: int, script: list[P], turns: list[tuple[int, float]], silence: float
) -> None:
    """Turned between packets, whenever it may be, the table says what it says without that."""
    whole = timed(GOOD_START[:start] + script)
    end = ns(max((p.t for p in whole), default=0) + silence)
    plain, turned = Outcome(), Outcome()
    run(ReferenceTracker(Limits(), plain.counters), plain, [batch(whole)], end)
    tracker = Tracker(Limits(), turned.counters, packets=True)
    clock = 0
    for n, p in enumerate(whole):
        for at, share in sorted(turns):
            if at == n and ns(p.t) > clock:
                turned.take(tracker.turn(clock + int((ns(p.t) - clock) * share)))
        turned.take(tracker.feed(batch([p])))
        clock = 0 if p.kind == Kind.BREAK else max(clock, ns(p.t))
    turned.take(tracker.turn(end))
    turned.take(tracker.finish(end))
    turned.rows.sort()
    assert not differences(plain, turned)


HANDSHAKE = [P(0, "S"), P(0, "SA", 0, 1, server=True), P(0, "A", 1, 1)]
REQUEST = [*HANDSHAKE, P(0, "PA", 1, 1, b"?"), P(0, "A", 1, 2, server=True)]
ACKS = [P(0, "A", 2, n) for n in range(2, 10)]

FINAL = {
    "SYN, silence": ([P(0, "S")], 90),
    "handshake, silence": (HANDSHAKE, 900),
    "request, silence": (REQUEST, 900),
    "reset of a SYN": ([P(0, "S"), P(0, "R", 1)], 10),
    "reset": ([*REQUEST, P(0, "RA", 2, 1)], 10),
    "FIN": ([*REQUEST, P(0, "FA", 2, 1)], 10),
    "something after the reset": ([*REQUEST, P(0, "RA", 2, 1), P(5, "R", 2)], 15),
    "refused": ([P(0, "S"), P(0.5, "RA", 0, 1, server=True)], 10),
    "reset by the server": ([*REQUEST, P(5, "RA", 1, 2, server=True)], 10),
    "reset by the server after silence": ([*REQUEST, P(300, "RA", 1, 2, server=True)], 300),
    "ten packets": ([*HANDSHAKE, *ACKS], -1),
    "ten packets with a reset": ([*REQUEST, *ACKS[:6], P(0, "R", 2)], -1),
    "ten SYNs": ([P(3 * n, "S") for n in range(10)], 27 + 90),
    "a request nine times": ([P(0, "S"), *(P(3 * n, "PA", 1, 1, b"?") for n in range(9))], 24 + 900),
    "and then something new": (
        [P(0, "S"), *(P(3 * n, "PA", 1, 1, b"?") for n in range(9)), P(40, "A", 2, 9)],
        39,
    ),
    "only a stray reset": ([*REQUEST, P(0, "R", 1 << 30)], 900),
    "closed by the server": ([*REQUEST, P(0, "FA", 1, 2, server=True), P(0, "A", 2, 2)], 900),
    "replaced": ([P(0, "S"), P(5, "S", isn=77)], 4),
}
"""Packets, and seconds after the first of them for which the row is not final yet (docs/method.md)."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", FINAL)
def test_how_long_until_a_row_is_final(kind: str, what: str) -> None:
    """By the clock alone, in the second after that."""
    script, seconds = FINAL[what]
    outcome = Outcome()
    tracker: Any = KINDS[kind](Limits(), outcome.counters)
    outcome.take(tracker.turn(ns(-5)))
    for second in range(-1, seconds + 2):
        outcome.take(tracker.feed(batch([p for p in script if second - 1 < p.t <= second])))
        outcome.take(tracker.turn(ns(second)))
        assert bool(outcome.rows) == (second > seconds)
    (row,) = outcome.rows
    assert dict(row)["left_out"] == (LeftOut.replaced if what == "replaced" else LeftOut.decided)


@pytest.mark.parametrize("kind", KINDS)
def test_hours_without_anything(kind: str) -> None:
    outcome = Outcome()
    tracker: Any = KINDS[kind](Limits(), outcome.counters)
    for hour in (0, 1, 2, 50):
        outcome.take(tracker.turn(ns(3600 * hour)))
        outcome.take(tracker.feed(batch([P(3600 * hour + 1, "S")])))
        assert tracker.oldest() == ns(3600 * hour + 1)
    outcome.take(tracker.turn(ns(3600 * 100)))
    assert tracker.live == 0
    assert [dict(row)["gap"] for row in outcome.rows] == [90 * SECOND] * 4


@pytest.mark.parametrize("kind", KINDS)
def test_the_oldest_is_the_earliest_without_a_verdict(kind: str) -> None:
    tracker: Any = KINDS[kind](Limits(), new_counters())
    assert tracker.oldest() is None
    a, b, c = CLIENTS[:3]
    ten = [P(1, "S", client=a), *(P(1 + n / 10, "A", 1, n, client=a) for n in range(1, 10))]
    list(tracker.feed(batch([*ten, P(2, "S", client=b), P(3, "S", client=c)])))
    assert tracker.live == 3  # the first has its verdict and waits for late packets
    assert tracker.oldest() == ns(2)
    list(tracker.turn(ns(20)))
    assert tracker.live == 2
    list(tracker.turn(ns(93)))
    assert tracker.oldest() == ns(3)


@pytest.mark.parametrize("kind", KINDS)
def test_ports_change_while_connections_go_on(kind: str) -> None:
    outcome = Outcome()
    tracker: Any = KINDS[kind](Limits(server_ports=frozenset({443})), outcome.counters)
    a, b, c = CLIENTS[:3]
    outcome.take(tracker.feed(batch([P(0, "S", client=a), P(0, "S", client=b, target=(0, 1, 80))])))
    tracker.serve(frozenset({80}))
    script = [P(1, "S", client=c), P(1, "S", client=b, target=(0, 1, 80)), P(1, "R", 1, client=a)]
    outcome.take(tracker.feed(batch(script)))
    outcome.take(tracker.turn(ns(200)))
    found = {(row["client_port"], row["server_port"]) for row in map(dict, outcome.rows)}
    assert found == {(a[2], 443), (b[2], 80)}
    assert outcome.counters[Counter.not_server] == 2
