"""The networks that places files know, by AS number: gathered from every prefix, kept in columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from halfopen.places.lookup import WORDS, Places
from halfopen.places.prefixes import Prefixes

_WAITING: Final = 1 << 18
"""Sums that wait to be added up."""


class Network(NamedTuple):
    """One network; its country is where most of its addresses lie. Empty where no file says."""

    asn: int
    name: str = ""
    country: str = ""


class Networks:
    """Networks in the order of their AS numbers: some 30 bytes each, and as much for a name."""

    def __init__(
        self, asns: NDArray[np.uint32], countries: NDArray[np.bytes_], names: Sequence[str], source: str
    ) -> None:
        """`source` names the files that the networks are of."""
        told = [name.encode() for name in names]
        self.asns = asns
        self.source = source
        self._countries = countries
        self._ends = np.cumsum([len(name) for name in told], dtype=np.int64)
        self._names = b"".join(told)

    def __len__(self) -> int:
        return len(self.asns)

    def __getitem__(self, index: int) -> Network:
        begin, end = (int(self._ends[index - 1]) if index else 0), int(self._ends[index])
        country: bytes = self._countries[index]
        return Network(int(self.asns[index]), self._names[begin:end].decode(), country.decode())

    def __iter__(self) -> Iterator[Network]:
        return map(self.__getitem__, range(len(self)))

    def get(self, asn: int) -> Network | None:
        """The network of an AS number; None where it is in no file."""
        index = int(np.searchsorted(self.asns, asn))
        return self[index] if index < len(self) and self.asns[index] == asn else None

    def of(self, country: str) -> NDArray[np.uint32]:
        """The AS numbers of a country, rising."""
        found: NDArray[np.uint32] = self.asns[self._countries == country.encode()]
        return found


def networks(places: Places) -> Networks:
    """Walk through every prefix of the files that give networks, which takes a second or so for a million.

    Raises PlacesError where a damaged part of a file is met.
    """
    sums = _Sums()
    for found in places.prefixes():
        words = places.lookup(found.hi, found.lo).view(WORDS)
        sums.add(words["asn"].astype(np.int64) << 16 | words["location"], _size(found))
    keys, sizes = sums.total()
    asns, locations = keys >> 16, keys & 0xFFFF
    order = np.lexsort((sizes, locations != 0, asns))
    order = order[asns[order] != 0]
    chosen = order[np.flatnonzero(np.diff(asns[order], append=-1))]
    numbers = asns[chosen].astype(np.uint32)
    countries = locations[chosen].astype(np.uint16).view("S2")
    names = [places.network_name(asn) for asn in numbers.tolist()]
    files = [source.path.name for source in places.sources if "asn" in source.gives]
    return Networks(numbers, countries, names, ", ".join(files))


def _size(found: Prefixes) -> float:
    """How much one of the prefixes counts: its IPv4 addresses, or its IPv6 networks of 48 bits."""
    return float(2.0 ** ((128 if found.ipv4 else 48) - found.length))


class _Sums:
    """Sums by key; what is added waits until there is enough of it."""

    def __init__(self) -> None:
        self._parts: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []
        self._waiting = 0

    def add(self, keys: NDArray[np.int64], each: float) -> None:
        """Add the same for each of some keys."""
        distinct, counts = np.unique(keys, return_counts=True)
        self._parts.append((distinct, np.asarray(counts * each, np.float64)))
        self._waiting += len(distinct)
        if self._waiting > _WAITING:
            self._parts, self._waiting = [self.total()], 0

    def total(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The keys, rising, and the sum of each."""
        if not self._parts:
            return np.empty(0, np.int64), np.empty(0)
        keys, sums = map(np.concatenate, zip(*self._parts, strict=True))
        distinct, where = np.unique(keys, return_inverse=True)
        return distinct, np.asarray(np.bincount(where, sums), np.float64)
