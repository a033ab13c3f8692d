"""Places of many addresses from several files, in order: per field the first that knows answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Final

import numpy as np
from numpy.typing import NDArray

from halfopen.errors import PlacesError
from halfopen.model import PLACE, Rows
from halfopen.places.mmdb import Mmdb, Source

_WORDS: Final = np.dtype([("asn", np.uint32), ("location", np.uint16), ("continent", np.uint16)])
"""PLACE with numbers for its codes: 0 is unknown in each field, and comparing is cheap."""

_AT_ONCE: Final = 1 << 14
_MOST_ADDRESSES: Final = 1 << 17


class Places:
    """Look-ups in MMDB files; safe to share among threads."""

    def __init__(self, files: Sequence[Mmdb]) -> None:
        self.sources: list[Source] = [file.source for file in files]
        self._files = files
        self._memory = _Memory()
        self._lock = Lock()

    @classmethod
    def open(cls, sources: Sequence[Path | str]) -> Places:
        """Open files, and directories with all ``*.mmdb`` in them by name; earlier ones win per field.

        Without sources every address is unknown. Raises PlacesError for the first source that
        cannot be read.
        """
        return cls([Mmdb(path) for source in sources for path in _files(Path(source))])

    def lookup(self, hi: NDArray[np.uint64], lo: NDArray[np.uint64]) -> Rows:
        """Rows of `model.PLACE`, one for each address given in two halves (IPv4 mapped, see `model`).

        Raises PlacesError where a damaged part of a file is met.
        """
        found = np.zeros(len(hi), PLACE)
        if self._files:
            for begin in range(0, len(hi), _AT_ONCE):
                part = slice(begin, begin + _AT_ONCE)
                # Copied, so that the kernels meet one kind of array only.
                found[part] = self._look_up(np.array(hi[part], np.uint64), np.array(lo[part], np.uint64))
        return found

    def network_name(self, asn: int) -> str:
        """The organisation met beside an AS number in look-ups so far; empty where there was none."""
        return next((file.names[asn] for file in self._files if asn in file.names), "")

    def _look_up(self, hi: NDArray[np.uint64], lo: NDArray[np.uint64]) -> Rows:
        with self._lock:
            memory = self._memory
            try:
                numbers, fresh = memory.number(hi, lo)
                if len(fresh):
                    memory.learn(self._ask(hi[fresh], lo[fresh]))
            except BaseException:
                self._memory = _Memory()  # the old one may hold addresses without answers
                raise
            return memory.places[numbers]

    def _ask(self, hi: NDArray[np.uint64], lo: NDArray[np.uint64]) -> Rows:
        answer = np.zeros(len(hi), PLACE)
        fields = answer.view(_WORDS)
        for file in self._files:
            other = file.answers(hi, lo).view(_WORDS)
            for field in ("asn", "location", "continent"):
                np.copyto(fields[field], other[field], where=fields[field] == 0)
        return answer


class _Memory:
    """The addresses met last and their places: a client comes back more often than not.

    Starts anew when it is full, so it takes at most 6 MiB.
    """

    def __init__(self) -> None:
        self.places = np.zeros(_MOST_ADDRESSES, PLACE)
        self._addresses = np.zeros((_MOST_ADDRESSES, 2), np.uint64)
        self._slots = np.zeros(2 * _MOST_ADDRESSES, np.int32)
        self._used = 1

    def number(
        self, hi: NDArray[np.uint64], lo: NDArray[np.uint64]
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Numbers of up to `_AT_ONCE` addresses, and where the new ones stand, in the order of theirs."""
        from halfopen.places.tree import number_addresses

        if self._used + len(hi) > _MOST_ADDRESSES:
            self._slots[:] = 0
            self._used = 1
        numbers = np.empty(len(hi), np.int32)
        fresh = np.empty(len(hi), np.int32)
        new = number_addresses(hi, lo, self._addresses, self._used, self._slots, numbers, fresh)
        return numbers, fresh[:new]

    def learn(self, places: Rows) -> None:
        """Keep the places of the new addresses that `number` has just told of."""
        self.places[self._used : self._used + len(places)] = places
        self._used += len(places)


def _files(source: Path) -> Iterator[Path]:
    if not source.is_dir():
        yield source
        return
    files = sorted(source.glob("*.mmdb"))
    if not files:
        raise PlacesError(str(source), "no *.mmdb file in this directory")
    yield from files
