"""Every prefix of an MMDB file's search tree, in blocks of columns.

A node is entered once only, so that a walk takes no longer than the tree is large: whatever else leads to the IPv4
subtree (6to4, Teredo) is an alias of it, and a loop in a damaged tree ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from halfopen.model import MAPPED_PREFIX, Bytes

_IPV4_DEPTH: Final = 96
_BITS: Final = 128
_BLOCK: Final = 1 << 14


@dataclass(frozen=True, slots=True)
class Prefixes:
    """Prefixes of one length that have a record: first addresses in two halves (IPv4-mapped, see `model`).

    `length` counts from the begin of the IPv6 address, which `ipv4` ones are mapped into.
    """

    hi: NDArray[np.uint64]
    lo: NDArray[np.uint64]
    length: int
    ipv4: bool


@dataclass(frozen=True, slots=True)
class Tree:
    """A search tree: `nodes` of two records of `record_size` bits, from the begin of `data`."""

    data: Bytes
    nodes: int
    record_size: int
    ip_version: int

    def children(self, nodes: NDArray[np.int64], bit: int) -> NDArray[np.int64]:
        """The left (0) or right (1) records of nodes."""
        size = self.record_size
        at = nodes * (size // 4) + (bit * size + 7) // 8  # 28 bits: the byte in the middle belongs to both
        if size == 28:
            middle = self.data[nodes * 7 + 3].astype(np.int64)
            return (middle & 0x0F if bit else middle >> 4) << 24 | self._number(at, 3)
        return self._number(at, size // 8)

    def prefixes(self, block: int = _BLOCK) -> Iterator[Prefixes]:
        """Every prefix once, IPv4 first; `block` nodes are entered at a time."""
        entered = np.zeros(self.nodes, bool)
        start, depth = 0, 0
        if self.ip_version == 6:
            while start < self.nodes and depth < _IPV4_DEPTH:
                start, depth = int(self.children(np.array([start]), 0)[0]), depth + 1
        if start < self.nodes:
            yield from self._below(start, _IPV4_DEPTH, block, entered)
        if self.ip_version == 6 and self.nodes:
            yield from self._below(0, 0, block, entered)

    def _below(self, start: int, depth: int, block: int, entered: NDArray[np.bool_]) -> Iterator[Prefixes]:
        ipv4 = depth == _IPV4_DEPTH
        entered[start] = True
        lo = np.array([MAPPED_PREFIX if ipv4 else 0], np.uint64)
        waiting = [(depth, np.array([start]), np.zeros(1, np.uint64), lo)]
        while waiting:
            depth, nodes, hi, lo = waiting.pop()
            if len(nodes) > block:
                waiting.append((depth, nodes[block:], hi[block:], lo[block:]))
                nodes, hi, lo = nodes[:block], hi[:block], lo[:block]
            children = np.concatenate([self.children(nodes, bit) for bit in (0, 1)])
            step = np.uint64(1 << (_BITS - 1 - depth) % 64)
            hi = np.concatenate([hi, hi | step if depth < 64 else hi])
            lo = np.concatenate([lo, lo if depth < 64 else lo | step])
            depth += 1
            records = children > self.nodes
            if records.any():
                yield Prefixes(hi[records], lo[records], depth, ipv4)
            inner = np.flatnonzero(children < self.nodes)
            inner = inner[~entered[children[inner]]]
            fresh, first = np.unique(children[inner], return_index=True)
            if len(fresh) and depth < _BITS:
                entered[fresh] = True
                inner = inner[first]
                waiting.append((depth, fresh, hi[inner], lo[inner]))

    def _number(self, at: NDArray[np.int64], size: int) -> NDArray[np.int64]:
        """Numbers of `size` bytes, the highest first."""
        number = self.data[at].astype(np.int64)
        for offset in range(1, size):
            number = number << 8 | self.data[at + offset]
        return number
