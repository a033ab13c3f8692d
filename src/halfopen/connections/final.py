"""Which connections become final as time passes and at the end of a capture, as kernels (D1)."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfopen.connections.judge import AT_END, WAITED, emit
from halfopen.connections.layout import FEW, GONE, OUT_NAMES, OUT_ROWS, TOGETHER, WAIT_JUDGED, Fact
from halfopen.connections.limits import SLOTS
from halfopen.connections.pools import bucket_at, cell_at, entry_at, extension_at
from halfopen.connections.table import FIRST, due, forget, link, unlink, wait_of
from halfopen.jit import I64, inlined, part, prefetch
from halfopen.model import SECOND

JUDGED, EXTENDED = int(Fact.JUDGED), int(Fact.EXTENDED)
BEGIN = I64(0)

LINE = 64
"""Bytes that the processor's cache moves at once."""

ROOM_ROWS = 4
"""Rows that one packet can make final, and then some; `ROOM_NAMES` is the same in name bytes."""
ROOM_NAMES = ROOM_ROWS * 255


@inlined
def has_room(t: Any) -> Any:
    """Whether the output takes what one packet can make final."""
    return t.rows_out + ROOM_ROWS <= OUT_ROWS and t.names_out + ROOM_NAMES <= OUT_NAMES


@part
def finish_entry(t: Any, i: Any, silence: Any, how: Any) -> Any:
    """Judge an entry unless that was done, and forget it."""
    if not entry_at(t, i).facts & JUDGED:
        emit(t, i, silence, how)
    forget(t, i)


@inlined
def fetch_entry(t: Any, i: Any) -> Any:
    """Have an entry on its way."""
    prefetch(entry_at(t, i), BEGIN)


@inlined
def fetch_what_it_has(t: Any, i: Any) -> Any:
    """Have an entry's extension and later packets on their way."""
    e = entry_at(t, i)
    if e.facts & EXTENDED:
        x = extension_at(t, e.extension)
        prefetch(x, BEGIN)
        prefetch(x, LINE)
        prefetch(x, 2 * LINE)
        prefetch(x, 3 * LINE)
        if e.packets > FEW:
            later = cell_at(t, e.later)
            prefetch(later, BEGIN)
            prefetch(later, LINE)
            prefetch(later, 2 * LINE)


@inlined
def next_due(t: Any, place: Any) -> Any:
    """The first entries of a slot into `due`, with their memory on its way. Returns how many."""
    i = I64(t.wheel[place, FIRST])
    n = I64(0)
    while i and n < TOGETHER:
        t.due[n] = i
        n += 1
        i = I64(entry_at(t, i).after)
    for k in range(n):
        e = entry_at(t, t.due[k])
        fetch_what_it_has(t, t.due[k])
        prefetch(bucket_at(t, I64(e.hash) & t.mask), BEGIN)
    return n


@part
def turn(t: Any) -> Any:
    """Turn the wheel to the clock's second and make final whose silence is over.

    False if the output must be emptied first; the next call goes on where this one stopped.
    """
    now = t.clock // SECOND
    if t.live == 0:
        t.second = now
    t.second = max(I64(t.second), now - SLOTS)
    while t.second < now:
        second = t.second + 1
        for wait in range(4):
            place = wait * SLOTS + (second & (SLOTS - 1))
            n = next_due(t, place)
            while n:
                for k in range(n):
                    i = I64(t.due[k])
                    e = entry_at(t, i)
                    if t.clock - e.last > t.silences[wait]:
                        if not has_room(t):
                            return False
                        finish_entry(t, i, t.silences[wait], WAITED)
                    else:
                        unlink(t, i)
                        link(t, i, I64(wait), max(due(t, e, wait), second + 1))
                n = next_due(t, place)
        t.second = second
    t.turns_at = (now + 1) * SECOND
    return True


@part
def end_capture(t: Any, clock: Any) -> Any:
    """The capture ends at `clock`: make all final. False if the output must be emptied first."""
    t.clock = max(t.clock, clock)
    for wait in range(4):
        for slot in range(SLOTS):
            if t.waiting[wait] == 0:
                break
            place = wait * SLOTS + slot
            i = I64(t.wheel[place, FIRST])
            while i:
                if not has_room(t):
                    return False
                silence = t.clock - entry_at(t, i).last
                if silence > t.silences[wait]:
                    finish_entry(t, i, t.silences[wait], WAITED)
                else:
                    finish_entry(t, i, silence, AT_END)
                i = I64(t.wheel[place, FIRST])
    t.clock = 0
    t.second = 0
    t.turns_at = SECOND
    return True


NEVER = I64(np.iinfo(np.int64).max)


@part
def earliest(t: Any) -> Any:
    """Start of the earliest connection without a verdict; `NEVER` if there is none."""
    start = NEVER
    for i in range(1, t.entry_used):
        e = entry_at(t, i)
        if WAIT_JUDGED < wait_of(e) < GONE:
            start = min(start, extension_at(t, e.extension).start if e.facts & EXTENDED else e.last)
    return start
