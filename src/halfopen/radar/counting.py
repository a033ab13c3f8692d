"""What is asked of the dataset for one series, and how its cells become the groups of an answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from halfopen.model import STAGES
from halfopen.radar.parameters import Question, Series
from halfopen.radar.vocabulary import Form
from halfopen.radar.windows import shown_buckets
from halfopen.store.query import Cell, Choice, Dataset, Dimension, Filters

Weights: TypeAlias = dict[int, float]
"""Weight by bucket (where it begins, s)."""

OTHER: Final = "other"
"""The group of all that is not shown by itself: beyond the limit, or unknown."""

_STAGES: Final = tuple(stage.name for stage in STAGES)
_IP_VERSIONS: Final = {"4": "IPv4", "6": "IPv6"}
_RESERVED: Final = frozenset({"", OTHER, "timestamps"})
"""Keys that cannot be a group's: unknown, and those with a meaning of their own."""


@dataclass(frozen=True, slots=True)
class Counted:
    """One series, counted: weights by group and bucket, and in all (tags overlap).

    A summary is one bucket, which begins where the window does. `stages` are the cells by stage in
    buckets of the question's interval.
    """

    series: Series
    buckets: Sequence[int]
    groups: dict[str, Weights]
    total: Weights
    stages: Sequence[Cell]

    @property
    def empty(self) -> bool:
        """Whether nothing was counted at all."""
        return not any(self.total.values())


def counted(question: Question, series: Series, dataset: Dataset, closed: int) -> Counted:
    """Put the question to the dataset for one series; what ends after `closed` (s) may be left out (A18)."""
    interval, by = question.interval, question.endpoint.by
    over_time = question.endpoint.form is Form.timeseries_groups
    if over_time:
        buckets: Sequence[int] = shown_buckets(series.window, interval, closed)
        if not buckets:
            return Counted(series, (), {}, {}, ())
        start, end = buckets[0], buckets[-1] + interval.seconds
    else:
        start, end = series.window.start, series.window.end
        buckets = (start,)
    single = None if over_time else start
    stages = dataset.counts(series.filters, start, end, interval.seconds, Dimension.stage)
    by_stage = _folded(stages, single)
    total = _summed(by_stage.values())
    if by is Dimension.stage:
        return Counted(series, buckets, {name: by_stage.get(name, {}) for name in _STAGES}, total, stages)
    whole = dataset.counts(series.filters, start, end, None, by)
    shown, rest = _ranked(whole, question.limit)
    if over_time and shown:
        cells = dataset.counts(_narrowed(series.filters, by, shown), start, end, interval.seconds, by)
    else:
        cells = whole
    folded = _folded(cells, single)
    groups = {_label(by, key): folded.get(key, {}) for key in shown}
    if rest and by is not Dimension.tag:
        known = _summed(groups.values())
        # Sums of fractions may come out a hair apart.
        groups[OTHER] = {at: max(0.0, weight - known.get(at, 0.0)) for at, weight in total.items()}
    return Counted(series, buckets, groups, total, stages)


def _folded(cells: Iterable[Cell], single: int | None) -> dict[str, Weights]:
    """Weights by key and bucket; all in one bucket where a single one is wanted."""
    weights: dict[str, Weights] = {}
    for cell in cells:
        at = cell.bucket if single is None else single
        of_key = weights.setdefault(cell.key, {})
        of_key[at] = of_key.get(at, 0.0) + cell.weight
    return weights


def _summed(groups: Iterable[Weights]) -> Weights:
    total: Weights = {}
    for weights in groups:
        for at, weight in weights.items():
            total[at] = total.get(at, 0.0) + weight
    return total


def _ranked(whole: Sequence[Cell], limit: int | None) -> tuple[list[str], bool]:
    """The keys shown, heaviest first, and whether anything is left over."""
    named = [cell for cell in whole if cell.key not in _RESERVED]
    named.sort(key=lambda cell: (-cell.weight, cell.key))
    shown = [cell.key for cell in named[:limit]]
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
