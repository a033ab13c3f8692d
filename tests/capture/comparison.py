"""The reader and its twin side by side."""

from __future__ import annotations

import io
from collections import Counter as Tally
from collections.abc import Iterable

import numpy as np

from halfopen.capture.reading import Reading
from halfopen.capture.records import CLOCK, LINKS
from halfopen.capture.reference import Result, read
from halfopen.capture.source import read_stream
from halfopen.capture.window import Window
from halfopen.errors import CaptureError
from halfopen.model import PACKET, Counter, Rows, new_counters

LOW = (1 << 64) - 1


class Trickle(io.BytesIO):
    """A stream that never gives more than `step` bytes at once."""

    def __init__(self, data: bytes, step: int) -> None:
        super().__init__(data)
        self._step = step

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        return super().readinto(buffer[: self._step])


class Fast:
    """What the kernels make of a stream."""

    def __init__(self, data: bytes, step: int = 1 << 22) -> None:
        reading = Reading()
        self.rows = np.empty(0, PACKET)
        self.payloads: list[bytes] = []
        self.damage: CaptureError | None = None
        try:
            for batch in read_stream(Window(Trickle(data, step)), "test", reading):
                self.rows = np.concatenate([self.rows, batch.rows])
                for row in batch.rows:
                    offset, end = (
                        int(row["payload_offset"]),
                        int(row["payload_offset"] + row["payload_captured"]),
                    )
                    assert end <= len(batch.data)
                    self.payloads.append(batch.data[offset:end].tobytes())
        except CaptureError as damage:
            self.damage = damage
        self.counters = reading.counters
        self.clock = int(reading.clock[CLOCK])
        self.links = {int(link): int(reading.links[link]) for link in np.flatnonzero(reading.links)}


def as_rows(result: Result) -> Rows:
    """The packets of the reference as the kernels would lay them down."""
    rows = np.zeros(len(result.packets), PACKET)
    for row, packet in zip(rows, result.packets, strict=True):
        fields = vars(packet) | {
            "src_hi": packet.src >> 64,
            "src_lo": packet.src & LOW,
            "dst_hi": packet.dst >> 64,
            "dst_lo": packet.dst & LOW,
        }
        for name in PACKET.names or ():
            row[name] = fields[name]
    return rows


def differences(one: Rows, other: Rows, names: Iterable[str]) -> dict[str, tuple[list[int], list[int]]]:
    return {
        name: (one[name].tolist(), other[name].tolist())
        for name in names
        if one[name].tolist() != other[name].tolist()
    }


def assert_same(data: bytes, step: int = 1 << 22) -> Fast:
    """Both readers must say the same of `data`, which comes `step` bytes at a time."""
    fast, slow = Fast(data, step), read(data)
    assert len(fast.rows) == len(slow.packets)
    names = [name for name in PACKET.names or () if name != "payload_offset"]  # from another beginning
    assert not differences(fast.rows, as_rows(slow), names)
    ends = [
        (packet.payload_offset, packet.payload_offset + packet.payload_captured) for packet in slow.packets
    ]
    assert fast.payloads == [data[start:end] for start, end in ends]
    counters = new_counters()
    for counter, count in slow.counters.items():
        counters[counter] = count
    assert {c.name: (a, b) for c, a, b in zip(Counter, fast.counters, counters, strict=True) if a != b} == {}
    links = Tally[int]()
    for link, count in slow.unknown_links.items():
        links[min(link, LINKS - 1)] += count
    assert (fast.clock, fast.links) == (slow.clock, links)
    assert (fast.damage and fast.damage.offset) == slow.damage
    return fast
