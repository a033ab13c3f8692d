"""Places of many addresses from several files, in order: per field the first that knows answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from halfopen.errors import PlacesError
from halfopen.model import PLACE, Rows
from halfopen.places.memory import MOST_KEYS, Memory
from halfopen.places.mmdb import Mmdb, Source
from halfopen.places.prefixes import Prefixes
from halfopen.places.records import Answer

WORDS: Final = np.dtype([("asn", np.uint32), ("location", np.uint16), ("continent", np.uint16)])
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
        return cls([Mmdb(path) for source in sources for path in files_of(Path(source))])

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

    def prefixes(self) -> Iterator[Prefixes]:
        """Every prefix of the files that give networks."""
        for file in self._files:
            if "asn" in file.source.gives:
                yield from file.tree.prefixes()

    def answer(self, address: IPv4Address | IPv6Address) -> Answer:
        """What the files say about one address; no kernel is needed for it.

        Raises PlacesError where a damaged part of a file is met.
        """
        answers = [file.answer(address) for file in self._files]
        asn = next((each.asn for each in answers if each.asn), 0)
        return Answer(
            asn,
            next((each.location for each in answers if each.location), ""),
            next((each.continent for each in answers if each.continent), ""),
            next((each.organisation for each in answers if each.organisation and each.asn == asn), ""),
        )

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
        fields = answer.view(WORDS)
        for file in others:
            other = file.answers(hi, lo).view(WORDS)
            for field in ("asn", "location", "continent"):
                np.copyto(fields[field], other[field], where=fields[field] == 0)
        return answer


def files_of(source: Path) -> Iterator[Path]:
    """A file itself, of a directory its ``*.mmdb`` files by name; PlacesError where there is none."""
    if not source.is_dir():
        yield source
        return
    files = sorted(source.glob("*.mmdb"))
    if not files:
        raise PlacesError(str(source), "no *.mmdb file in this directory")
    yield from files
