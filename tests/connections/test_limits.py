"""A full table: whom it leaves out, and that it says so (docs/method.md, eviction)."""

from __future__ import annotations

import pytest

from halfopen.connections.limits import Limits
from halfopen.connections.reference import ReferenceTracker
from halfopen.connections.tracker import Tracker
from halfopen.errors import UsageError
from halfopen.model import MAPPED_PREFIX, Counter, LeftOut
from tests.connections.packets import AnyTracker, Outcome, P, batch, ns, run

TRACKERS = {"kernel": Tracker, "reference": ReferenceTracker}


def client(number: int) -> tuple[int, int, int]:
    """Address and port of one of several clients."""
    return (0, MAPPED_PREFIX | 0xC0000200 | number, 40000)


def syn_only(number: int, t: float) -> list[P]:
    return [P(t, "S", client=client(number))]


def opened(number: int, t: float) -> list[P]:
    return [*syn_only(number, t), P(t + 0.01, "A", 1, 1, client=client(number))]


def ended(number: int, t: float) -> list[P]:
    return [*opened(number, t), P(t + 0.02, "FA", 1, 1, client=client(number))]


def judged(number: int, t: float) -> list[P]:
    """Ten packets and neither FIN nor RST: the verdict is out, the ports stay known."""
    acks = [P(t + 0.01 * n, "A", 1, n, client=client(number)) for n in range(1, 10)]
    return [*syn_only(number, t), *acks]


def left_out(kind: str, script: list[P], room: int) -> tuple[dict[int, LeftOut], Outcome]:
    """Why each client was left out, or that it was decided, in a table with `room`."""
    outcome = Outcome()
    tracker: AnyTracker = TRACKERS[kind](Limits(max_connections=room), outcome.counters)
    run(tracker, outcome, [batch(sorted(script, key=lambda p: p.t))], ns(1000))
    rows = [dict(row) for row in outcome.rows]
    return {row["client_lo"] & 0xFF: LeftOut(row["left_out"]) for row in rows}, outcome


@pytest.mark.parametrize("kind", TRACKERS)
def test_a_judged_one_goes_first_and_loses_nothing(kind: str) -> None:
    found, outcome = left_out(kind, judged(1, 1) + syn_only(2, 0) + opened(3, 0.5) + syn_only(4, 2), 3)
    assert set(found.values()) == {LeftOut.decided}
    assert len(found) == 4
    assert outcome.counters[Counter.evicted] == 0


@pytest.mark.parametrize("kind", TRACKERS)
def test_syn_only_ones_go_before_open_and_ended_ones(kind: str) -> None:
    """The one whose wait would be over first: here the one that was heard first."""
    script = opened(1, 0) + ended(2, 0.1) + syn_only(3, 1) + syn_only(4, 3) + syn_only(5, 5)
    found, outcome = left_out(kind, script, 4)
    assert [number for number, why in found.items() if why == LeftOut.evicted] == [3]
    assert outcome.counters[Counter.evicted] == 1
    assert outcome.counters[Counter.decided] == 4


@pytest.mark.parametrize("kind", TRACKERS)
def test_open_ones_go_before_ended_ones(kind: str) -> None:
    found, _ = left_out(kind, ended(1, 0) + opened(2, 0.5) + opened(3, 1.5) + syn_only(4, 4), 3)
    assert [number for number, why in found.items() if why == LeftOut.evicted] == [2]


@pytest.mark.parametrize("kind", TRACKERS)
def test_ended_ones_go_last(kind: str) -> None:
    found, _ = left_out(kind, ended(1, 0) + ended(2, 2) + syn_only(3, 4), 2)
    assert [number for number, why in found.items() if why == LeftOut.evicted] == [1]


@pytest.mark.parametrize("kind", TRACKERS)
def test_a_flood_of_syns_evicts_itself(kind: str) -> None:
    """Connections that got beyond their SYN keep their verdict, and all others are accounted for."""
    good = [p for n in range(5) for p in ended(n, 1 + n)]
    flood = [P(n / 100, "S", client=(0, MAPPED_PREFIX | 0x0A0000FF | n << 8, 1)) for n in range(1000)]
    found, outcome = left_out(kind, good + flood, 20)
    assert all(found[n] == LeftOut.decided for n in range(5))
    counters = outcome.counters
    assert counters[Counter.connections] == 1005
    assert counters[Counter.decided] + counters[Counter.evicted] == 1005
    assert counters[Counter.evicted] >= 1005 - 20 - 5


@pytest.mark.parametrize(
    "options", [{"idle_timeout": 0}, {"max_connections": 0}, {"server_ports": frozenset({70000})}]
)
def test_limits_name_what_they_do_not_accept(options: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="accepted"):
        Limits(**options)  # type: ignore[arg-type]
