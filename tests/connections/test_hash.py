"""Nobody outside can choose packets whose connections lie in one chain of the flow table."""

from __future__ import annotations

import numpy as np
import pytest

from halfopen.connections.limits import Limits
from halfopen.connections.tracker import Tracker
from halfopen.model import PACKET, SECOND, Batch, Flag, Kind, new_counters

MANY = 5000


@pytest.mark.parametrize(("network", "step"), [(1, -1), (1, 0), (0, 1), (1 << 63, 1), (1 << 48, -1)])
def test_hashes_differ_however_addresses_and_ports_are_chosen(network: int, step: int) -> None:
    """Such as networks that go up as the port goes down: a sum of both is always the same."""
    rows = np.zeros(MANY, PACKET)
    number = np.arange(MANY, dtype=np.uint64)
    rows["kind"], rows["flags"], rows["ts"] = Kind.TCP, Flag.SYN, 1000 * SECOND
    rows["src_hi"] = np.uint64(0x2001_0DB8 << 32) + number * np.uint64(network)
    rows["src_lo"], rows["src_port"] = 1, 30_000 + np.arange(MANY) * step
    rows["dst_hi"], rows["dst_lo"], rows["dst_port"] = 0x2001_0DB8 << 32, 2, 443
    if network == 1 << 63:
        rows["src_lo"] = number << np.uint64(63) | number
    tracker = Tracker(Limits(), new_counters())
    assert not list(tracker.feed(Batch(rows, np.zeros(1, np.uint8))))
    entries = tracker._pools["entries"][1 : tracker.live + 1]
    assert tracker.live == MANY
    assert len(np.unique(entries["hash"])) > MANY - 20
