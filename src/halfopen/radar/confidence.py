"""How far the five shares of a window can be trusted: confidenceInfo.level (A21).

A share is taken as one of n independent draws, n being Kish's effective sample size: the square of the
summed weights over the sum of their squares. Its 95 % interval is Wilson's, which does not shrink to
nothing where a share is 0 or 100 %.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Final

from halfopen.radar.windows import Window
from halfopen.store.query import Cell, Gap

ENOUGH: Final = 100
"""Connections below which nothing can be said."""

_Z: Final = 1.959964
"""Standard errors of a 95 % interval."""
_NARROW: Final = 0.01
_WIDE: Final = 0.05
_STEADY: Final = 4.0
_GAP: Final = 0.01


@dataclass(slots=True)
class _Sample:
    """Cells added up: connections, and the weights by stage."""

    connections: int = 0
    weight: float = 0.0
    squares: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)

    def add(self, cell: Cell) -> None:
        self.connections += cell.connections
        self.weight += cell.weight
        self.squares += cell.squares
        self.stages[cell.key] = self.stages.get(cell.key, 0.0) + cell.weight

    @property
    def size(self) -> float:
        """Effective number of connections."""
        return self.weight * self.weight / self.squares

    def share(self, stage: str) -> float:
        return self.stages.get(stage, 0.0) / self.weight


def level(cells: Sequence[Cell], step: int, window: Window, gaps: Iterable[Gap]) -> int:
    """5, 3, 2 or 1 for the cells of a window by stage, in buckets of `step` seconds."""
    whole = _sample(cells)
    if whole.connections < ENOUGH:
        return 1
    width = max(_half_width(whole.share(stage), whole.size) for stage in whole.stages)
    if width > _NARROW:
        return 2 if width <= _WIDE else 1
    return 3 if _missed(window, gaps) > _GAP * window.duration or _erratic(cells, step) else 5


def _sample(cells: Iterable[Cell]) -> _Sample:
    sample = _Sample()
    for cell in cells:
        sample.add(cell)
    return sample


def _half_width(share: float, size: float) -> float:
    """Of Wilson's 95 % interval."""
    spread = sqrt(share * (1 - share) / size + _Z * _Z / (4 * size * size))
    return _Z * spread / (1 + _Z * _Z / size)


def _missed(window: Window, gaps: Iterable[Gap]) -> int:
    """Seconds of the window in which at least one sensor was silent."""
    missed, reached = 0, window.start
    for start, end in sorted((gap.start, min(gap.end, window.end)) for gap in gaps):
        missed += max(0, end - max(start, reached))
        reached = max(reached, end)
    return missed


def _erratic(cells: Sequence[Cell], step: int) -> bool:
    """Whether a share of one bucket lies off that of the two beside it; all of at least `ENOUGH` connections."""
    buckets: dict[int, _Sample] = {}
    for cell in cells:
        buckets.setdefault(cell.bucket, _Sample()).add(cell)
    enough = {bucket: sample for bucket, sample in buckets.items() if sample.connections >= ENOUGH}
    for bucket, sample in enough.items():
        sides = [enough[side] for side in (bucket - step, bucket + step) if side in enough]
        if len(sides) == 2 and _off(sample, *sides):
            return True
    return False


def _off(sample: _Sample, before: _Sample, after: _Sample) -> bool:
    weight, squares = before.weight + after.weight, before.squares + after.squares
    size = weight * weight / squares
    for stage in {*sample.stages, *before.stages, *after.stages}:
        beside = (before.stages.get(stage, 0.0) + after.stages.get(stage, 0.0)) / weight
        both = sample.size + size
        # Two draws of each kind are added (Agresti and Coull): the error of a rare stage is not nothing.
        share = (sample.share(stage) * sample.size + beside * size + 2) / (both + 4)
        error = sqrt(share * (1 - share) * (1 / sample.size + 1 / size))
        if abs(sample.share(stage) - beside) > _STEADY * error:
            return True
    return False
