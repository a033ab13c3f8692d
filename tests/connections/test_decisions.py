"""Readings of the decisions that the matrix of captures leaves open, by both implementations."""

from __future__ import annotations

from typing import Any

import pytest

from halfopen.connections.limits import Limits
from halfopen.connections.reference import ReferenceTracker
from halfopen.connections.rules import tag_names
from halfopen.connections.tracker import Tracker
from halfopen.model import Counter, Stage
from tests.connections.packets import AnyTracker, Outcome, P, batch, ns, run

TRACKERS = {"kernel": Tracker, "reference": ReferenceTracker}
REQUEST = b"GET / HTTP/1.1\r\nHost: www.example\r\n\r\n"
BEHIND = 1 + len(REQUEST)
OPEN = [P(0, "S"), P(0.01, "SA", 0, 1, server=True), P(0.02, "A", 1, 1), P(0.03, "PA", 1, 1, REQUEST)]


@pytest.fixture(params=TRACKERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def judged(
    kind: str, script: list[P], end: float = 20, limits: Limits | None = None
) -> tuple[dict[str, Any], Outcome]:
    """The one connection of a script, its tags by name, and the counters."""
    outcome = Outcome()
    tracker: AnyTracker = TRACKERS[kind](limits or Limits(), outcome.counters)
    run(tracker, outcome, [batch(script)], ns(end))
    (row,) = [dict(row) for row in outcome.rows]
    row["tags"] = tag_names(row["tags"])
    return row, outcome


def test_d1_an_ack_in_the_reset_itself_is_an_answer(kind: str) -> None:
    """A client that resets at once on the answer acknowledges it there: an exchange that was finished."""
    answer = P(0.1, "PA", 1, BEHIND, b"x" * 500, server=True)
    row, _ = judged(kind, [*OPEN, answer, P(0.11, "RA", BEHIND, 501)])
    assert row["stage"] == Stage.post_psh
    assert "answered" in row["tags"]
    row, _ = judged(kind, [*OPEN, answer, P(0.11, "RA", BEHIND, 1)])
    assert "answered" not in row["tags"]


def test_d1_exactly_the_idle_timeout_is_not_more_than_it(kind: str) -> None:
    assert judged(kind, OPEN, 0.03 + 10)[0]["stage"] == Stage.undecided
    assert judged(kind, [*OPEN, P(0.04, "A", 1, BEHIND, server=True)], 10.04)[0]["stage"] == Stage.post_psh


def test_d1_another_idle_timeout(kind: str) -> None:
    script = [*OPEN, P(0.04, "A", 1, BEHIND, server=True)]
    assert judged(kind, script, 5, Limits(idle_timeout=3 * 10**9))[0]["stage"] == Stage.post_psh


def test_d2_other_flags_of_the_syn_do_not_matter(kind: str) -> None:
    for flags, opened in (("SE", 1), ("SP", 1), ("SU", 1), ("SA", 0), ("SR", 0), ("SF", 0)):
        outcome = Outcome()
        run(TRACKERS[kind](Limits(), outcome.counters), outcome, [batch([P(0, flags)])], ns(20))
        assert outcome.counters[Counter.connections] == opened
        assert outcome.counters[Counter.no_syn] == 1 - opened


def test_d3_a_syn_ack_of_the_client_is_no_repeated_syn(kind: str) -> None:
    """A split handshake: the client answers the server's SYN with a SYN+ACK."""
    row, _ = judged(kind, [P(0, "S"), P(0.01, "S", 0, server=True), P(0.02, "SA", 0, 1), P(0.03, "A", 1, 1)])
    assert "syn_retransmitted" not in row["tags"]
    row, _ = judged(kind, [P(0, "S"), P(1, "S", ip_id=2)])
    assert "syn_retransmitted" in row["tags"]


def test_d11_every_connection_is_accounted_for_once(kind: str) -> None:
    """Opened ones are decided or left out for one reason, and the counters say how many of each."""
    script = [*OPEN, P(0.04, "A", 1, BEHIND, server=True), P(30, "S", isn=7), P(30.5, "S", isn=99)]
    outcome = Outcome()
    run(TRACKERS[kind](Limits(), outcome.counters), outcome, [batch(script)], ns(31))
    counters = outcome.counters
    assert counters[Counter.connections] == 3 == len(outcome.rows)
    assert [int(counters[c]) for c in (Counter.decided, Counter.replaced, Counter.undecided)] == [1, 1, 1]


def test_d15_a_connection_belongs_to_the_time_of_its_first_syn(kind: str) -> None:
    row, _ = judged(kind, [P(0, "S"), P(3, "S", ip_id=1), P(7, "S", ip_id=2)], 200)
    assert row["start"] == ns(0)
    assert row["end"] == ns(7)


def test_d18_what_a_snaplen_cut_gives_no_name_and_still_counts_as_data(kind: str) -> None:
    cut = P(0.03, "PA", 1, 1, REQUEST[:20], length=len(REQUEST))
    row, outcome = judged(kind, [*OPEN[:3], cut, P(0.04, "R", BEHIND)])
    assert row["stage"] == Stage.post_psh
    assert row["name"] == ""
    assert outcome.counters[Counter.trigger_dropped] == 0


@pytest.mark.parametrize("partial", [False, True])
def test_what_a_server_sent_unseen_leaves_nothing_outstanding(kind: str, partial: bool) -> None:
    """A request whose acknowledgement was not looked at is no capture that broke off (D17 is for files)."""
    script = [P(0, "S"), P(0, "SA", 0, 1, server=True), P(0, "A", 1, 1), P(0, "PA", 1, 1, b"hello")]
    row, _ = judged(kind, script, 20, Limits(partial=partial))
    assert row["stage"] == (Stage.post_psh if partial else Stage.undecided)


@pytest.mark.parametrize("partial", [False, True])
def test_an_idle_connection_is_undecided_at_the_end_whatever_was_seen_of_the_answer(
    kind: str, partial: bool
) -> None:
    script = [P(0, "S"), P(0, "SA", 0, 1, server=True), P(0, "A", 1, 1), P(0, "PA", 1, 1, b"hello")]
    if not partial:
        script.append(P(0, "PA", 1, 6, b"answer", server=True))
    script.append(P(0, "A", 6, 7))
    row, _ = judged(kind, script, 20, Limits(partial=partial))
    assert row["stage"] == Stage.undecided


@pytest.mark.parametrize("partial", [False, True])
def test_resets_beyond_what_was_seen_of_the_server_may_be_its_own(kind: str, partial: bool) -> None:
    """The server answered with 60 kB, closed, and reset what still came: two RSTs, apart and far ahead."""
    script = [P(0, "S"), P(0, "SA", 0, 1, server=True), P(0, "A", 1, 1), P(0, "PA", 1, 1, b"hello")]
    resets = [P(1, "R", 60_001, server=True), P(1, "R", 30_001, server=True)]
    row, _ = judged(kind, [*script, *resets], 20, Limits(partial=partial))
    assert row["stage"] == (Stage.no_match if partial else Stage.post_psh)
