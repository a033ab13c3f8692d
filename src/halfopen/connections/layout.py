"""How the flow table lies in memory: rows of fixed size, addressed by number, 0 meaning none.

An entry is one live connection. Its kept packets, and its trigger name, are chains of 32-byte
cells; what its server showed lies in a row of its own, taken when the server first speaks. All
pools are bounded by `Limits.max_connections` and cost memory only as far as they were ever used.
"""

from __future__ import annotations

from enum import IntFlag
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from halfopen.connections.limits import SLOTS, Limits
from halfopen.connections.rules import signature_table
from halfopen.connections.trigger import LIMIT as FIRST_BYTES
from halfopen.jit import I64
from halfopen.model import CONNECTION, PACKETS_KEPT, Rows

ENTRY: Final = np.dtype(
    [
        ("client_hi", np.uint64),
        ("client_lo", np.uint64),
        ("server_hi", np.uint64),
        ("server_lo", np.uint64),
        ("last", np.int64),
        ("client_port", np.uint16),
        ("server_port", np.uint16),
        ("hash", np.uint32),
        ("chain", np.uint32),  # next entry of the same bucket
        ("isn", np.uint32),
        ("newest_cell", np.uint32),
        ("server", np.uint32),
        ("facts", np.uint16),
        ("wait", np.uint8),
        ("packets", np.uint8),
        ("start", np.int64),
        ("marks", np.uint64),  # one bit per kept packet, by hash: none of the same bit, no copy
        ("before", np.uint32),  # neighbours in a slot of the wheel
        ("after", np.uint32),
        ("slot", np.uint32),
        ("name", np.uint32),  # first cell of the trigger name
        ("buffer", np.uint32),  # slot where first bytes are put together
        ("scanner", np.uint32),  # tag bits fixed by the first SYN
        ("duplicates", np.uint32),
        ("name_length", np.uint8),
        ("trigger", np.uint8),
        ("echoes", np.uint8),
    ],
    align=True,
)

CELL: Final = np.dtype(
    [
        ("ts", np.int64),
        ("next", np.uint32),  # the packet before
        ("seq", np.uint32),
        ("ack", np.uint32),
        ("length", np.uint32),
        ("print", np.uint32),  # hash of window and options, to know copies
        ("ip_id", np.uint16),
        ("flags", np.uint8),
        ("ttl", np.uint8),
    ],
    align=True,
)
"""One kept packet; a cell of a name holds its link in the first four bytes and text in the rest."""

NAME_BYTES: Final = 28

NAME_LINK: Final = 4

SERVER: Final = np.dtype(
    [
        ("end", np.uint32),
        ("repeated", np.uint32),
        ("acked", np.uint32),
        ("fin_end", np.uint32),
        ("first_rst", np.uint32),
        ("furthest_rst", np.uint32),
        ("ack_after", np.uint32, (2,)),
        ("facts", np.uint16),
        ("acks_after", np.uint8),
        ("recent", np.uint8),  # how many of the two below are set
        ("recent_ts", np.int64, (2,)),
        ("recent_print", np.uint32, (2,)),
    ],
    align=True,
)


class Fact(IntFlag):
    """What an entry remembers in single bits."""

    JUDGED = 0x001
    REFUSED = 0x002
    ICMP_ROUTER = 0x004
    CLIENT_RST = 0x008
    FIN = 0x010
    TRIGGER_DONE = 0x020
    SERVER_FIN_FIRST = 0x040
    BEYOND_SYN = 0x080  # the client sent a packet without SYN and RST
    NOT_ONLY_SYN = 0x100  # the client sent a packet that is no SYN
    SERVER_SEEN = 0x200
    SYN_PAYLOAD = 0x400
    REUSED = 0x800


class Showed(IntFlag):
    """What a server row remembers in single bits."""

    SPOKE = 0x01
    ACKED = 0x02
    REPEATED = 0x04
    FIN = 0x08
    RST = 0x10
    DIFFERENT_RSTS = 0x20
    RESET = 0x40
    GAVE_UP = 0x80
    SYN = 0x100


WAIT_JUDGED, WAIT_SYN, WAIT_OPEN, WAIT_ENDED = I64(0), I64(1), I64(2), I64(3)
"""What a live connection waits for, and so for how long (D1); in the order of eviction."""

STATE: Final = np.dtype(
    [
        ("clock", np.int64),
        ("idle_timeout", np.int64),
        ("limit", np.int64),  # most live connections
        ("live", np.int64),
        ("seed", np.uint64),
        ("mask", np.int64),  # of the hash, for the bucket number
        ("touched", np.int64),  # keeps the fetching of entries from being optimised away
        ("free_entry", np.int64),
        ("used_entries", np.int64),
        ("free_cell", np.int64),
        ("used_cells", np.int64),
        ("free_server", np.int64),
        ("used_servers", np.int64),
        ("free_buffer", np.int64),
        ("used_buffers", np.int64),
        ("out", np.int64),  # rows written
        ("names", np.int64),  # name bytes written
        ("second", np.int64),  # up to which the wheel was turned
        ("nets", np.int64),
        ("ports", np.int64),
    ],
    align=True,
)

CELLS_PER_CONNECTION: Final = PACKETS_KEPT + 10
"""Ten packets, and a name of 255 bytes in cells of 28."""

BUFFERS: Final = 4096
"""Connections whose first bytes can be put together at the same time."""

FIRST_BUCKET_BITS: Final = 12
"""The hash begins small, so that it stays in the cache, and doubles with the live connections."""

OUT_ROWS: Final = 4096

OUT_NAMES: Final = OUT_ROWS * 64


class Table(NamedTuple):
    """Every array of the flow table, as the kernels take it."""

    state: Rows
    silences: NDArray[np.int64]  # per wait: the silence that ends it, ns
    waiting: NDArray[np.int64]  # per wait: how many
    wheel: NDArray[np.uint32]  # per wait and slot: first and last entry
    buckets: NDArray[np.uint32]
    entries: Rows
    cells: Rows
    text: NDArray[np.uint8]  # the cells as bytes, for names
    servers: Rows
    buffers: NDArray[np.uint8]
    ranges: NDArray[np.int64]  # per buffer: count, next free, then start and end of each piece
    ports: NDArray[np.uint8]
    nets: NDArray[np.uint64]  # per network: high, low, mask high, mask low, 1 for IPv4
    signatures: NDArray[np.uint8]
    scratch: NDArray[np.int64]
    marks: NDArray[np.int64]  # hashes of the next packets
    out: Rows
    names: NDArray[np.uint8]
    counters: NDArray[np.int64]


def new_table(limits: Limits, counters: NDArray[np.int64], seed: int) -> Table:
    """An empty table; `seed` keys the hash, so that nobody can choose packets that collide."""
    size = limits.max_connections + 1
    bucket_bits = max(limits.max_connections - 1, 1).bit_length()
    cells = np.empty(min(size * CELLS_PER_CONNECTION, 2**32 - 1), CELL)
    state = np.zeros(1, STATE)
    state["idle_timeout"] = limits.idle_timeout
    state["limit"] = limits.max_connections
    state["seed"] = seed
    state["mask"] = (1 << min(bucket_bits, FIRST_BUCKET_BITS)) - 1
    for pool in ("used_entries", "used_cells", "used_servers", "used_buffers"):
        state[pool] = 1
    state["nets"] = len(limits.server_nets)
    state["ports"] = len(limits.server_ports)
    silences = (limits.idle_timeout, limits.linger_syn, limits.linger, limits.idle_timeout)
    ports = np.zeros(1 << 16, np.uint8)
    ports[list(limits.server_ports)] = 1
    return Table(
        state=state,
        silences=np.array(silences, np.int64),
        waiting=np.zeros(4, np.int64),
        wheel=np.zeros((4, SLOTS, 2), np.uint32),
        buckets=np.zeros(1 << bucket_bits, np.uint32),
        entries=np.empty(size, ENTRY),
        cells=cells,
        text=cells.view(np.uint8).reshape(-1, CELL.itemsize),
        servers=np.empty(size, SERVER),
        buffers=np.empty((BUFFERS, FIRST_BYTES), np.uint8),
        ranges=np.empty((BUFFERS, 2 + 2 * PACKETS_KEPT), np.int64),
        ports=ports,
        nets=_network_rows(limits),
        signatures=signature_table(),
        scratch=np.empty((4, PACKETS_KEPT), np.int64),
        marks=np.empty(64, np.int64),
        out=np.empty(OUT_ROWS, CONNECTION),
        names=np.empty(OUT_NAMES, np.uint8),
        counters=counters,
    )


def _network_rows(limits: Limits) -> NDArray[np.uint64]:
    rows = []
    for net in limits.server_nets:
        address, mask = int(net.network_address), int(net.netmask)
        if net.version == 4:
            address, mask = address | 0xFFFF << 32, mask | (2**128 - 2**32)
        rows.append((address >> 64, address & (2**64 - 1), mask >> 64, mask & (2**64 - 1), net.version == 4))
    return np.array(rows, np.uint64).reshape(-1, 5)
