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
