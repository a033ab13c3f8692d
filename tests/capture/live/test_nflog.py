"""Messages of the kernel's log become the rows that a capture of the same packets becomes, and never a fault."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfopen.capture.live import nflog
from halfopen.capture.live.nflog import Nflog
from halfopen.capture.live.wire import Losses
from halfopen.capture.reference.frames import Packet, SkipError, parse
from halfopen.model import PACKET, SECOND, Counter, Rows, counts
from halfopen.sampling import Sampling
from tests.capture import layers
from tests.capture.comparison import as_rows
from tests.capture.live.messages import attribute, done, logged, message
from tests.capture.strategies import internet

SEGMENT = layers.ipv4(layers.tcp(b"hello"))


class Kernel:
    """The other end of a wire: datagrams are read as from the kernel, in one batch where they fit."""

    def __init__(self) -> None:
        self._end, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        ours.setblocking(False)
        self.wire = Nflog(ours, 5)

    def rows(self, *datagrams: bytes) -> tuple[Rows, list[bytes]]:
        """Rows, and what their payload offsets point to."""
        rows, payloads = [np.empty(0, PACKET)], []
        for datagram in datagrams:
            self._end.send(datagram)
        for batch in self.wire.batches():
            rows.append(batch.rows.copy())
            for row in batch.rows:
                offset, size = int(row["payload_offset"]), int(row["payload_captured"])
                assert offset + size <= len(batch.data)
                payloads.append(batch.data[offset : offset + size].tobytes())
        return np.concatenate(rows), payloads

    def counted(self) -> dict[str, int]:
        return {name: count for name, count in counts(self.wire.counters).items() if count}

    def close(self) -> None:
        self._end.close()
        self.wire.close()


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    made = Kernel()
    yield made
    made.close()


def test_it_is_a_wire(kernel: Kernel) -> None:
    wire = kernel.wire
    assert wire.name == "NFLOG group 5"
    assert "--print-nft" in wire.waiting
    assert wire.fileno() >= 0
    wire.watch(frozenset({443}), Sampling())
    wire.look()
    assert list(wire.batches()) == []
    kernel.rows(logged(SEGMENT, seq=0))
    assert wire.waiting == ""


def test_times_are_the_kernels_or_of_the_packet_before_or_of_reading(kernel: Kernel) -> None:
    before = time.time_ns()
    rows, _ = kernel.rows(
        logged(SEGMENT) + logged(SEGMENT, time=1_800_000_000_250_001) + logged(SEGMENT) + done(),
        logged(SEGMENT),
    )
    told = 1_800_000_000 * SECOND + 250_001_000
    assert rows["ts"][1:3].tolist() == [told, told]
    assert all(before <= ts <= time.time_ns() for ts in rows["ts"][[0, 3]].tolist())


def test_gaps_of_the_numbers_are_losses(kernel: Kernel) -> None:
    def numbered(*numbers: int) -> bytes:
        return b"".join(logged(SEGMENT, seq=number) for number in numbers)

    kernel.rows(numbered(3, 4), numbered(5, 7))
    assert kernel.wire.losses() == Losses(received=8, dropped=4)
    kernel.rows(numbered(8, (1 << 32) - 1, 0, 2))
    assert kernel.wire.losses() == Losses(received=(1 << 32) + 3, dropped=(1 << 32) + 3 - 8)


def test_a_cut_packet_is_as_long_as_its_header_says(kernel: Kernel) -> None:
    packet = layers.ipv6(layers.tcp(bytes(1000)))
    rows, payloads = kernel.rows(logged(packet[:100]), logged(packet[:50]))
    assert (int(rows[0]["payload_length"]), payloads) == (1000, [bytes(40)])
    assert kernel.counted() == {"packets": 2, "tcp": 1, "cut_short": 1}


def test_what_waits_comes_in_batches_that_fit(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nflog, "ROOM", nflog.LARGEST + 200)
    small = Kernel()
    rows, payloads = small.rows(*(logged(layers.ipv4(layers.tcp(bytes([n] * 60))), seq=n) for n in range(7)))
    assert payloads == [bytes([n] * 60) for n in range(7)]
    assert len(rows) == 7
    small.close()


@given(st.lists(st.lists(st.tuples(internet(), st.lists(st.tuples(st.integers(1, 21), st.integers(0, 9)))))))
def test_rows_are_those_of_a_capture_of_the_same_packets(
    datagrams: list[list[tuple[bytes, list[tuple[int, int]]]]],
) -> None:
    kernel = Kernel()
    packets: list[Packet] = []
    sent, payloads, expected = [], [], dict.fromkeys(Counter, 0)
    for datagram in datagrams[:8]:
        data = b""
        for packet, others in datagram:
            extra = [attribute(kind, bytes(size)) for kind, size in others if kind != 9]
            data += logged(packet, time=1_800_000_000_000_000 + len(packets), others=extra)
            expected[Counter.packets] += 1
            try:
                row = parse(101, "<", packet, max(len(packet), 1 << 16))
            except SkipError as skipped:
                expected[skipped.counter] += 1
                continue
            expected[Counter.tunnelled if row.kind else Counter.tcp] += 1
            payloads.append(packet[row.payload_offset : row.payload_offset + row.payload_captured])
            packets.append(row)
        sent.append(data + done())
    rows, found = kernel.rows(*sent)
    names = [name for name in PACKET.names or () if name not in ("ts", "payload_offset")]
    assert rows[names].tolist() == as_rows(SimpleNamespace(packets=packets))[names].tolist()  # type: ignore[arg-type]
    assert found == payloads
    assert kernel.counted() == {counter.name: count for counter, count in expected.items() if count}
    kernel.close()


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """Messages with bytes changed, or nothing but noise."""
    parts = st.one_of(
        st.binary(max_size=80),
        st.builds(logged, internet(), seq=st.integers(0, (1 << 32) - 1), time=st.integers(0, 1 << 80)),
        st.builds(message, st.binary(max_size=60)),
    )
    data = bytearray(b"".join(draw(st.lists(parts, max_size=5))))
    for _ in range(draw(st.integers(0, 6))):
        if data:
            at = draw(st.integers(0, len(data) - 1))
            data[at] = draw(st.sampled_from([0, 1, 3, 4, 5, 255]) | st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))])


@given(st.lists(broken(), max_size=6))
def test_whatever_comes_is_counted_and_nothing_breaks(datagrams: list[bytes]) -> None:
    kernel = Kernel()
    rows, _ = kernel.rows(*datagrams)
    counted = counts(kernel.wire.counters)
    assert counted["packets"] == sum(counted.values()) - counted["packets"]
    assert len(rows) <= counted["tcp"] + counted["tunnelled"]
    assert kernel.wire.losses().dropped >= 0
    kernel.close()


@pytest.mark.parametrize("datagram", [
    struct.pack("=IHHII", 15, 0x400, 0, 0, 0) + bytes(40),
    struct.pack("=IHHII", 0xFFFFFFFF, 0x400, 0, 0, 0) + bytes(40),
])  # fmt: skip
def test_a_length_that_cannot_be_ends_the_datagram_only(kernel: Kernel, datagram: bytes) -> None:
    rows, _ = kernel.rows(datagram + logged(SEGMENT), logged(SEGMENT))
    assert len(rows) == 1
    assert kernel.counted() == {"packets": 2, "malformed": 1, "tcp": 1}
