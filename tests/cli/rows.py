"""Connection rows made up at random, for everything that prints them."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from halfopen.connections.rules import SIGNATURES, Tag
from halfopen.model import (
    CONNECTION,
    FIRST_PACKET,
    MAPPED_PREFIX,
    NO_TIME,
    PACKETS_KEPT,
    PLACE,
    UNKNOWN_DELTA,
    LeftOut,
    Relation,
    Stage,
    TriggerKind,
)
from halfopen.pipeline import Judged

_delta = st.one_of(st.just(UNKNOWN_DELTA), st.integers(-(2**31) + 1, 2**31 - 1))
_byte = st.integers(0, 255)
_port = st.integers(0, 65535)
_time = st.integers(0, 4_000_000_000_000_000_000)
_half = st.integers(0, 2**64 - 1)
_address = st.one_of(
    st.tuples(st.just(0), st.integers(0, 2**32 - 1).map(lambda low: MAPPED_PREFIX | low)),
    st.tuples(_half, _half),
)


@st.composite
def judged(draw: st.DrawFn, most: int = 8) -> Judged:
    """A batch as the pipeline hands it on."""
    size = draw(st.integers(0, most))
    rows, places = np.zeros(size, CONNECTION), np.zeros(size, PLACE)
    names = packets = b""
    for row, place in zip(rows, places, strict=True):
        for side in ("client", "server"):
            row[f"{side}_hi"], row[f"{side}_lo"] = draw(_address)
            row[f"{side}_port"] = draw(_port)
        row["start"], row["end"] = draw(_time), draw(_time)
        row["gap"] = draw(st.one_of(st.just(NO_TIME), _time))
        row["tags"] = draw(st.integers(0, (1 << len(Tag)) - 1))
        for delta in ("ttl_delta", "ip_id_delta", "seq_delta"):
            row[delta] = draw(_delta)
        for count in ("resets", "reset_acks", "reset_echoes", "data_after_reset"):
            row[count] = draw(_byte)
        row["duplicates"] = draw(st.integers(0, 2**32 - 1))
        row["left_out"] = draw(st.sampled_from(LeftOut))
        row["stage"] = draw(st.sampled_from(Stage))
        row["signature"] = draw(st.integers(0, len(SIGNATURES)))
        row["relation"] = draw(st.sampled_from(Relation))
        row["trigger"] = draw(st.sampled_from(TriggerKind))
        if row["trigger"]:
            name = draw(st.binary(max_size=40))
            row["name_offset"], row["name_length"] = len(names), len(name)
            names += name
        size = FIRST_PACKET.itemsize
        packets += draw(st.binary(max_size=2)).ljust(size)  # of a connection that is not among these
        kept = draw(st.integers(0, PACKETS_KEPT))
        row["packets"], row["packets_offset"] = kept, len(packets) // size
        packets += draw(st.binary(min_size=kept * size, max_size=kept * size))
        place["asn"] = draw(st.sampled_from((0, 64496, 2**32 - 1)))
        place["location"] = draw(st.sampled_from((b"", b"DE", b"US")))
        place["continent"] = draw(st.sampled_from((b"", b"EU", b"NA")))
    seen = np.frombuffer(packets, FIRST_PACKET)
    return Judged("a.pcap", rows, np.frombuffer(names, np.uint8), places, seen)
