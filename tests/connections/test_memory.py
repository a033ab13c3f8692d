"""What connections cost: 64 bytes for one that is nothing but a SYN, however many there are."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from halfopen.connections.layout import CELL, CELLS_EACH, ENTRY, EXTENSION, FEW, FIRST_CELL
from halfopen.connections.limits import Limits
from halfopen.connections.tracker import Tracker
from halfopen.model import MAPPED_PREFIX, PACKET, Batch, Counter, Flag, new_counters
from tests.connections.packets import P, batch, ns
from tests.connections.rooms import ever_used, in_use

NOTHING = np.zeros(1, np.uint8)


def syns(begin: int, count: int, servers: int = 1) -> Batch:
    """One SYN each of so many clients, as scanners and floods send them, within a second."""
    number = np.arange(begin, begin + count)
    rows = np.zeros(count, PACKET)
    rows["ts"] = ns(0) + number
    rows["src_lo"] = MAPPED_PREFIX | 0x0A000000 + number
    rows["dst_lo"] = MAPPED_PREFIX | 0xCB000000 + number % servers
    rows["src_port"] = 1024 + number % 60000
    rows["dst_port"], rows["flags"], rows["ip_id"], rows["window"] = 443, 2, 54321, 65535
    rows["ack"] = number  # means nothing without the flag, and is what some programs write
    return Batch(rows, NOTHING)


def test_rows_lie_as_the_cache_moves_memory() -> None:
    assert ENTRY.itemsize == 64
    assert EXTENSION.itemsize == CELLS_EACH * CELL.itemsize == 256
    assert EXTENSION.fields is not None
    assert EXTENSION.fields["cells"][1] == FIRST_CELL * CELL.itemsize
    assert FIRST_CELL + FEW == CELLS_EACH
    tracker = Tracker(Limits(max_connections=7), new_counters())
    for pool in ("entries", "extensions", "ends"):
        assert tracker._pools[pool].ctypes.data % 64 == 0


def test_a_syn_takes_one_row_and_nothing_else() -> None:
    tracker = Tracker(Limits(), new_counters())
    list(tracker.feed(syns(0, 200_000, servers=3)))
    assert tracker.live == 200_000
    nothing = {"extension": 0, "later": 0, "cell": 0, "buffer": 0}
    assert ever_used(tracker) == {"entry": 200_000, "end": 3} | nothing
    list(
        tracker.feed(
            batch(
                [P(1, "S", client=(0, MAPPED_PREFIX | 1, 1)), P(2, "A", 1, client=(0, MAPPED_PREFIX | 1, 1))]
            )
        )
    )
    assert ever_used(tracker) == {"entry": 200_001, "end": 4} | nothing | {"extension": 1}


def test_each_to_a_server_of_its_own() -> None:
    """Every one of them is found again, however many servers there are, and none is left behind."""
    counters = new_counters()
    tracker = Tracker(Limits(), counters)
    opened = syns(0, 20_000, servers=20_000)
    list(tracker.feed(opened))
    assert in_use(tracker)["end"] == 20_000
    opened.rows["flags"], opened.rows["seq"] = Flag.ACK, 1
    list(tracker.feed(opened))
    assert counters[Counter.no_syn] == 0
    assert in_use(tracker)["extension"] == 20_000
    list(tracker.finish(ns(1)))
    assert set(in_use(tracker).values()) == {0}


def test_a_flood_beyond_the_limit_takes_no_more() -> None:
    """Those that are evicted get a row by turns in one and the same extension."""
    counters = new_counters()
    tracker = Tracker(Limits(max_connections=10_000), counters)
    for begin in range(0, 200_000, 20_000):
        list(tracker.feed(syns(begin, 20_000)))
    assert counters[Counter.evicted] == 190_000
    assert ever_used(tracker) == {
        "entry": 10_000,
        "end": 1,
        "extension": 1,
        "later": 0,
        "cell": 0,
        "buffer": 0,
    }
    list(tracker.finish(ns(1)))
    assert set(in_use(tracker).values()) == {0}


MEASURED = """
from halfopen.connections.tracker import Limits, Tracker
from halfopen.model import new_counters
from tests.connections.test_memory import syns

def resident():
    (line,) = [line for line in open("/proc/self/status") if line.startswith("VmRSS:")]
    return int(line.split()[1]) << 10

tracker = Tracker(Limits(), new_counters())
parts = [syns(0, 1 << 16)]
list(tracker.feed(parts[0]))
before = resident()
for begin in range(1 << 16, 1 << 20, 1 << 16):
    rows = parts[0].rows
    rows["src_lo"] += 1 << 16
    rows["ts"] += 1 << 16
    list(tracker.feed(parts[0]))
print(tracker.live, resident() - before)
"""


def test_a_million_syns_in_a_process() -> None:
    """Beside the rows there are the buckets of the hash: 4 bytes for each, and two to four for a connection."""
    ran = subprocess.run(
        [sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True, timeout=300
    )
    live, grown = map(int, ran.stdout.split())
    assert live == 1 << 20
    assert grown < (1 << 20) * (64 + 16) + (4 << 20)
