"""What figures are made of, out of a table of connections: `halfopen.classify`, or Parquet that the command wrote.

The answers are those that the API gives of a dataset, made by the same code; only buckets may be shorter. Connections without
a stage do not count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from halfopen.errors import UsageError
from halfopen.figures.of_dataset import CUT_STAGES, MOST, json_of
from halfopen.figures.series import FINER
from halfopen.model import STAGES, Stage
from halfopen.places.countries import country_name
from halfopen.radar.affected import affected as ranking
from halfopen.radar.answers import Surroundings, reply
from halfopen.radar.parameters import Question, Series
from halfopen.radar.vocabulary import Endpoint, Form, Format, Normalization
from halfopen.radar.windows import INTERVALS, MOST_BUCKETS, Interval, Window
from halfopen.store.query import (
    Cells,
    Dimension,
    Filters,
    Gap,
    Groups,
    Loss,
    Overlap,
    State,
    summed,
)
from halfopen.store.questions import bucket_of

_INTERVALS: Final = {interval.token: interval for interval in (*FINER, *INTERVALS)}
_NAME: Final = "connections"
"""Of the one series."""
_FEW: Final = 100
"""Buckets that are enough to see when something happened."""


class OfTable:
    """The answers about a `pyarrow.Table` of connections that figures are drawn of."""

    def __init__(self, table: Any, name_of: Callable[[int], str] = lambda _: "") -> None:
        """Of a table with the columns of `halfopen.classify`, or those of ``halfopen export``; `name_of` knows the names of AS
        numbers."""
        self._table = _Table(table)
        self._around = Surroundings((), "", partial(_named, name_of), lambda _: "", "")

    def over_time(self, interval: str | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Shares and counts by stage over time, as `stages_over_time` takes them.

        `interval` is the length of a bucket: 1s, 10s, 1m, 15m, 1h, 1d or 1w; by default the shortest that makes no more than
        100. Raises UsageError for another one, or one that makes more than 3,000.
        """
        if interval is not None and interval not in _INTERVALS:
            raise UsageError("interval", repr(interval), f"one of {', '.join(_INTERVALS)}")
        step = self._fitting if interval is None else _INTERVALS[interval]
        if (self._table.last - self._table.first) // step.seconds >= MOST_BUCKETS:
            raise UsageError("interval", interval, f"one that makes at most {MOST_BUCKETS:,} buckets")
        endpoint = Endpoint(Form.timeseries_groups)
        shares, counts = (
            self._answer(endpoint, step, each, self._table.whole)
            for each in (Normalization.PERCENTAGE, Normalization.RAW_VALUES)
        )
        return shares, counts

    def signatures(self) -> dict[str, Any]:
        """The share of each signature, as the figure `signatures` takes it."""
        endpoint = Endpoint(Form.summary, Dimension.signature)
        return self._answer(endpoint, self._fitting, Normalization.PERCENTAGE, self._table.whole)

    def affected(self, by: Literal["asn", "location"], most: int = MOST) -> list[dict[str, Any]]:
        """Networks or countries, as `affected` and `world` take them: the most affected first, at `most` so many."""
        series = Series(_NAME, self._table.whole, Filters())
        return ranking(Dimension(by), series, CUT_STAGES, most, self._table, self._around)

    @property
    def _fitting(self) -> Interval:
        duration = self._table.last - self._table.first
        return next((each for each in _INTERVALS.values() if duration <= _FEW * each.seconds), INTERVALS[-1])

    def _answer(
        self, endpoint: Endpoint, interval: Interval, normalization: Normalization, window: Window
    ) -> dict[str, Any]:
        series = Series(_NAME, window, Filters())
        question = Question(endpoint, (series,), Format.JSON, interval, normalization, None)
        return json_of(reply(question, self._table, self._around))


def _named(name_of: Callable[[int], str], by: Dimension, code: str) -> str:
    return name_of(int(code)) if by is Dimension.asn else country_name(code)


class _Table:
    """A table of connections as a `store.query.Snapshot` that is complete; filters are not known to it."""

    def __init__(self, table: Any) -> None:
        self._rows = table.filter(pc.not_equal(table["stage"].cast(pa.string()), Stage.undecided.name))
        self._times: NDArray[np.int64] = pc.floor_temporal(self._rows["start"], unit="second").cast(
            pa.timestamp("s", "UTC")
        ).cast(pa.int64()).to_numpy()  # fmt: skip
        weighted = "weight" in table.column_names  # those of a dataset that was sampled
        self._weights = self._rows["weight"].to_numpy() if weighted else np.ones(len(self._times))
        self.first, self.last = (
            (int(self._times.min()), int(self._times.max())) if len(self._times) else (0, 0)
        )
        self.whole = Window(self.first, self.last + 1)

    def counts(
        self, _: Filters, start: int, end: int, step: int | None, by: Dimension = Dimension.stage
    ) -> Cells:
        """As `store.query.Snapshot`."""
        keys, codes, inside = self._coded(by, start, end)
        cells, at = np.unique(
            bucket_of(self._times[inside], step, start) * len(keys) + codes, return_inverse=True
        )
        weights = self._weights[inside]
        return Cells(
            cells // max(len(keys), 1),
            [keys[code] for code in (cells % max(len(keys), 1)).tolist()],
            np.bincount(at, minlength=len(cells)),
            summed(at, weights, len(cells)),
            summed(at, weights * weights, len(cells)),
        )

    def groups(self, _: Filters, start: int, end: int, by: Dimension) -> Groups:
        """As `store.query.Snapshot`."""
        keys, codes, inside = self._coded(by, start, end)
        names, stages, _inside = self._coded(Dimension.stage, start, end)
        columns = np.array([[stage.name for stage in STAGES].index(name) for name in names], np.int64)
        shape = len(keys), len(STAGES)
        at = codes * len(STAGES) + columns[stages]
        size = shape[0] * shape[1]
        weights = self._weights[inside]
        return Groups(
            keys,
            np.bincount(at, minlength=size).reshape(shape),
            summed(at, weights, size).reshape(shape),
            summed(at, weights * weights, size).reshape(shape),
        )

    def state(self) -> State:
        """Complete: every bucket is closed."""
        return State("", 1 << 40, self.last)

    def gaps(self, _start: int, _end: int) -> Sequence[Gap]:
        """None: nothing is known of them."""
        return ()

    def overlaps(self, _start: int, _end: int) -> Sequence[Overlap]:
        """None."""
        return ()

    def losses(self, _start: int, _end: int) -> Sequence[Loss]:
        """None."""
        return ()

    def _coded(
        self, by: Dimension, start: int, end: int
    ) -> tuple[Sequence[str], NDArray[np.int64], NDArray[np.bool_]]:
        """The values of a column as text, empty where unknown; the number of that of each row that begins in time, and which these are."""
        inside = (self._times >= start) & (self._times < end)
        column = pc.fill_null(self._rows[by.value].cast(pa.string()), "")
        encoded = column.filter(pa.array(inside)).combine_chunks().dictionary_encode()
        return encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.int64), inside
