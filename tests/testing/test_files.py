"""The files the builder writes hold what was put into them, as our own reader reads them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfopen.capture.source import open_captures
from halfopen.testing.conversation import Conversation, framed
from halfopen.testing.pcap import ByteOrder, Frame, pcap, read_pcap
from halfopen.testing.pcapng import Pcapng

ORDERS: tuple[ByteOrder, ...] = ("little", "big")
TALK = Conversation(("192.0.2.1", 40000), ("203.0.113.200", 80), start=1_700_000_000_123_456_789)
FRAMES = framed(TALK.open().data(b"hello").rst())
TIMES = [frame.ts for frame in FRAMES]


def times(data: bytes, tmp_path: Path) -> list[int]:
    file = tmp_path / "x"
    file.write_bytes(data)
    (capture,) = open_captures([str(file)])
    found = [int(ts) for batch in capture.batches() for ts in batch.rows["ts"]]
    assert not capture.problems
    return found


@given(
    st.lists(st.tuples(st.integers(0, 2**32 * 10**9 - 1), st.binary(max_size=80))),
    st.sampled_from(ORDERS),
    st.integers(0, 300),
)
def test_pcap_is_read_back(packets: list[tuple[int, bytes]], order: ByteOrder, link: int) -> None:
    frames = [Frame(ts, data) for ts, data in packets]
    again = read_pcap(pcap(frames, link, byteorder=order))
    assert again == (link, [Frame(ts, data, len(data)) for ts, data in packets])


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("nanoseconds", [False, True])
def test_pcap_resolution(order: ByteOrder, nanoseconds: bool, tmp_path: Path) -> None:
    unit = 1 if nanoseconds else 1000
    data = pcap(FRAMES, byteorder=order, nanoseconds=nanoseconds)
    assert times(data, tmp_path) == [ts // unit * unit for ts in TIMES]


def test_snaplen_keeps_the_length_on_the_wire() -> None:
    _, frames = read_pcap(pcap(FRAMES, snaplen=54))
    assert {len(frame.data) for frame in frames} == {54}
    assert [frame.length for frame in frames] == [len(frame.data) for frame in FRAMES]


@pytest.mark.parametrize(
    "damage", [b"", b"no capture at all, just words", pcap(FRAMES)[:-1], pcap(FRAMES)[:30]]
)
def test_damage_is_refused(damage: bytes) -> None:
    with pytest.raises(ValueError, match=r"pcap|cut short"):
        read_pcap(damage)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("resolution", "unit"), [(None, 1000), (6, 1000), (9, 1), (3, 10**6), (0x9E, 1)])
@pytest.mark.parametrize("offset", [None, 1_000_000])
def test_pcapng_resolution_and_offset(
    order: ByteOrder, resolution: int | None, unit: int, offset: int | None, tmp_path: Path
) -> None:
    file = Pcapng(order)
    file.interface(tsresol=resolution, tsoffset=offset)
    for frame in FRAMES:
        file.packet(frame.ts, frame.data)
    found = times(file.data, tmp_path)
    assert len(found) == len(TIMES)
    assert all(0 <= ts - at <= max(unit, 2) for ts, at in zip(TIMES, found, strict=True))


def test_pcapng_blocks_sections_and_interfaces(tmp_path: Path) -> None:
    file = Pcapng("big")
    file.interface(link=101, tsresol=9)
    file.interface(tsresol=9)
    file.packet(FRAMES[0].ts, FRAMES[0].data, interface=1)
    file.block(0x0BAD, bytes(8))  # a block nobody knows
    file.obsolete_packet(FRAMES[1].ts, FRAMES[1].data, interface=1)
    file.section("little")
    file.interface(tsresol=9)
    file.packet(FRAMES[2].ts, FRAMES[2].data)
    assert times(file.data, tmp_path) == TIMES[:3]


def test_simple_packets_are_read(tmp_path: Path) -> None:
    file = Pcapng()
    file.interface()
    for frame in FRAMES:
        file.simple_packet(frame.data)
    assert len(times(file.data, tmp_path)) == len(FRAMES)
