"""What the container formats and the live sources share: a packet is counted, timed and parsed."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from halfopen.capture.frames import KIND_BREAK, QUOTED, TCP, blank, parse
from halfopen.jit import inlined
from halfopen.model import CLOCK_STEP, Bytes, Counter, Rows

LARGEST_FRAME: Final = 1 << 18
"""Most bytes a packet record may hold; what claims more is damage (the limit of Wireshark, too)."""

LINKS: Final = 1024
"""Link types counted apart; the last count is of all those from there on, which nobody has named."""

FULL: Final = 0  # the rows are full
MORE: Final = 1  # the next record is not here as a whole
BLOCK: Final = 2  # pcapng: the next block is not a packet, or larger than any packet
WRONG: Final = 3  # the next record cannot be one; pcapng says more with the numbers above

CLOCK: Final = 0
FIRST: Final = 1

_PACKETS: Final = int(Counter.packets)
_UNKNOWN_LINK: Final = int(Counter.unknown_link)
_TUNNELLED: Final = int(Counter.tunnelled)


def new_clock() -> NDArray[np.int64]:
    """The largest time stamp so far (index `CLOCK`) and the first one (`FIRST`, -1 before it), ns."""
    return np.array([0, -1], np.int64)


@inlined
def take(
    data: Bytes,
    at: int,
    end: int,
    wire: int,
    ts: int,
    link: int,
    big: bool,
    rows: Rows,
    n: int,
    counters: NDArray[np.int64],
    links: NDArray[np.int64],
    clock: NDArray[np.int64],
) -> int:
    """Count the frame in ``data[at:end]``, move the clock, and return how many rows there are now."""
    counters[_PACKETS] += 1
    if clock[FIRST] < 0:
        clock[FIRST] = ts
    if ts < clock[CLOCK] - CLOCK_STEP:
        blank(rows, n, KIND_BREAK)
        rows[n]["ts"] = clock[CLOCK]
        clock[CLOCK] = ts
        n += 1
    elif ts > clock[CLOCK]:
        clock[CLOCK] = ts
    outcome = parse(data, at, end, wire, link, big, rows, n)
    if outcome == _UNKNOWN_LINK:
        links[min(link, LINKS - 1)] += 1
    return keep(outcome, ts, rows, n, counters)


@inlined
def keep(outcome: int, ts: int, rows: Rows, n: int, counters: NDArray[np.int64]) -> int:
    """Count a frame by the outcome of `parse`, time row `n` if it was made; returns how many rows there are now."""
    if outcome in (TCP, QUOTED):
        rows[n]["ts"] = ts
        n += 1
    counters[_TUNNELLED if outcome == QUOTED else outcome] += 1
    return n
