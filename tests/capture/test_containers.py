"""pcap and pcapng: byte orders, clocks, blocks, and what damage costs."""

from __future__ import annotations

import struct

import pytest

from halfopen.model import CLOCK_STEP, SECOND, Counter, Kind
from tests.capture import layers
from tests.capture.comparison import assert_same
from tests.capture.layers import (
    block,
    enhanced,
    ethernet,
    interface,
    ipv4,
    option,
    pcap,
    record,
    section,
    tcp,
)

FRAME = ethernet(ipv4(tcp(b"x")))
ARP = ethernet(bytes(28), 0x0806)


def times(data: bytes) -> list[int]:
    read = assert_same(data)
    assert read.damage is None
    return [int(ts) for ts in read.rows["ts"]]


@pytest.mark.parametrize("order", "<>")
def test_pcap_in_micro_and_nanoseconds_and_either_byte_order(order: str) -> None:
    records = record(1.5, FRAME, order=order)
    assert times(pcap(records, order=order)) == [SECOND * 3 // 2]
    assert times(pcap(records, magic=0xA1B23C4D, order=order)) == [SECOND + 500_000]


def test_the_upper_half_of_a_pcap_link_type_is_something_else() -> None:
    assert assert_same(pcap(record(1, FRAME), link=0x4000_0001)).counters[Counter.tcp] == 1


@pytest.mark.parametrize("order", "<>")
def test_sections_and_interfaces_of_their_own_kind(order: str) -> None:
    data = section("<") + interface(101) + interface(1) + enhanced(5, ipv4(tcp()), 0) + enhanced(6, FRAME, 1)
    data += section(order) + interface(113, order=order)
    data += enhanced(7, bytes(14) + b"\x08\0" + ipv4(tcp()), order=order)
    assert times(data) == [5000, 6000, 7000]


@pytest.mark.parametrize(
    ("resolution", "ticks", "ns"),
    [
        (6, 1_500_000, 1_500_000_000),
        (9, 1_500_000_001, 1_500_000_001),
        (0, 3, 3 * SECOND),
        (3, 1500, 1_500_000_000),
        (12, 1_500_000_000_999, 1_500_000_000),
        (19, 10**19, SECOND),
        (0x80 | 1, 3, 1_500_000_000),
        (0x80 | 20, 1 << 21, 2 * SECOND),
        (0x80 | 63, 3 << 62, 1_500_000_000),
        (0x80 | 127, (1 << 64) - 1, 0),
        (0, (1 << 64) - 1, (1 << 62) - 1),
    ],
)
def test_resolution_of_time_stamps(resolution: int, ticks: int, ns: int) -> None:
    assert times(section() + interface(1, option(9, bytes([resolution]))) + enhanced(ticks, FRAME)) == [ns]


def test_offset_of_time_stamps() -> None:
    for offset, ns in ((100, 105 * SECOND), (-3, 2 * SECOND), (-100, 0), (-(1 << 63), 0)):
        options = option(9, b"\0"), option(14, struct.pack("<q", offset))
        assert times(section() + interface(1, *options) + enhanced(5, FRAME)) == [ns]


def test_simple_packets_take_the_time_of_the_clock() -> None:
    data = section() + interface(1, snaplen=60) + layers.simple(FRAME)
    data += enhanced(9, FRAME) + enhanced(7, FRAME) + layers.simple(FRAME)
    assert times(data) == [0, 9000, 7000, 9000]


def test_simple_packets_are_cut_by_the_snaplen_of_the_interface() -> None:
    read = assert_same(section() + interface(1, snaplen=52) + layers.simple(FRAME[:52], length=len(FRAME)))
    assert (read.damage, read.rows["payload_length"][0], read.rows["payload_captured"][0]) == (None, 1, 0)


def test_obsolete_packets() -> None:
    assert times(section() + interface() + layers.obsolete(8, FRAME)) == [8000]


def test_other_blocks_are_passed_over_however_large() -> None:
    data = section() + interface() + block(0xBAD, b"?") + block(5, bytes(1 << 20)) + enhanced(4, FRAME)
    assert times(data + block(0x80000BAD, bytes(5 << 20)) + enhanced(5, FRAME)) == [4000, 5000]


def test_a_break_where_the_clock_steps_back() -> None:
    assert times(pcap(record(100, FRAME), record(90, FRAME), record(95, FRAME))) == [
        100 * SECOND,
        90 * SECOND,
        95 * SECOND,
    ]
    read = assert_same(pcap(record(100, FRAME), record(89, ARP), record(89, FRAME), record(99, FRAME)))
    assert read.rows["kind"].tolist() == [Kind.TCP, Kind.BREAK, Kind.TCP, Kind.TCP]
    assert read.rows["ts"].tolist() == [100 * SECOND, 100 * SECOND, 89 * SECOND, 99 * SECOND]
    assert read.clock == 99 * SECOND
    assert CLOCK_STEP == 10 * SECOND


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04" + bytes(100),
        b"\xd4\xc3\xb2\xa1" + bytes(19),  # cut in the file header
        section()[:20],
        b"\x0a\x0d\x0d\x0a\x1c\0\0\0" + bytes(24),  # no byte order
        block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 2, 0, -1)),
    ],
)
def test_what_is_no_capture(data: bytes) -> None:
    read = assert_same(data)
    assert read.damage is not None
    assert read.damage.offset == 0
    assert read.counters[Counter.packets] == 0


GOOD = pcap(record(1, FRAME), record(2, FRAME))
GOODNG = section() + interface() + enhanced(4, FRAME)


@pytest.mark.parametrize(
    ("good", "bad", "expected"),
    [
        (GOOD, record(3, FRAME)[:-1], "the rest of a packet record"),
        (GOOD, record(3, FRAME)[:9], "the rest of a packet record"),
        (GOOD, struct.pack("<IIII", 1, 1, 1 << 31, 1 << 31) + bytes(99), "at most 262144"),
        (GOODNG, enhanced(5, FRAME)[:-1], "the rest of a pcapng block"),
        (GOODNG, block(5, bytes(1 << 20))[:-1], "the rest of a pcapng block"),
        (GOODNG, struct.pack("<II", 5, 0xFFFF_FFF0) + bytes(99), "the rest of a pcapng block"),
        (GOODNG, struct.pack("<III", 5, 13, 0) + bytes(99), "a multiple of 4"),
        (GOODNG, struct.pack("<III", 5, 8, 8), "at least 12"),
        (GOODNG, block(5, b"name")[:-4] + struct.pack("<I", 20), "repeated at the end"),
        (GOODNG, enhanced(5, FRAME, number=1), "an interface described before"),
        (GOODNG, block(6, bytes(16)), "fits its block"),
        (GOODNG, block(6, struct.pack("<IIIII", 0, 0, 0, 99, 99) + FRAME), "fits its block"),
        (
            GOODNG,
            block(6, struct.pack("<IIIII", 0, 0, 0, 1 << 20, 1 << 20) + bytes(1 << 20)),
            "fits its block",
        ),
        (GOODNG, block(1, b"\1\0\0\0"), "link type and snaplen"),
    ],
)
def test_damage_costs_only_what_follows_it(good: bytes, bad: bytes, expected: str) -> None:
    before, read = assert_same(good), assert_same(good + bad)
    assert before.damage is None
    assert read.damage is not None
    assert read.damage.offset == len(good)
    assert expected in read.damage.expected
    assert read.counters.tolist() == before.counters.tolist()


def test_a_capture_of_many_buffers_in_odd_pieces() -> None:
    packets = [record(i / 1000, ethernet(ipv4(tcp(bytes(i % 1400))))) for i in range(9000)]
    data = pcap(*packets)
    assert len(data) > 1 << 22
    read = assert_same(data, step=99_991)
    assert read.counters[Counter.tcp] == 9000
