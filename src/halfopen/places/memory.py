"""What was answered before: addresses and records come back more often than not."""

from __future__ import annotations

from threading import local
from typing import Final

import numpy as np
from numpy.typing import NDArray

from halfopen.model import PLACE, Rows

_WORD: Final = np.dtype(np.uint64)
assert PLACE.itemsize == _WORD.itemsize

MOST_KEYS: Final = 1 << 14
"""Most keys of one question."""


class Memory(local):
    """The places of the keys met last; starts anew when it has `most` of them. Each thread has its own.

    A key is a number of 128 bits, in two halves. Places are handled as whole words, which NumPy moves
    several times as fast as rows.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.forget()

    def forget(self) -> None:
        """Start anew, as after keys that were numbered but not learned."""
        most = self._most
        self._answers = np.zeros(most, _WORD)
        self._keys = np.zeros((most, 2), np.uint64)
        self._slots = np.zeros(2 * most, np.int32)
        self._used = 1

    def number(
        self, hi: NDArray[np.uint64], lo: NDArray[np.uint64]
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Numbers of up to `MOST_KEYS` keys, and where the new ones stand, in the order of theirs."""
        from halfopen.places.tree import number_keys  # compiled or loaded at the first question

        if self._used + len(hi) > len(self._answers):
            self._slots[:] = 0
            self._used = 1
        numbers = np.empty(len(hi), np.int32)
        fresh = np.empty(len(hi), np.int32)
        new = number_keys(hi, lo, self._keys, self._used, self._slots, numbers, fresh)
        return numbers, fresh[:new]

    def learn(self, places: Rows) -> None:
        """Keep the places of the new keys that `number` has just told of, rows of `model.PLACE`."""
        self._answers[self._used : self._used + len(places)] = places.view(_WORD)
        self._used += len(places)

    def places(self, numbers: NDArray[np.int32]) -> Rows:
        """The places of numbered keys, rows of `model.PLACE`."""
        return self._answers.take(numbers).view(PLACE)
