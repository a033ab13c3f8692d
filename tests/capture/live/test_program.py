"""The program for the kernel, on a machine of our own: it keeps what belongs to the sample, and not much else."""

from __future__ import annotations

import random
import socket
from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfopen.capture.live.packet_socket import NOTHING, SO_ATTACH_FILTER, as_option
from halfopen.capture.live.program import ALL_PORTS, HEADERS, MOST, WITH_DATA, program
from halfopen.capture.reference.frames import SkipError, parse
from halfopen.model import MAPPED_PREFIX, Counter
from halfopen.sampling import WHOLE, Sampling
from tests.capture.layers import CLIENT, IPV4, IPV6, ethernet, ipv4, ipv6, tcp
from tests.capture.live.machine import LOOPBACK, NONE, OTHER_HOST, OUTGOING, Packet, run
from tests.capture.live.oracle import exact, kept
from tests.capture.strategies import frames

PORTS = st.sets(st.integers(0, 65535) | st.sampled_from([443, 40000]), max_size=6).map(frozenset)
WORDS = st.integers(0, 2**32 - 1)
SAMPLINGS = st.builds(
    Sampling,
    st.tuples(WORDS, WORDS),
    st.sampled_from([WHOLE, WHOLE >> 1, WHOLE - 1, 1]) | st.integers(1, WHOLE),
)
FREE = {Counter.not_ip, Counter.not_tcp, Counter.fragment, Counter.tunnelled}
"""Why a packet makes no row, where the program sees it, too; it does not see that lengths contradict each other."""


def check(link: int, frame: bytes, packet: Packet, ports: frozenset[int], sampling: Sampling) -> None:
    """The program keeps of a packet, which is a frame of that link type to the reader, what it must."""
    found = run(program(ports, sampling), packet)
    understood = exact(link, frame)
    try:
        row = parse(link, "<", frame, len(frame))
    except SkipError as skipped:
        assert found in (0, HEADERS, WITH_DATA)
        if understood and skipped.counter in FREE:
            assert found == 0
        return
    if row.kind:
        return
    wanted = kept(row, ports, sampling, outgoing=packet.kind == OUTGOING)
    assert found == (wanted if understood else WITH_DATA)


@given(frames(1, "<"), st.sampled_from([0, 1, 2, OTHER_HOST, OUTGOING]), PORTS, SAMPLINGS)
def test_ethernet(frame: bytes, kind: int, ports: frozenset[int], sampling: Sampling) -> None:
    check(1, frame, Packet(frame, kind), ports, sampling)
    looped = run(program(ports, sampling), Packet(frame, kind, LOOPBACK))
    assert looped == (0 if kind == OUTGOING else run(program(ports, sampling), Packet(frame, kind)))


@given(frames(101, "<"), st.binary(max_size=9), st.sampled_from([0, OUTGOING]), PORTS, SAMPLINGS)
def test_other_links(
    inner: bytes, header: bytes, kind: int, ports: frozenset[int], sampling: Sampling
) -> None:
    """Whatever header they have, or none: the kernel knows where IP begins."""
    protocol = IPV6 if inner[:1] and inner[0] >> 4 == 6 else IPV4
    packet = Packet(header + inner, kind, NONE, protocol=protocol, network=len(header))
    check(101, inner, packet, ports, sampling)


def scattered(runs: int) -> frozenset[int]:
    """So many runs of adjoining ports, or a few less."""
    chance = random.Random(runs)
    begins = [chance.randrange(65536) for _ in range(runs)]
    return frozenset(
        port for begin in begins for port in range(begin, min(begin + chance.choice([1, 5]), 65536))
    )


FITTING = [frozenset[int](), frozenset({0}), frozenset({65535}), ALL_PORTS, frozenset(range(1024))]
FITTING += [scattered(runs) for runs in (2, 3, 30, 300, 500)]


@pytest.mark.parametrize("ports", FITTING, ids=len)
def test_any_number_of_ports(ports: frozenset[int]) -> None:
    made = program(ports, Sampling((1, 2), WHOLE - 1))
    assert len(made) <= MOST
    edges = {port + step for port in (*ports, 0, 443, 65535) for step in (-1, 0, 1)} & ALL_PORTS
    for port in random.Random(1).sample(sorted(edges), min(300, len(edges))):
        if 1 in ports:
            continue  # the client's
        inbound = run(made, Packet(ethernet(ipv4(tcp(source=1, to=port)))))
        ours = run(made, Packet(ethernet(ipv4(tcp(source=port, to=1, flags=0x12))), OUTGOING))
        assert (inbound, ours) == ((WITH_DATA, HEADERS) if port in ports else (0, 0))


def test_more_ports_than_a_program_holds_means_all_ports() -> None:
    sampling = Sampling((1, 2), WHOLE >> 4)
    assert program(scattered(2000), sampling) == program(ALL_PORTS, sampling)


@given(
    st.sets(st.integers(0, 65535), max_size=400).map(frozenset),
    SAMPLINGS,
    st.sets(st.integers(1, 2**31 - 1), max_size=9).map(frozenset),
)
def test_the_kernel_accepts_every_program(
    ports: frozenset[int], sampling: Sampling, without: frozenset[int]
) -> None:
    """It checks them when they are attached, which anybody may do to a socket of one's own."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, as_option(NOTHING) as nothing:
        with as_option(program(ports, sampling, without)) as option:
            sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, option)
        sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, nothing)


def test_interfaces_left_out() -> None:
    made = program(frozenset({443}), Sampling(), frozenset({2, 3, 70000}))
    frame = ethernet(ipv4(tcp()))
    indices = (1, 2, 3, 4, 65536, 69999, 70000, 70001)
    assert [each for each in indices if not run(made, Packet(frame, interface=each))] == [2, 3, 70000]


def test_a_third_tag_passes_and_a_second_is_read() -> None:
    made = program(frozenset({443}), Sampling())
    tag = b"\0\5\x81\0"
    for tags, found in ((1, 0), (2, 0), (3, WITH_DATA)):
        inner = tag * (tags - 1) + b"\0\5\x08\0" + ipv4(tcp(to=80))
        assert run(made, Packet(ethernet(inner, 0x8100))) == found


def test_mapped_addresses_are_the_same_client() -> None:
    sampling = Sampling((7, 9), WHOLE >> 1)
    made = program(frozenset({443}), sampling)
    mapped = IPv6Address(f"::ffff:{CLIENT}")
    for port in range(1000, 1100):
        four = run(made, Packet(ethernet(ipv4(tcp(source=port)))))
        assert run(made, Packet(ethernet(ipv6(tcp(source=port), source=mapped), IPV6))) == four
        assert bool(four) == sampling.takes(0, MAPPED_PREFIX | int(CLIENT), port)
