"""Finding things by their code or their name, best first: a compact text with a line for each of them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import numpy as np

_NO_WORD: Final = re.compile(r"[\W_]+")

_RANKS: Final = (
    (("\n", "\t"),),  # the code
    (("\t", "\n"),),  # the name
    (("\n", ""), ("\t", "")),  # the begin of either
    ((" ", ""),),  # the begin of a word
    (("", ""),),  # a part
)
"""What stands before and behind a match, from the best to the faintest."""


class Match(NamedTuple):
    """An entry that was found, by its number; the better it fits the smaller is `rank`."""

    rank: int
    length: int
    entry: int


def folded(text: str) -> str:
    """A text by which others are found: words without case, accents and punctuation."""
    if not text.isascii():
        text = "".join(
            each for each in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(each)
        )
    return _NO_WORD.sub(" ", text.casefold()).strip()


class Index:
    """Entries by code and name."""

    def __init__(self, entries: Iterable[tuple[str, str]]) -> None:
        lines = [f"\n{folded(code)}\t{folded(name)}".encode() for code, name in entries]
        self._text = b"".join(lines) + b"\n"
        self._begins = np.cumsum([0, *map(len, lines)], dtype=np.int64)

    def find(self, text: str, most: int) -> list[Match]:
        """The entries that fit best, of equal rank the shorter ones first; at most `most`."""
        sought = folded(text)
        found: dict[int, int] = {}
        for rank, kinds in enumerate(_RANKS):
            if not sought or len(found) >= most:
                break
            for before, behind in kinds:
                for entry in self._holding(f"{before}{sought}{behind}".encode()):
                    found.setdefault(entry, rank)
        matches = (Match(rank, self._length(entry), entry) for entry, rank in found.items())
        return sorted(matches)[:most]

    def _holding(self, part: bytes) -> Iterator[int]:
        at = self._text.find(part)
        while at >= 0:
            entry = int(np.searchsorted(self._begins, at, side="right")) - 1
            yield entry
            at = self._text.find(part, int(self._begins[entry + 1]))

    def _length(self, entry: int) -> int:
        return int(self._begins[entry + 1] - self._begins[entry])
