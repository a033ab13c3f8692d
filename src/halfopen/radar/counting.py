"""What is asked of the dataset for one series, and how its cells become the groups of an answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from halfopen.model import STAGES
from halfopen.radar.parameters import Question, Series
from halfopen.radar.vocabulary import Form
from halfopen.radar.windows import shown_buckets
from halfopen.store.query import Cells, Choice, Dimension, Filters, Snapshot, summed

OTHER: Final = "other"
"""The group of all that is not shown by itself: beyond the limit, or unknown."""

_STAGES: Final = tuple(stage.name for stage in STAGES)
_IP_VERSIONS: Final = {"4": "IPv4", "6": "IPv6"}
_RESERVED: Final = frozenset({"", OTHER, "timestamps"})
"""Keys that cannot be a group's: unknown, and those with a meaning of their own."""


@dataclass(frozen=True, slots=True)
class Counted:
    """One series, counted: `weights` with a row for each bucket and a column for each group, `total` by bucket (tags
    overlap).

    A summary is one bucket, which begins where the window does. `stages` are the cells by stage in
    buckets of the question's interval.
    """

    series: Series
    buckets: Sequence[int]
    groups: Sequence[str]
    weights: NDArray[np.float64]
    total: NDArray[np.float64]
    stages: Cells

    @property
    def empty(self) -> bool:
        """Whether nothing was counted at all."""
        return not self.total.any()


def counted(question: Question, series: Series, dataset: Snapshot, closed: int) -> Counted:
    """Put the question to the dataset for one series; what ends after `closed` (s) may be left out (A18)."""
    interval, by = question.interval, question.endpoint.by
    over_time = question.endpoint.form is Form.timeseries_groups
    if over_time:
        buckets: Sequence[int] = shown_buckets(series.window, interval, closed)
        if not buckets:
            return Counted(series, (), (), np.empty((0, 0)), np.empty(0), Cells.of(()))
        start, end = buckets[0], buckets[-1] + interval.seconds
    else:
        start, end = series.window.start, series.window.end
        buckets = (start,)
    stages = dataset.counts(series.filters, start, end, interval.seconds, Dimension.stage)
    by_stage = _grid(stages, buckets, _STAGES)
    total = by_stage.sum(axis=1)
    if by is Dimension.stage:
        return Counted(series, buckets, _STAGES, by_stage, total, stages)
    whole = dataset.counts(series.filters, start, end, None, by)
    shown, rest = _ranked(whole, question.limit)
    if over_time and shown:
        cells = dataset.counts(_narrowed(series.filters, by, shown), start, end, interval.seconds, by)
    else:
        cells = whole
    groups = [_label(by, key) for key in shown]
    weights = _grid(cells, buckets, shown)
    if rest and by is not Dimension.tag:
        groups.append(OTHER)
        # Sums of fractions may come out a hair apart.
        other = np.maximum(total - weights.sum(axis=1), 0.0)
        weights = np.column_stack((weights, other))
    return Counted(series, buckets, groups, weights, total, stages)


def _grid(cells: Cells, buckets: Sequence[int], keys: Sequence[str]) -> NDArray[np.float64]:
    """Weights by bucket and key, of these keys only; a single bucket takes all."""
    columns = {key: column for column, key in enumerate(keys)}
    column = np.array([columns.get(key, -1) for key in cells.key], np.int64)
    row = np.maximum(np.searchsorted(buckets, cells.bucket, "right") - 1, 0)
    known = column >= 0
    at = (row * len(keys) + column)[known]
    size = len(buckets) * len(keys)
    return summed(at, cells.weight[known], size).reshape(len(buckets), len(keys))


def _ranked(whole: Cells, limit: int | None) -> tuple[list[str], bool]:
    """The keys shown, heaviest first, and whether anything is left over; of equal ones, which sums of fractions may
    tell apart by a hair, the first by name."""
    named = [
        (-float(f"{weight:.12g}"), key)
        for key, weight in zip(whole.key, whole.weight.tolist(), strict=True)
        if key not in _RESERVED
    ]
    shown = [key for _, key in sorted(named)[:limit]]
    return shown, len(shown) < len(whole)


def _label(by: Dimension, key: str) -> str:
    return _IP_VERSIONS.get(key, key) if by is Dimension.ip_version else key


def _narrowed(filters: Filters, by: Dimension, keys: Iterable[str]) -> Filters:
    """The filters, let through the given values of one dimension only: no more cells than are shown."""
    match by:
        case Dimension.asn:
            return replace(filters, asn=Choice(frozenset(map(int, keys))))
        case Dimension.server_port:
            return replace(filters, server_port=Choice(frozenset(map(int, keys))))
        case Dimension.location:
            return replace(filters, location=Choice(frozenset(keys)))
        case Dimension.sensor:
            return replace(filters, sensor=Choice(frozenset(keys)))
    return filters
