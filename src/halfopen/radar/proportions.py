"""Shares of samples, and how sure they are.

A sample of weighted connections is taken as `size` independent draws, Kish's effective number: the square of the summed
weights over the sum of their squares.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]

_Z: Final = 1.959963984540054
"""Standard errors of a 95 % interval."""
_SURE: Final = 12.0
"""Logarithm of how many times likelier a rise must be than none: some 160,000, as there are many places where it could be."""
_MUCH: Final = 1.5
_POINTS: Final = 0.02


def effective(weight: Array, squares: Array) -> Array:
    """Kish's effective numbers of draws, of summed weights and summed squared weights."""
    return weight * weight / squares


def wilson(share: Array, size: Array) -> tuple[Array, Array]:
    """The 95 % interval of shares (0 to 1) of so many draws each: Wilson's (1927), which does not shrink to nothing where a
    share is 0 or 1."""
    spread = _Z * _Z / size
    middle = share + spread / 2
    half = np.sqrt(_Z * _Z * share * (1 - share) / size + spread * spread / 4)
    return np.maximum(middle - half, 0.0) / (1 + spread), np.minimum((middle + half) / (1 + spread), 1.0)


def difference(
    now: Array, its: tuple[Array, Array], before: Array, theirs: tuple[Array, Array]
) -> tuple[Array, Array]:
    """The 95 % interval of `now` less `before`, two shares of independent samples with Wilson's interval of each: Newcombe's
    hybrid score interval (1998, method 10). Without 0 in it, the difference is beyond chance."""
    (low, high), (low_before, high_before) = its, theirs
    down = np.sqrt((now - low) ** 2 + (high_before - before) ** 2)
    up = np.sqrt((high - now) ** 2 + (before - low_before) ** 2)
    return now - before - down, now - before + up


def risen(part: Array, whole: Array) -> int | None:
    """The place from which on a share is higher than before it, to the end: the split of two steady shares under which the counts
    (`part` of `whole`, one of each for each bucket) are likeliest. None where one steady share is nearly as likely, or the
    second is not much higher: by half at least, and by two points.
    """
    if len(whole) < 2:
        return None
    before, of_before = np.cumsum(part)[:-1], np.cumsum(whole)[:-1]
    after, of_after = part.sum() - before, whole.sum() - of_before
    gain = (
        _likelihood(before, of_before) + _likelihood(after, of_after) - _likelihood(part.sum(), whole.sum())
    )
    low, high = before / np.maximum(of_before, 1), after / np.maximum(of_after, 1)
    gain = np.where((of_before > 0) & (high >= low * _MUCH) & (high >= low + _POINTS), gain, 0.0)
    best = int(np.argmax(gain))
    return best + 1 if gain[best] > _SURE else None


def _likelihood(part: Array, whole: Array) -> Array:
    """The logarithm of the likelihood of a share at its likeliest."""
    rest = whole - part
    share = part / np.maximum(whole, 1e-9)
    logs = np.log(np.maximum(share, 1e-300)), np.log(np.maximum(1 - share, 1e-300))
    found: Array = np.where(part > 0, part * logs[0], 0.0) + np.where(rest > 0, rest * logs[1], 0.0)
    return found
