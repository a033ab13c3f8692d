"""Packet rows for tests of the connection core, without any capture around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from halfopen.model import (
    CONNECTION,
    MAPPED_PREFIX,
    PACKET,
    SECOND,
    Batch,
    ConnectionBatch,
    Counter,
    Flag,
    Kind,
    Trait,
    new_counters,
)

FLAGS = {
    "S": Flag.SYN,
    "A": Flag.ACK,
    "P": Flag.PSH,
    "F": Flag.FIN,
    "R": Flag.RST,
    "U": Flag.URG,
    "E": Flag.ECE,
    "C": Flag.CWR,
}

CLIENT = (0, MAPPED_PREFIX | 0xC0000201, 40000)
SERVER = (0, MAPPED_PREFIX | 0xCB007181, 443)
ISN = 1000
SERVER_ISN = 5000


@dataclass(frozen=True)
class P:
    """One packet, sequence and ack numbers relative to the initial ones; `t` in seconds."""

    t: float
    flags: str
    seq: int = 0
    ack: int = 0
    payload: bytes = b""
    server: bool = False
    window: int = 64240
    ttl: int = 57
    ip_id: int = 0
    options: int = 0
    options_hash: int = 0
    traits: int = Trait.DONT_FRAGMENT
    kind: Kind = Kind.TCP
    length: int | None = None  # where the payload was cut
    isn: int = ISN
    client: tuple[int, int, int] = CLIENT
    target: tuple[int, int, int] = SERVER


def ns(seconds: float) -> int:
    """Seconds of a test as a time stamp."""
    return 1_700_000_000 * SECOND + round(seconds * SECOND)


def batch(packets: Sequence[P]) -> Batch:
    """Rows and payload bytes as the capture room would hand them on."""
    rows = np.zeros(len(packets), PACKET)
    data = b""
    for row, p in zip(rows, packets, strict=True):
        source, target = (p.target, p.client) if p.server else (p.client, p.target)
        mine, other = (SERVER_ISN, p.isn) if p.server else (p.isn, SERVER_ISN)
        row["ts"] = ns(p.t)
        row["src_hi"], row["src_lo"], row["src_port"] = source
        row["dst_hi"], row["dst_lo"], row["dst_port"] = target
        row["seq"] = (mine + p.seq) % 2**32
        row["ack"] = ((other if "A" in p.flags else 0) + p.ack) % 2**32
        row["payload_length"] = len(p.payload) if p.length is None else p.length
        row["payload_offset"], row["payload_captured"] = len(data), len(p.payload)
        row["window"], row["ip_id"], row["ttl"] = p.window, p.ip_id, p.ttl
        row["flags"] = sum(FLAGS[letter] for letter in p.flags)
        row["traits"], row["options"], row["options_hash"] = p.traits, p.options, p.options_hash
        row["kind"] = p.kind
        data += p.payload
    return Batch(rows, np.frombuffer(bytearray(data), np.uint8))


class AnyTracker(Protocol):
    """Either implementation."""

    def feed(self, batch: Batch) -> Any: ...

    def finish(self, clock: int) -> Any: ...


@dataclass
class Outcome:
    """All rows of a run, each with its trigger name and packets, and the counters."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    counters: NDArray[np.int64] = field(default_factory=new_counters)

    def take(self, batches: Any) -> None:
        """Add what a tracker yielded; in the place of offsets stand the name and the packets."""
        for part in batches:
            assert isinstance(part, ConnectionBatch)
            for row in part.rows:
                values = dict(zip(CONNECTION.names or (), row.tolist(), strict=True))
                start = values.pop("name_offset")
                values["name"] = part.names[start : start + values["name_length"]].tobytes().decode()
                first = values.pop("packets_offset")
                values["first_packets"] = part.packets[first : first + values["packets"]].tolist()
                self.rows.append(tuple(values.items()))


def run(tracker: AnyTracker, outcome: Outcome, batches: Sequence[Batch], clock: int) -> Outcome:
    """Feed batches, end at `clock`; rows come back sorted, for their order is not promised."""
    for part in batches:
        outcome.take(tracker.feed(part))
    outcome.take(tracker.finish(clock))
    outcome.rows.sort()
    return outcome


def differences(one: Outcome, other: Outcome) -> list[str]:
    """Where two outcomes differ, in words."""
    found = [f"{len(one.rows)} and {len(other.rows)} rows"] if len(one.rows) != len(other.rows) else []
    for n, (a, b) in enumerate(zip(one.rows, other.rows, strict=False)):
        found += [f"row {n}: {x} and {y}" for x, y in zip(a, b, strict=True) if x != y]
    found += [
        f"{counter.name}: {one.counters[counter]} and {other.counters[counter]}"
        for counter in Counter
        if one.counters[counter] != other.counters[counter]
    ]
    return found
