"""The kernel and the readable reference say the same about any sequence of packets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from halfopen.connections.limits import Limits
from halfopen.connections.reference import ReferenceTracker
from halfopen.connections.tracker import Tracker
from halfopen.model import MAPPED_PREFIX, SECOND, Batch, Kind, Option, Trait, new_counters
from tests.connections.packets import SERVER, Outcome, P, batch, differences, ns, run

HELLO = b"GET / HTTP/1.1\r\nHost: www.example\r\n\r\n"
LONG = b"POST /form HTTP/1.1\r\nX-Padding: " + b"x" * 300 + b"\r\nHost: late.example\r\n\r\n"

# Numbers that meet: retransmissions, overlaps, strays and echoes come up often.
seqs = st.sampled_from(
    [0, 1, 1, 2, 38, 39, 100, 101, 300, 367, -1, 12541, 1 << 20, (1 << 20) + 50, 1 << 30, -(1 << 31)]
)
flags = st.sampled_from(
    [
        "S",
        "S",
        "SA",
        "A",
        "A",
        "A",
        "PA",
        "PA",
        "P",
        "FA",
        "F",
        "R",
        "RA",
        "RA",
        "SE",
        "SCE",
        "SPU",
        "SF",
        "SR",
        "FRA",
        "",
    ]
)
payloads = st.sampled_from(
    [b"", b"", b"", HELLO, HELLO[:20], HELLO[20:], LONG, LONG[:200], LONG[200:], b"\0"]
)
gaps = st.sampled_from(
    [
        0,
        0.001,
        0.004,
        0.005,
        0.02,
        0.1,
        0.3,
        1,
        5,
        9.9,
        10,
        10.001,
        20,
        60,
        90,
        90.5,
        400,
        900,
        901,
        -0.01,
        -3,
    ]
)

HELLO_END = len(HELLO) + 1

TARGETS = [
    SERVER,
    (0, MAPPED_PREFIX | 1, 80),
    (0, MAPPED_PREFIX | 2, 80),
    (1 << 63, 2, 80),
    (1 << 63, 2, 443),
]

CLIENTS = [(0, MAPPED_PREFIX | 0xC0000201, port) for port in (40000, 40000, 40000, 40001, 443)]


@st.composite
def packets(
    draw: st.DrawFn,
    clients: list[tuple[int, int, int]] = CLIENTS,
    targets: list[tuple[int, int, int]] = [SERVER],  # noqa: B006 - it is not changed
) -> P:
    """Any packet between two hosts, or about them."""
    return P(
        t=draw(gaps),
        flags=draw(flags),
        seq=draw(seqs),
        ack=draw(seqs),
        payload=draw(payloads),
        server=draw(st.sampled_from([False, False, False, True, True])),
        window=draw(st.sampled_from([64240, 65535, 1024])),
        ttl=draw(st.sampled_from([57, 64, 200])),
        ip_id=draw(st.sampled_from([0, 0, 7, 54321, 65535])),
        options=draw(
            st.sampled_from(
                [0, Option.MSS, Option.MSS | Option.SCALE | Option.SCALE_8 | Option.SACK_PERMITTED]
            )
        ),
        options_hash=draw(st.sampled_from([0, 0, 5])),
        traits=draw(
            st.sampled_from([Trait.DONT_FRAGMENT, Trait.DONT_FRAGMENT, 0, Trait.IPV6, Trait.FROM_RESPONDER])
        ),
        kind=draw(st.sampled_from([*[Kind.TCP] * 14, Kind.UNREACHABLE, Kind.BREAK])),
        length=draw(st.sampled_from([None, None, None, None, 0, 500])),
        isn=draw(st.sampled_from([1000, 1000, 1000, 1000, 1000, 2**32 - 20, 0xCB007181])),
        client=draw(st.sampled_from(clients)),
        target=draw(st.sampled_from(targets)),
    )


GOOD_START = [P(0, "S"), P(0.01, "SA", 0, 1, server=True), P(0.02, "A", 1, 1), P(0.03, "PA", 1, 1, HELLO)]


def timed(script: list[P]) -> list[P]:
    """Turn the gaps between packets into times, and keep payloads within their lengths."""
    now = 0.0
    out = []
    for p in script:
        now = max(now + p.t, 0)
        length = p.length if p.length is None or p.length >= len(p.payload) else None
        out.append(replace(p, t=now, length=length))
    return out


def both(batches: list[Batch], limits: Limits, clock: int) -> tuple[Outcome, Outcome]:
    """The same packets through both implementations."""
    plain, fast = Outcome(), Outcome()
    run(ReferenceTracker(limits, plain.counters), plain, batches, clock)
    run(Tracker(limits, fast.counters, packets=True), fast, batches, clock)
    return plain, fast


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    start=st.sampled_from([0, 1, 2, 3, 4, 4]),
    script=st.lists(packets(), max_size=24),
    limit=st.sampled_from([1, 2, 1000, 1000]),
    silence=st.sampled_from([0, 1, 10, 10.5, 95, 1000]),
    cut=st.integers(0, 24),
    partial=st.booleans(),
)
@example(
    start=1,
    script=[P(gap, "S", ip_id=n + 1) for n, gap in enumerate([1, 2, 4, 8, 16, 32, 3, 5, 9, 9])],
    limit=9,
    silence=10,
    cut=0,
    partial=False,
)
def test_kernel_equals_reference(
    start: int, script: list[P], limit: int, silence: float, cut: int, partial: bool
) -> None:
    """Rows, evidence, trigger names and counters are equal, however the packets are cut into batches."""
    whole = timed(GOOD_START[:start] + script)
    limits = Limits(max_connections=limit, partial=partial)
    last = max((p.t for p in whole), default=0)
    parts = [batch(whole[:cut]), batch(whole[cut:])]
    plain, fast = both(parts, limits, ns(last + silence))
    assert not differences(plain, fast)


@given(
    steps=st.lists(
        st.sampled_from(["data", "again", "ack", "answer", "fin", "rst", "rstack", "wait"]), max_size=14
    ),
    order=st.randoms(use_true_random=False),
    jitter=st.booleans(),
    copies=st.booleans(),
    isn=st.sampled_from([1000, 2**32 - 30]),
)
def test_reordered_copied_lost(steps: list[str], order: object, jitter: bool, copies: bool, isn: int) -> None:
    """Plausible connections with packets out of order, recorded twice and across the wrap."""
    script, now, seq, ack = [replace(p, isn=isn) for p in GOOD_START[:3]], 0.1, 1, 1
    for n, step in enumerate(steps):
        now += 0.05
        p = P(now, "A", seq, ack, isn=isn, ip_id=100 + n)
        if step == "data":
            script.append(replace(p, flags="PA", payload=HELLO))
            seq += len(HELLO)
        elif step == "again" and seq > 1:
            script.append(replace(p, flags="PA", seq=seq - len(HELLO), payload=HELLO))
        elif step == "answer":
            script.append(P(now, "PA", ack, seq, b"x" * 50, server=True, isn=isn))
            ack += 50
        elif step == "fin":
            script.append(replace(p, flags="FA"))
        elif step in ("rst", "rstack"):
            script.append(replace(p, flags="R" if step == "rst" else "RA", ttl=99))
        elif step == "wait":
            now += 11
        else:
            script.append(p)
    if copies:
        script += [replace(p, t=p.t + 0.003) for p in script]
    if jitter:
        script = [script[0], *order.sample(script[1:], len(script) - 1)]  # type: ignore[attr-defined]
    plain, fast = both([batch(script)], Limits(), ns(now + 950))
    assert not differences(plain, fast)


def test_server_filters_agree() -> None:
    """Ports and networks of the servers are read the same way."""
    from ipaddress import ip_network

    script = [
        P(0, "S"),
        P(0.1, "A", 1, 1),
        P(0.2, "S", client=(0, MAPPED_PREFIX | 1, 443)),
        P(0.3, "PA", 1, 1, server=True),
    ]
    for nets in ((), (ip_network("203.0.113.0/24"),), (ip_network("2001:db8::/32"),), (ip_network("::/0"),)):
        for ports in (frozenset[int](), frozenset({443}), frozenset({80})):
            plain, fast = both([batch(script)], Limits(server_ports=ports, server_nets=nets), ns(100))
            assert not differences(plain, fast)


@pytest.mark.parametrize("connections", [20_000])
def test_full_output_is_emptied(connections: int) -> None:
    """More connections than the output holds become final at once, and none is lost."""
    from halfopen.model import PACKET, Counter

    rows = np.zeros(connections, PACKET)
    rows["ts"] = ns(0) + np.arange(connections)
    rows["src_lo"] = MAPPED_PREFIX | 0x0A000000 | np.arange(connections)
    rows["dst_lo"] = MAPPED_PREFIX | 0xCB007181
    rows["dst_port"], rows["flags"] = 443, 2
    counters = new_counters()
    tracker = Tracker(Limits(max_connections=connections), counters)
    seen = [part.rows.copy() for part in tracker.feed(Batch(rows, np.zeros(1, np.uint8)))]
    seen += [part.rows.copy() for part in tracker.finish(ns(100))]
    clients = np.concatenate([part["client_lo"] for part in seen])
    assert len(np.unique(clients)) == connections == counters[Counter.decided]
    assert (np.concatenate([part["gap"] for part in seen]) == SECOND * 90).all()
