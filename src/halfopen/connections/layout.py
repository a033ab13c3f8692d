"""How the flow table lies in memory: rows of fixed size, addressed by number, 0 meaning none.

An entry is one live connection, in one line of the cache; of one that is nothing but a SYN it is all there
is. Whatever else happens to a connection stands in its extension, taken when it is first needed: its first
five packets, what its server showed, where its name is. Five packets more lie apart, a trigger name in a
chain of cells. All pools are bounded by `Limits.max_connections` and cost memory only as far as they were
ever used.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from halfopen.connections.limits import SLOTS, Limits
from halfopen.connections.rules import Tag, signature_table
from halfopen.connections.trigger import LIMIT as FIRST_BYTES
from halfopen.jit import I64
from halfopen.model import CONNECTION, FIRST_PACKET, PACKETS_KEPT, SECOND, Rows
from halfopen.sampling import Sampling

ENTRY: Final = np.dtype(
    [
        ("client_hi", np.uint64),
        ("client_lo", np.uint64),
        ("last", np.int64),
        ("hash", np.uint32),
        ("chain", np.uint32),  # next entry of the same bucket
        ("before", np.uint32),  # the entries beside it in its slot of the wheel
        ("after", np.uint32),
        ("isn", np.uint32),
        ("server", np.uint32),  # number of the server's end
        ("extension", np.uint32),  # while alone: hash of the SYN (`numbers.print_of`)
        ("later", np.uint32),  # cell of the sixth packet; while alone: more of the SYN (`extension.folded`)
        ("client_port", np.uint16),
        ("place", np.uint16),  # in the wheel: what it waits for, and the slot
        ("facts", np.uint16),
        ("packets", np.uint8),
        ("halvings", np.uint8),  # of the sample, the most in its life
    ],
    align=True,
)
"""One live connection. While it is alone, a SYN that nothing followed, it has no extension."""

END: Final = np.dtype(
    [
        ("hi", np.uint64),
        ("lo", np.uint64),
        ("chain", np.uint32),  # next end of the same bucket
        ("users", np.uint32),
        ("port", np.uint16),
    ],
    align=True,
)
"""The server's end of connections: there are few of them, so entries have its number."""

BUCKET: Final = np.dtype([("first", np.uint32)])

FREE: Final = np.dtype([("number", np.uint32)])
"""Of a stack of numbers given back."""

EXTENSION: Final = np.dtype(
    [
        ("start", np.int64),
        ("marks", np.uint64),  # one bit per kept packet, by hash: none of the same bit, no copy
        ("high", np.uint32),  # relative sequence number that no packet kept goes beyond
        ("duplicates", np.uint32),
        ("name", np.uint32),  # first cell of the trigger name
        ("buffer", np.uint32),  # slot where first bytes are put together
        ("showed", np.uint16),  # of the server, from here on
        ("acks_after", np.uint8),
        ("recent", np.uint8),  # how many of the two below are set
        ("scanner", np.uint8),  # bits fixed by the first SYN
        ("name_length", np.uint8),
        ("trigger", np.uint8),
        ("echoes", np.uint8),
        ("end", np.uint32),
        ("repeated", np.uint32),
        ("acked", np.uint32),
        ("fin_end", np.uint32),
        ("first_rst", np.uint32),
        ("furthest_rst", np.uint32),
        ("ack_after", np.uint32, (2,)),
        ("recent_print", np.uint32, (2,)),
        ("recent_ts", np.int64, (2,)),
        ("cells", np.uint64, (20,)),  # of the first five packets
    ],
    align=True,
)
"""What is known of a connection beyond its SYN, in four lines of the cache."""

CELL: Final = np.dtype(
    [
        ("window", np.uint32),  # 0 of a SYN that was alone
        ("seq", np.uint32),
        ("ts", np.int64),
        ("ack", np.uint32),
        ("length", np.uint32),
        ("print", np.uint32),  # hash of all that two copies share
        ("ip_id", np.uint16),
        ("flags", np.uint8),
        ("ttl", np.uint8),
    ],
    align=True,
)
"""One kept packet."""

NAME_BYTES: Final = 28

PIECE: Final = np.dtype([("link", np.uint32), ("text", np.uint8, (NAME_BYTES,))])
"""A piece of a name in the place of a cell; the link is to the next one."""

NAME_START: Final = 4
"""Where the text begins in it."""

FEW: Final = 5
"""Packets that lie in the extension; the others lie together elsewhere."""

CELLS_EACH: Final = 8
"""How many cells long an extension is."""

FIRST_CELL: Final = 3
"""Where in it its packets begin."""


class Share(IntEnum):
    """Which connections a table holds: all of a capture, or one half of them (`table.half_of`)."""

    FIRST = 0
    SECOND = 1
    ALL = 2


class Fact(IntFlag):
    """What an entry remembers in single bits."""

    JUDGED = 0x001
    REFUSED = 0x002
    ICMP_ROUTER = 0x004
    CLIENT_RST = 0x008  # a RST of the client that was not stray when it came
    FIN = 0x010
    TRIGGER_DONE = 0x020
    SERVER_FIN_FIRST = 0x040
    BEYOND_SYN = 0x080  # the client sent a packet without SYN and RST
    NOT_ONLY_SYN = 0x100  # the client sent a packet that is no SYN
    SERVER_SEEN = 0x200
    SYN_PAYLOAD = 0x400
    REUSED = 0x800
    ANY_RST = 0x1000  # a RST of the client, stray or not
    EXTENDED = 0x2000  # it has an extension


class Showed(IntFlag):
    """What of the server is remembered in single bits."""

    SPOKE = 0x01
    ACKED = 0x02
    REPEATED = 0x04
    FIN = 0x08
    RST = 0x10
    DIFFERENT_RSTS = 0x20
    RESET = 0x40
    GAVE_UP = 0x80


FIRST_SCANNER: Final = int(Tag.zmap)
"""The first of the four tags in a row that an entry keeps from its SYN."""

WAIT_JUDGED, WAIT_SYN, WAIT_OPEN, WAIT_ENDED = I64(0), I64(1), I64(2), I64(3)
"""What a live connection waits for, and so for how long (D1); in the order of eviction."""

GONE = I64(4)
"""What an entry waits for that was given back."""

NAME_CELLS: Final = 10
"""Cells of a name of 255 bytes in pieces of 28."""

BUFFERS: Final = 4096
"""Connections whose first bytes can be put together at the same time."""

RANGE_NUMBERS: Final = 1 + 2 * PACKETS_KEPT
"""Per buffer: how many pieces, then start and end of each."""

FIRST_BUCKET_BITS: Final = 12
"""The hash begins small, so that it stays in the cache, and doubles with the live connections."""

TOGETHER: Final = 8
"""Packets, and silent entries, whose memory is fetched together, so that no miss of the cache waits for another."""

COMING: Final = 512
"""Packets whose buckets are fetched before the first of them is taken."""

OUT_ROWS: Final = 8192

OUT_NAMES: Final = OUT_ROWS * 64

_SIGNATURES: Final = signature_table()

STACKS: Final = ("entry", "end", "extension", "later", "cell", "buffer")
"""What is taken and given back by number: a stack of what was given back, and how far fresh ones go."""

POOLS: Final = (
    "buckets",
    "entries",
    "end_buckets",
    "ends",
    "extensions",
    "cells",
    "buffers",
    "ranges",
    "nets",
    "out",
    "names",
    "first_packets",
    "counters",
    *(f"{kind}_stack" for kind in STACKS),
)
"""The arrays that lie outside the state, which holds their addresses and lengths."""

STATE: Final = np.dtype(
    [
        ("clock", np.int64),
        ("second", np.int64),  # up to which the wheel was turned
        ("turns_at", np.int64),  # when it is turned next, ns
        ("idle_timeout", np.int64),
        ("partial", np.int64),  # 1 where of servers only SYN, FIN and RST are seen
        ("limit", np.int64),  # most live connections
        ("live", np.int64),
        ("seed", np.uint64),
        ("parted", np.int64),  # 1 for a table that holds a half, and which half
        ("share", np.int64),
        ("key", np.uint64, (2,)),  # of the sample
        ("threshold", np.int64),
        ("halvings", np.int64),  # how often it is halved now
        ("mask", np.int64),  # of the hash, for the bucket number
        ("end_mask", np.int64),  # the same for the servers' ends
        *((f"{kind}_free", np.int64) for kind in STACKS),  # how high the stack is
        *((f"{kind}_used", np.int64) for kind in STACKS),  # the next fresh number
        ("packets_wanted", np.int64),  # 1 where first packets are written
        ("rows_out", np.int64),  # rows, name bytes and first packets written
        ("names_out", np.int64),
        ("packets_out", np.int64),
        ("nets_count", np.int64),
        ("ports_count", np.int64),
        *((f"{pool}_at", np.intp) for pool in POOLS),
        *((f"{pool}_length", np.intp) for pool in POOLS),
        ("silences", np.int64, (4,)),  # per wait: the silence that ends it, ns
        ("waiting", np.int64, (4,)),  # per wait: how many
        ("coming", np.int64, (COMING,)),  # rows of the next packets
        ("flows", np.int64, (COMING,)),  # their hashes
        ("clocks", np.int64, (COMING,)),  # and the clock at each
        ("due", np.uint32, (TOGETHER,)),  # entries whose silence could be over
        ("starts", np.int64, (PACKETS_KEPT,)),  # of the data of the packets looked at, and the ends
        ("ends", np.int64, (PACKETS_KEPT,)),
        ("pushed", np.int64, (PACKETS_KEPT,)),  # the different ends of those that pushed
        ("signatures", np.uint8, _SIGNATURES.shape),
        ("wheel", np.uint32, (4 * SLOTS, 2)),  # per wait and slot: first and last entry
        ("ports", np.uint8, (1 << 16,)),  # 1 for a server port
    ],
    align=True,
)
"""All that the kernels know of a table. They are handed this one row: to hand over every field of
every array made them slow, and took half a minute to compile."""


class Table(NamedTuple):
    """A table's state and its pools."""

    state: Rows
    pools: dict[str, NDArray[Any]]


def new_table(
    limits: Limits, counters: NDArray[np.int64], seed: int, share: Share, sampling: Sampling, packets: bool
) -> Table:
    """An empty table; `seed` keys the hash, so that nobody can choose packets that collide."""
    size = limits.max_connections + 1  # with number 0
    bucket_bits = (2 * limits.max_connections).bit_length()
    cells = _aligned(size * (CELLS_EACH + PACKETS_KEPT - FEW + NAME_CELLS), CELL)
    pools: dict[str, NDArray[Any]] = {
        "buckets": np.zeros(1 << bucket_bits, BUCKET),
        "entries": _aligned(size, ENTRY),
        "end_buckets": np.zeros(1 << bucket_bits - 1, BUCKET),
        "ends": _aligned(size, END),
        "extensions": cells[: size * CELLS_EACH].view(EXTENSION),
        "cells": cells,
        "buffers": np.empty((BUFFERS, FIRST_BYTES), np.uint8),
        "ranges": np.empty((BUFFERS, RANGE_NUMBERS), np.int64),
        "nets": _network_rows(limits),
        "out": np.empty(OUT_ROWS, CONNECTION),
        "names": np.empty(OUT_NAMES + NAME_BYTES, np.uint8),
        "first_packets": np.empty(OUT_ROWS * PACKETS_KEPT if packets else 0, FIRST_PACKET),
        "counters": counters,
        **{f"{kind}_stack": np.empty(size, FREE) for kind in ("entry", "end", "extension", "later")},
        "cell_stack": np.empty(size * NAME_CELLS, FREE),
        "buffer_stack": np.empty(BUFFERS, FREE),
    }
    state = np.zeros(1, STATE)
    for name, pool in pools.items():
        state[f"{name}_at"] = pool.ctypes.data
        state[f"{name}_length"] = len(pool)
    for kind in STACKS:
        state[f"{kind}_used"] = 1
    # Later packets and names lie behind the extensions; later ones are known by their first cell.
    state["later_used"] = size * CELLS_EACH
    state["cell_used"] = size * (CELLS_EACH + PACKETS_KEPT - FEW)
    state["turns_at"] = SECOND
    state["idle_timeout"] = limits.idle_timeout
    state["partial"] = limits.partial
    state["packets_wanted"] = packets
    state["limit"] = limits.max_connections
    state["seed"] = seed
    if share != Share.ALL:
        state["parted"], state["share"] = 1, share
    state["key"], state["threshold"] = sampling.key, sampling.threshold
    state["mask"] = (1 << min(bucket_bits, FIRST_BUCKET_BITS)) - 1
    state["end_mask"] = (1 << min(bucket_bits - 1, FIRST_BUCKET_BITS)) - 1
    state["nets_count"] = len(limits.server_nets)
    state["silences"] = (limits.idle_timeout, limits.linger_syn, limits.linger, limits.idle_timeout)
    state["signatures"] = _SIGNATURES
    serve(state, limits.server_ports)
    return Table(state, pools)


def serve(state: Rows, ports: frozenset[int]) -> None:
    """Make these the server ports."""
    state["ports_count"] = len(ports)
    state["ports"] = 0
    state["ports"][0, list(ports)] = 1


def _aligned(size: int, dtype: np.dtype[Any]) -> Rows:
    """Rows whose first one, which stands for none, is zero and begins a line of the cache."""
    room = np.empty(size * dtype.itemsize + 64, np.uint8)
    start = -room.ctypes.data % 64
    rows: Rows = room[start : start + size * dtype.itemsize].view(dtype)
    rows[0] = np.zeros((), dtype)
    return rows


def _network_rows(limits: Limits) -> NDArray[np.uint64]:
    """Per network: high, low, mask high, mask low, 1 for IPv4."""
    rows = []
    for net in limits.server_nets:
        address, mask = int(net.network_address), int(net.netmask)
        if net.version == 4:
            address, mask = address | 0xFFFF << 32, mask | (2**128 - 2**32)
        rows.append((address >> 64, address & (2**64 - 1), mask >> 64, mask & (2**64 - 1), net.version == 4))
    return np.array(rows, np.uint64).reshape(-1, 5)
