"""Places of many addresses from several files, in order: per field the first that knows answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from halfopen.errors import PlacesError
from halfopen.model import PLACE, Rows
from halfopen.places.memory import MOST_KEYS, Memory
from halfopen.places.mmdb import Mmdb, Source

_WORDS: Final = np.dtype([("asn", np.uint32), ("location", np.uint16), ("continent", np.uint16)])
"""PLACE with numbers for its codes: 0 is unknown in each field, and comparing is cheap."""

_MOST_ADDRESSES: Final = 1 << 17
"""Addresses whose places are remembered; with them, a memory takes at most 6 MiB."""


class Places:
    """Look-ups in MMDB files; safe to share among threads."""

    def __init__(self, files: Sequence[Mmdb]) -> None:
        self.sources: list[Source] = [file.source for file in files]
        self._files = files
        self._memory = Memory(_MOST_ADDRESSES)

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
        if not self._files:
            return np.zeros(len(hi), PLACE)
        parts = [slice(begin, begin + MOST_KEYS) for begin in range(0, len(hi) or 1, MOST_KEYS)]
        # Copied: kernels take whole arrays, not a field out of rows.
        found = [
            self._look_up(np.array(hi[part], np.uint64), np.array(lo[part], np.uint64)) for part in parts
        ]
        return found[0] if len(found) == 1 else np.concatenate(found)

    def digests(self) -> list[str]:
        """What the files are known by, in their order: equal ones give equal answers."""
        return [file.digest() for file in self._files]

    def network_name(self, asn: int) -> str:
        """The organisation met beside an AS number in look-ups so far; empty where there was none."""
        return next((file.names[asn] for file in self._files if asn in file.names), "")

    def _look_up(self, hi: NDArray[np.uint64], lo: NDArray[np.uint64]) -> Rows:
        try:
            numbers, fresh = self._memory.number(hi, lo)
            if len(fresh):
                self._memory.learn(self._ask(hi[fresh], lo[fresh]))
        except BaseException:
            self._memory.forget()
            raise
        return self._memory.places(numbers)

    def _ask(self, hi: NDArray[np.uint64], lo: NDArray[np.uint64]) -> Rows:
        first, *others = self._files
        answer = first.answers(hi, lo)
        fields = answer.view(_WORDS)
        for file in others:
            other = file.answers(hi, lo).view(_WORDS)
            for field in ("asn", "location", "continent"):
                np.copyto(fields[field], other[field], where=fields[field] == 0)
        return answer


def _files(source: Path) -> Iterator[Path]:
    if not source.is_dir():
        yield source
        return
    files = sorted(source.glob("*.mmdb"))
    if not files:
        raise PlacesError(str(source), "no *.mmdb file in this directory")
    yield from files
