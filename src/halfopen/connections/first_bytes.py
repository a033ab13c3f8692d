"""The client's first bytes, put together as far as a name needs them: kernels around the trigger."""

from __future__ import annotations

from typing import Any

from halfopen.connections.extension import free_buffer, keep_name, take_buffer
from halfopen.connections.layout import Fact
from halfopen.connections.numbers import ahead
from halfopen.connections.pools import buffers, counters, ranges
from halfopen.connections.trigger import FOUND, MORE, find_trigger
from halfopen.connections.trigger import LIMIT as FIRST_BYTES
from halfopen.jit import I64, part
from halfopen.model import Counter, Flag

SYN, RST = int(Flag.SYN), int(Flag.RST)
TRIGGER_DONE = int(Fact.TRIGGER_DONE)
C_TRIGGER = int(Counter.trigger_dropped)
BEGIN = I64(0)


@part
def cover(t: Any, b: int, start: Any, end: Any) -> Any:
    """Note that bytes start..end of a slot are there. Returns how many stand at its beginning."""
    count = ranges(t)[b, 0]
    ranges(t)[b, 1 + 2 * count] = start
    ranges(t)[b, 2 + 2 * count] = end
    count += 1
    ranges(t)[b, 0] = count
    reach = I64(0)
    grown = True
    while grown:
        grown = False
        for k in range(count):
            if ranges(t)[b, 1 + 2 * k] <= reach < ranges(t)[b, 2 + 2 * k]:
                reach = ranges(t)[b, 2 + 2 * k]
                grown = True
    return reach


@part
def take_first_bytes(t: Any, e: Any, x: Any, row: Any, data: Any) -> Any:
    """Look for a name in the client's first bytes, put together where they came in pieces.

    A piece that the snaplen cut ends the search: what it lacks does not come again.
    """
    if e.facts & TRIGGER_DONE or row.flags & RST or row.payload_captured == 0:
        return
    begin = I64(row.payload_offset)
    length = I64(row.payload_captured)
    offset = ahead(row.seq, e.isn) - 1
    if row.flags & SYN:
        offset += 1
    if offset < 0:
        begin -= offset
        length += offset
        offset = I64(0)
    cut = row.payload_captured < row.payload_length
    length = min(length, FIRST_BYTES - offset)
    if length <= 0:
        return
    if offset == 0 and x.buffer == 0:
        status, kind, at, size = find_trigger(data, begin, length)
        if status == FOUND:
            keep_name(t, x, data, at, size)
            x.trigger = kind
        if cut or status != MORE:
            e.facts |= TRIGGER_DONE
            return
    b = take_buffer(t, x)
    if b == 0:
        e.facts |= TRIGGER_DONE
        counters(t)[C_TRIGGER] += 1
        return
    for k in range(length):
        buffers(t)[b, offset + k] = data[begin + k]
    reach = cover(t, b, offset, offset + length)
    status, kind, at, size = find_trigger(buffers(t)[b], BEGIN, reach)
    if status == FOUND:
        keep_name(t, x, buffers(t)[b], at, size)
        x.trigger = kind
    if cut or status != MORE:
        e.facts |= TRIGGER_DONE
        free_buffer(t, x)
