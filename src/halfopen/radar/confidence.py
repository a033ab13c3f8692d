"""How far the five shares of a window can be trusted: confidenceInfo.level (A21).

Intervals are those of `proportions`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from halfopen.radar.proportions import effective, wilson
from halfopen.radar.windows import Window
from halfopen.store.query import Cells, Gap, Loss, summed

ENOUGH: Final = 100
"""Connections below which nothing can be said."""

_NARROW: Final = 0.01
_WIDE: Final = 0.05
_STEADY: Final = 4.0
_GAP: Final = 0.01


@dataclass(frozen=True, slots=True)
class _Samples:
    """Connections, weights by stage and squared weights of several samples, a row for each."""

    connections: NDArray[np.float64]
    weights: NDArray[np.float64]  # a column for each stage
    squares: NDArray[np.float64]

    @property
    def size(self) -> NDArray[np.float64]:
        """Effective numbers of connections."""
        return effective(self.weights.sum(axis=1), self.squares)

    @property
    def shares(self) -> NDArray[np.float64]:
        """Shares by stage."""
        weight: NDArray[np.float64] = self.weights.sum(axis=1, keepdims=True)
        return self.weights / weight

    def __getitem__(self, rows: Any) -> _Samples:
        return _Samples(self.connections[rows], self.weights[rows], self.squares[rows])

    def __add__(self, other: _Samples) -> _Samples:
        return _Samples(
            self.connections + other.connections, self.weights + other.weights, self.squares + other.squares
        )


def level(cells: Cells, step: int, window: Window, gaps: Iterable[Gap | Loss]) -> int:
    """5, 3, 2 or 1 for the cells of a window by stage, in buckets of `step` seconds."""
    if cells.connections.sum() < ENOUGH:
        return 1
    buckets = _samples(cells, step)
    whole = _Samples(*(each.sum(axis=0, keepdims=True) for each in astuple(buckets)))
    low, high = wilson(whole.shares, whole.size)
    width = (high - low).max() / 2
    if width > _NARROW:
        return 2 if width <= _WIDE else 1
    return 3 if _missed(window, gaps) > _GAP * window.duration or _erratic(buckets) else 5


def _samples(cells: Cells, step: int) -> _Samples:
    """One for each bucket from the first to the last, empty ones too."""
    rows = (cells.bucket - cells.bucket.min()) // step
    stages = {stage: column for column, stage in enumerate(dict.fromkeys(cells.key))}
    columns = np.array([stages[stage] for stage in cells.key])
    count = int(rows.max()) + 1
    weights = summed(rows * len(stages) + columns, cells.weight, count * len(stages)).reshape(count, -1)
    return _Samples(summed(rows, cells.connections, count), weights, summed(rows, cells.squares, count))


def _missed(window: Window, gaps: Iterable[Gap | Loss]) -> int:
    """Seconds of the window in which at least one sensor was silent, or lost much."""
    missed, reached = 0, window.start
    for start, end in sorted((gap.start, min(gap.end, window.end)) for gap in gaps):
        missed += max(0, end - max(start, reached))
        reached = max(reached, end)
    return missed


def _erratic(buckets: _Samples) -> bool:
    """Whether a share of one bucket lies off that of the two beside it; all of at least `ENOUGH` connections."""
    enough = buckets.connections >= ENOUGH
    middle = np.flatnonzero(enough[:-2] & enough[1:-1] & enough[2:]) + 1
    sample, beside = buckets[middle], buckets[middle - 1] + buckets[middle + 1]
    size, sizes = sample.size[:, None], beside.size[:, None]
    # Two draws of each kind are added (Agresti and Coull): the error of a rare stage is not nothing.
    share = (sample.shares * size + beside.shares * sizes + 2) / (size + sizes + 4)
    error = np.sqrt(share * (1 - share) * (1 / size + 1 / sizes))
    return bool((np.abs(sample.shares - beside.shares) > _STEADY * error).any())
