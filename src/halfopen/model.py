"""The words and the columns that every room shares; this module imports nothing of ours.

Packets and connections travel as rows of NumPy structured arrays: one dtype is one definition,
read by the kernels, by the reference implementation and by the Arrow schema alike.

Units: times are integer nanoseconds since the epoch, lengths are bytes, ports and sequence
numbers are as on the wire. IPv4 addresses are held IPv4-mapped (``::ffff:a.b.c.d``, RFC 4291
section 2.5.5.2) in two unsigned 64-bit halves.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Rows: TypeAlias = NDArray[np.void]
"""Rows of a structured array; the dtype is named where one is made."""

Bytes: TypeAlias = NDArray[np.uint8]

SECOND: Final = 1_000_000_000
"""One second in the unit of every time stamp (ns)."""

MAPPED_PREFIX: Final = 0xFFFF_0000_0000
"""Upper part of the low half of an IPv4-mapped address."""

PACKETS_KEPT: Final = 10
"""Inbound packets kept per connection (D4)."""

FIRST_BYTES: Final = 4096
"""Only so many first bytes of a client (B) are looked at for a name."""

CLOCK_STEP: Final = 10 * SECOND
"""A packet older than the capture's clock by more than this begins another capture (D1)."""

SENSOR_NAME: Final = "(?!(?:other|timestamps|meta)(?:$|/))[0-9A-Za-z][0-9A-Za-z._-]{0,62}"
"""A pattern that names of sensors match, as a whole or in a path: the words left out are keys of answers, beside such names."""

SENSOR_NAMES: Final = "1 to 63 characters of 0-9, A-Z, a-z, ., _ and -, the first a letter or digit; not other, timestamps or meta"
"""The same in words."""


class Flag(IntFlag):
    """TCP flags as they stand in the header (RFC 9293 section 3.1)."""

    FIN = 0x01
    SYN = 0x02
    RST = 0x04
    PSH = 0x08
    ACK = 0x10
    URG = 0x20
    ECE = 0x40
    CWR = 0x80


def flag_names(flags: int) -> str:
    """Flags as in the table of signatures: ``SYN``, ``PSH+ACK``; ``none`` where none is set."""
    names = [flag.name or "" for flag in Flag if flags & flag and flag != Flag.ACK]
    return "+".join([*names, "ACK"] if flags & Flag.ACK else names) or "none"


class Kind(IntEnum):
    """What one packet row is."""

    TCP = 0
    UNREACHABLE = 1  # ICMP or ICMPv6 destination unreachable; addresses and ports are the quoted ones
    BREAK = 2  # the clock stepped back: the capture ends here; `ts` is the clock before the step


class Trait(IntFlag):
    """Facts of a packet that are single bits."""

    IPV6 = 0x01
    DONT_FRAGMENT = 0x02
    FROM_RESPONDER = 0x04  # UNREACHABLE only: sent by the address the quoted packet went to


class Option(IntFlag):
    """TCP options present in a header; SCALE_8 stands beside SCALE when the shift is 8."""

    MSS = 0x01
    SCALE = 0x02
    SACK_PERMITTED = 0x04
    TIMESTAMP = 0x08
    SCALE_8 = 0x10
    OTHER = 0x20  # any kind but end, no-operation and those above, or a malformed list


PACKET: Final = np.dtype(
    [
        ("ts", np.int64),
        ("src_hi", np.uint64),
        ("src_lo", np.uint64),
        ("dst_hi", np.uint64),
        ("dst_lo", np.uint64),
        ("seq", np.uint32),
        ("ack", np.uint32),
        ("payload_length", np.uint32),  # by the headers, even where the snaplen cut it
        ("payload_offset", np.uint32),  # into Batch.data
        ("payload_captured", np.uint32),  # bytes present there, <= payload_length
        ("options_hash", np.uint32),  # of the TCP option bytes, 0 where there are none
        ("src_port", np.uint16),
        ("dst_port", np.uint16),
        ("window", np.uint16),
        ("ip_id", np.uint16),  # 0 for IPv6
        ("kind", np.uint8),
        ("flags", np.uint8),
        ("ttl", np.uint8),
        ("traits", np.uint8),
        ("options", np.uint8),
    ],
    align=True,
)
"""One packet as the capture room hands it on: headers only, the payload stays in its buffer."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Packets in the order of the capture, and the bytes their payload offsets point into.

    Valid until the next batch is asked for: both arrays are views of reused buffers.
    """

    rows: Rows
    data: Bytes


class Stage(IntEnum):
    """How far a connection had come when it was cut (Radar's keys), and `undecided` (D1)."""

    no_match = 0
    post_syn = 1
    post_ack = 2
    post_psh = 3
    later_in_flow = 4
    undecided = 5


STAGES: Final = (Stage.post_syn, Stage.post_ack, Stage.post_psh, Stage.later_in_flow, Stage.no_match)
"""The five stages of the dataset, in the order of Radar's answers."""

STAGE_WORDS: Final = {
    Stage.post_syn: "cut after the SYN",
    Stage.post_ack: "cut after the handshake, before any data",
    Stage.post_psh: "cut after the first data",
    Stage.later_in_flow: "reset after more data",
    Stage.no_match: "not cut within the first ten packets, or ended by the server",
}
"""Each of them in words."""


class LeftOut(IntEnum):
    """Why a connection has no stage; `decided` where it has one."""

    decided = 0
    undecided = 1  # D1: the capture ended too early
    broke_off = 2  # D17: the capture lost the connection
    replaced = 3  # D3: another connection took the 5-tuple at once
    evicted = 4  # the flow table was full


class Relation(IntEnum):
    """Where the first reset's sequence number stands against the client's data before it."""

    unknown = 0  # no reset
    in_window = 1  # exactly the next expected: what RFC 5961 lets through without a challenge
    behind_data = 2
    ahead = 3


class TriggerKind(IntEnum):
    """Which name was visible in the client's first bytes."""

    none = 0
    sni = 1  # TLS ClientHello server_name (RFC 6066 section 3)
    host = 2  # HTTP/1 Host header (RFC 9110 section 7.2)


UNKNOWN_DELTA: Final = -(2**31)
"""Stands in the delta fields of CONNECTION where there is nothing to compare."""

NO_TIME: Final = -1
"""Stands in `gap` where there is none."""

CONNECTION: Final = np.dtype(
    [
        ("client_hi", np.uint64),
        ("client_lo", np.uint64),
        ("server_hi", np.uint64),
        ("server_lo", np.uint64),
        ("start", np.int64),  # of the first SYN
        ("end", np.int64),  # of the last inbound packet, duplicates left aside
        ("gap", np.int64),  # reset: from the packet before it; timeout: silence at the end; else NO_TIME
        ("tags", np.uint64),  # bits of connections.rules.TAGS
        ("ttl_delta", np.int32),
        ("ip_id_delta", np.int32),
        ("seq_delta", np.int32),  # first reset's sequence number minus the next expected
        ("name_offset", np.uint32),  # trigger name in ConnectionBatch.names, in the order of the rows
        ("packets_offset", np.uint32),  # first of its packets in ConnectionBatch.packets, likewise
        ("duplicates", np.uint32),
        ("client_port", np.uint16),
        ("server_port", np.uint16),
        ("name_length", np.uint8),
        ("packets", np.uint8),
        ("stage", np.uint8),
        ("left_out", np.uint8),
        ("signature", np.uint8),  # number in connections.rules.SIGNATURES, 0 for none
        ("relation", np.uint8),
        ("resets", np.uint8),  # RST without ACK
        ("reset_acks", np.uint8),  # RST with ACK
        ("reset_echoes", np.uint8),  # D13: rst_echo
        ("data_after_reset", np.uint8),
        ("trigger", np.uint8),
        ("halvings", np.uint8),  # how often the sample had been halved, the most in its life
    ],
    align=True,
)
"""One connection with its verdict and evidence."""

FIRST_PACKET: Final = np.dtype(
    [
        ("time", "<i8"),  # since the first SYN (ns)
        ("seq", "<i4"),  # minus the first SYN's
        ("ack", "<i4"),  # counted so that the connection's first one is 1; UNKNOWN_DELTA without one
        ("length", "<u2"),  # of the payload, by the headers; the largest number for that and more
        ("window", "<u2"),  # as in the header; 0 for a first SYN without data, of which it is not kept
        ("ip_id", "<u2"),  # 0 for IPv6
        ("flags", "u1"),
        ("ttl", "u1"),
    ]
)
"""One of the kept inbound packets of a connection, as far as verdict and evidence stand on it; as it lies in the dataset."""


@dataclass(frozen=True, slots=True)
class ConnectionBatch:
    """Connections in the order in which they became final, the bytes of their trigger names, and their packets.

    Of packets there are none where they were not asked for.
    """

    rows: Rows
    names: Bytes
    packets: Rows  # FIRST_PACKET


PLACE: Final = np.dtype([("asn", np.uint32), ("location", "S2"), ("continent", "S2")])
"""Where an address lies: 0 and empty where no source says; ISO 3166-1 alpha-2 and continent codes."""


class Counter(IntEnum):
    """Index of one count in a run's counters; packets unless the comment says connections."""

    packets = 0  # read, whatever they were
    tcp = 1  # handed to the flow table
    not_ip = 2
    not_tcp = 3
    fragment = 4  # not the first of its datagram
    cut_short = 5  # the snaplen ends before the TCP flags
    malformed = 6  # a header contradicts itself
    unknown_link = 7  # a link type we do not read; named beside
    tunnelled = 8  # D18
    not_server = 9  # neither end is one of the servers asked for
    not_sampled = 10  # a SYN whose connection is not in the sample
    duplicates = 11  # D14
    no_syn = 12  # D2
    late = 13  # D2, after the verdict or the tenth packet
    connections = 14  # connections: opened by a SYN, whatever became of them
    decided = 15  # connections: with one of the five stages
    undecided = 16  # connections
    broke_off = 17  # connections
    replaced = 18  # connections
    evicted = 19  # connections
    trigger_dropped = 20  # connections: no room to put their first bytes together
    unsampled = 21  # connections: left the sample when it was made smaller


SKIPPED: Final = (
    Counter.not_ip,
    Counter.not_tcp,
    Counter.fragment,
    Counter.cut_short,
    Counter.malformed,
    Counter.unknown_link,
    Counter.not_server,
    Counter.not_sampled,
)
"""The counters that say why a packet was not used."""


def new_counters() -> NDArray[np.int64]:
    """A zeroed count for every member of `Counter`; kernels add into it."""
    return np.zeros(len(Counter), np.int64)


def counts(counters: NDArray[np.int64]) -> dict[str, int]:
    """The counters by name."""
    return {counter.name: int(counters[counter]) for counter in Counter}


def empty_rows(dtype: np.dtype[Any], size: int) -> Rows:
    """Room for `size` rows; untouched memory costs nothing until it is written."""
    return np.empty(size, dtype)
