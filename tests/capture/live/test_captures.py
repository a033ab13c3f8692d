"""Every test capture, sent over a wire, gives the rows that the reader of files gives, in everything but time.

Frames of other link types than Ethernet go as Ethernet frames around the same IP packets; of the capture whose
link type nobody reads nothing can be sent.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from halfopen.capture.reference import Result
from halfopen.capture.reference.frames import Cursor, SkipError, parse, to_network_layer
from halfopen.model import PACKET, Kind
from halfopen.sampling import WHOLE, Sampling
from halfopen.testing.links import ETHERNET, ethernet
from halfopen.testing.pcap import read_pcap
from tests.capture.comparison import Fast, as_rows, differences
from tests.capture.live.oracle import exact, kept
from tests.capture.live.wires import Require, ring, send, take, wire

CAPTURES = Path(__file__).parents[3] / "captures"
UNREADABLE = "link_unknown.pcap"
COLUMNS = [name for name in PACKET.names or () if name not in ("ts", "payload_offset")]


def captures() -> Iterator[tuple[str, bytes]]:
    for path in sorted((CAPTURES / "matrix").glob("*.pcap")):
        if path.name != UNREADABLE:
            yield path.name, path.read_bytes()
    demo = CAPTURES / "demo.pcap.gz"
    yield demo.name, gzip.decompress(demo.read_bytes())


def framed(data: bytes) -> list[bytes]:
    """The frames of a capture as they go over Ethernet."""
    link, frames = read_pcap(data)
    if link == ETHERNET:
        return [frame.data for frame in frames]
    cursors = [Cursor(frame.data, len(frame.data)) for frame in frames]
    for cursor in cursors:
        to_network_layer(cursor, link, "<")
    return [ethernet(cursor.rest) for cursor in cursors]


def test_the_rows_of_every_capture(require: Require) -> None:
    sent, wanted = dict[str, list[bytes]](), dict[str, Fast]()
    for name, data in captures():
        sent[name], wanted[name] = framed(data), Fast(data)
        segments = wanted[name].rows["kind"] == Kind.TCP
        wanted[name].payloads = [
            each for each, tcp in zip(wanted[name].payloads, segments, strict=True) if tcp
        ]
        wanted[name].rows = wanted[name].rows[segments]
    with wire(require) as space, ring(space, blocks=16) as source:
        send(space, *(frame for frames in sent.values() for frame in frames))
        taken = take(source, sum(len(read.rows) for read in wanted.values()))
    at = 0
    for name, read in wanted.items():
        end = at + len(read.rows)
        assert not differences(taken.rows[at:end], read.rows, COLUMNS), name
        assert taken.payloads[at:end] == read.payloads, name
        at = end
    assert at == len(taken.rows)


@pytest.mark.parametrize(("name", "outgoing"), [("far0", False), ("near0", True)])
def test_the_sample_of_every_capture(require: Require, name: str, outgoing: bool) -> None:
    """The kernel keeps what the readable definition says, coming in and going out."""
    frames = [frame for _, data in captures() for frame in framed(data)]
    ports, sampling = frozenset({80, 443}), Sampling((11, 12), WHOLE >> 1)
    wanted = Result()
    for frame in frames:
        try:
            packet = parse(ETHERNET, "<", frame, len(frame))
        except SkipError:
            continue
        snaplen = kept(packet, ports, sampling, outgoing=outgoing) if exact(ETHERNET, frame) else len(frame)
        if packet.kind == Kind.TCP and snaplen:
            packet.payload_captured = max(min(packet.payload_captured, snaplen - packet.payload_offset), 0)
            wanted.packets.append(packet)
    with wire(require) as space, ring(space, name, blocks=16) as source:
        source.watch(ports, sampling)
        send(space, *frames)
        taken = take(source, len(wanted.packets))
        assert source.losses().dropped == 0
    assert 0 < len(wanted.packets) < len(frames)
    assert not differences(taken.rows, as_rows(wanted), COLUMNS)
    assert np.all(taken.rows["ts"][1:] >= taken.rows["ts"][:-1])
