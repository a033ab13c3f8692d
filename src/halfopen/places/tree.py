"""The kernels of a look-up: which keys are new, and through the search tree of an MMDB file.

Format: MaxMind DB File Format Specification 2.0, "Binary Search Tree Section". Nothing in a file
makes them read outside the tree: a node is followed only while its number is below the node count
(whose tree lies in `data`, as whoever opens the file has checked), and at most once per address bit.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from halfopen.jit import kernel, part
from halfopen.model import MAPPED_PREFIX, Bytes

_MAPPED: Final = MAPPED_PREFIX >> 32
_PROBES: Final = 8
"""So many slots are tried: keys chosen to collide cost no more than others."""


@part
def _byte(data: Bytes, at: int) -> int:
    return int(np.int64(data[at]))


@part
def _child(data: Bytes, record_size: int, node: int, bit: int) -> int:
    """The left (0) or right (1) record of a node; `record_size` in bits."""
    if record_size == 24:
        at = node * 6 + bit * 3
        return _byte(data, at) << 16 | _byte(data, at + 1) << 8 | _byte(data, at + 2)
    if record_size == 28:  # the byte in the middle holds the upper four bits of both
        at = node * 7
        top = _byte(data, at + 3)
        top = top & 0x0F if bit else top >> 4
        at += bit * 4
        return top << 24 | _byte(data, at) << 16 | _byte(data, at + 1) << 8 | _byte(data, at + 2)
    at = node * 8 + bit * 4
    return _byte(data, at) << 24 | _byte(data, at + 1) << 16 | _byte(data, at + 2) << 8 | _byte(data, at + 3)


@kernel(np.uint8, int, int, int, np.uint64, np.uint64, np.int64)
def find_records(
    data: Bytes,
    nodes: int,
    record_size: int,
    ip_version: int,
    hi: NDArray[np.uint64],
    lo: NDArray[np.uint64],
    records: NDArray[np.int64],
) -> int:
    """Fill `records` with where each address's record lies, as the tree says it less `nodes`; 0 is none.

    IPv4-mapped addresses are looked up as IPv4: in an IPv6 tree below ::/96. 0 where the tree
    leads nowhere, which is corruption.
    """
    ipv4_start = 0
    if ip_version == 6:
        for _ in range(96):
            if ipv4_start < nodes:
                ipv4_start = _child(data, record_size, ipv4_start, 0)
    for i in range(records.size):
        node, bits, word, behind = 0, 128, hi[i], lo[i]
        if hi[i] == 0 and lo[i] >> np.uint64(32) == _MAPPED:
            node, bits, word = ipv4_start, 32, lo[i] << np.uint64(32)
        elif ip_version == 4:
            records[i] = 0
            continue
        for step in range(bits):
            if node >= nodes:
                break
            if step == 64:
                word = behind
            node = _child(data, record_size, node, int(np.int64(word >> np.uint64(63))))
            word <<= np.uint64(1)
        if node < nodes:
            return 0
        records[i] = node - nodes
    return 1


@kernel(np.uint64, np.uint64, (np.uint64, 2), int, np.int32, np.int32, np.int32)
def number_keys(
    hi: NDArray[np.uint64],
    lo: NDArray[np.uint64],
    known: NDArray[np.uint64],
    used: int,
    slots: NDArray[np.int32],
    numbers: NDArray[np.int32],
    fresh: NDArray[np.int32],
) -> int:
    """Fill `numbers` with the number of each key; new keys are counted up from `used`.

    Known keys stand at known[number], two halves each; `slots` (a power of two, 0 is free) is
    the hash table that finds them. Writes to `fresh` where each new key was first seen, in the
    order of their numbers, and returns how many there are.
    """
    mask = np.int64(slots.size - 1)
    new = 0
    for i in range(numbers.size):
        mixed = (hi[i] * np.uint64(0xFF51AFD7ED558CCD) ^ lo[i]) * np.uint64(0x9E3779B97F4A7C15)
        home = np.int64(mixed >> np.uint64(32)) & mask
        slot = home
        number = 0
        for probe in range(_PROBES):
            slot = (home + probe) & mask
            number = int(np.int64(slots[slot]))
            if number == 0 or (known[number, 0] == hi[i] and known[number, 1] == lo[i]):
                break
            number = 0  # another's; where all are, the last one makes room
        if number == 0:
            number = used + new
            slots[slot] = number
            known[number, 0] = hi[i]
            known[number, 1] = lo[i]
            fresh[new] = i
            new += 1
        numbers[i] = number
    return new
