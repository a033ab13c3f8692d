"""``/radar/tcp_resets_timeouts/affected``: the networks and countries whose connections are cut most, and how that changed.

The order is that of the lower bounds of the shares' 95 % intervals: what is cut at least. So a handful of connections does not
stand before thousands, however many of them were cut, and no least number of connections is needed. The window before is the
control window of Radar's; the change since is beyond chance where its 95 % interval (`proportions.difference`) is all on one
side of 0.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from halfopen.accounts.permissions import RADAR
from halfopen.api.envelope import success
from halfopen.api.errors import RADAR as RADAR_SERVICE
from halfopen.api.errors import Answer
from halfopen.api.parameters import Parameter
from halfopen.api.routes import Call, Route
from halfopen.errors import InvalidError, Rejected
from halfopen.model import STAGES
from halfopen.radar.answers import Surroundings, cache_key, meta
from halfopen.radar.counting import counted
from halfopen.radar.kept import Kept
from halfopen.radar.lists import faults, values
from halfopen.radar.numbers import differences, overlapping_percentages, raw_values
from halfopen.radar.parameters import Question, Series, question_of
from halfopen.radar.proportions import Array, difference, effective, wilson
from halfopen.radar.routes import CSV, FORMAT, PATH
from halfopen.radar.shapes import RadarAffectedLocations, RadarAffectedNetworks
from halfopen.radar.table import table
from halfopen.radar.vocabulary import (
    ENDPOINTS,
    STAGE,
    Format,
    filter_parameters,
    list_pattern,
    window_parameters,
)
from halfopen.radar.windows import Window, stamp
from halfopen.store.query import Dataset, Dimension, Groups, Snapshot

_MOST: Final = 200
_FEW: Final = 20
_MOST_KEPT: Final = 16 << 20
"""Bytes of answers kept; the ones asked for longest ago go first."""

_ASKED: Final = (*window_parameters(each_series=False), *filter_parameters(each_series=False), FORMAT)
_STAGE: Final = Parameter(
    "stage", f"{STAGE.words}, separated by commas; default all of them.", STAGE.accepted,
    pattern=list_pattern(STAGE), checked=False,
)  # fmt: skip
_LIMIT: Final = Parameter(
    "limit", "Rows shown.", f"a number from 1 to {_MOST}", "integer", least=1, most=_MOST, default=_FEW
)
_STAGES: Final = tuple(stage.name for stage in STAGES)
_OF: Final = {
    Dimension.asn: ("ases", "Networks", RadarAffectedNetworks, ("code", "name", "location")),
    Dimension.location: ("locations", "Countries", RadarAffectedLocations, ("code", "name")),
}


def affected_routes(
    dataset: Dataset, surroundings: Callable[[str], Surroundings], clock: Callable[[], float] = time.time
) -> Iterator[Route]:
    """What is affected most, by network and by country. `surroundings` are made for the URL at which a client found the server."""
    kept = Kept(dataset, _MOST_KEPT)
    for by, (path, words, shape, _) in _OF.items():
        yield Route(
            "GET",
            f"{PATH}/affected/{path}",
            partial(_answer, by, surroundings, clock, kept),
            f"{words} of whose connections the largest part is cut",
            shape,
            RADAR,
            service=RADAR_SERVICE,
            parameters=(*_ASKED, _STAGE, _LIMIT),
            check=partial(_rejected, clock),
            tags=("Radar TCP Resets and Timeouts",),
            description="In the order of the lower bounds of the 95 % intervals (Wilson) of the shares cut. `before` is the control "
            "window, null where nothing came in it; `change` is in points, with its own 95 % interval (Newcombe).",
            content_types=("application/json", CSV.partition(";")[0]),
        )


@dataclass(frozen=True, slots=True)
class _Shares:
    """Connections by group: those sampled, what they stand for by stage (a column each), in all and cut; the shares cut (0 to 1)
    with their intervals."""

    keys: Sequence[str]
    sampled: NDArray[np.int64]
    stages: Array
    total: Array
    cut: Array
    share: Array
    low: Array
    high: Array

    @classmethod
    def of(cls, groups: Groups, cut: Collection[str]) -> _Shares:
        """Of all groups that have a name."""
        named = [row for row, key in enumerate(groups.keys) if key]
        stages = groups.weight[named]
        total = stages.sum(axis=1)
        parts = stages[:, [stage in cut for stage in _STAGES]].sum(axis=1)
        share = np.clip(parts / total, 0.0, 1.0)
        low, high = wilson(share, effective(total, groups.squares[named].sum(axis=1)))
        keys = [groups.keys[row] for row in named]
        sampled = groups.connections[named].sum(axis=1)
        return cls(keys, sampled, stages, total, parts, share, low, high)

    def told(self, rows: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Numbers of some groups as answers have them."""
        columns = {
            "connections": raw_values(self.total[rows, None]),
            "sampled": raw_values(self.sampled[rows, None].astype(np.float64)),
            "cut": raw_values(self.cut[rows, None]),
            "share": overlapping_percentages(self.cut[rows, None], self.total[rows]),
            "low": raw_values(100 * self.low[rows, None]),
            "high": raw_values(100 * self.high[rows, None]),
        }
        for row in range(len(rows)):
            yield {name: texts[row, 0] for name, texts in columns.items()}

    def ranked(self) -> list[int]:
        """The rows, most affected first; of equal ones those with more connections, then by name."""
        # Sums of fractions may tell equal ones apart by a hair.
        order = np.lexsort((np.array(self.keys, str), -np.round(self.total, 6), -np.round(self.low, 9)))
        return list(map(int, order))


def _question(call: Call, clock: Callable[[], float]) -> tuple[Question, Series]:
    pairs = ((each.name, call.one(each.name) or "") for each in _ASKED)
    question = question_of(ENDPOINTS["summary"], pairs, int(clock()))
    (series,) = question.series
    return question, series


def _rejected(clock: Callable[[], float], call: Call) -> Sequence[Rejected]:
    found = faults(call, STAGE)
    try:
        _question(call, clock)
    except InvalidError as error:
        found += error.rejected
    return found


def _answer(
    by: Dimension,
    surroundings: Callable[[str], Surroundings],
    clock: Callable[[], float],
    kept: Kept,
    call: Call,
) -> Answer:
    question, series = _question(call, clock)
    around = surroundings(call.base_url)
    cut = frozenset(values(call, STAGE) or _STAGES) - {"no_match"}
    limit = call.number("limit", _FEW)

    def key(still: Snapshot) -> str:
        return f"{by} {sorted(cut)} {limit} {cache_key(question, still.state(), around)}"

    def made(still: Snapshot) -> Answer:
        rows = affected(by, series, cut, limit, still, around)
        if question.format is Format.CSV:
            return Answer(_csv(by, rows).encode(), content_type=CSV)
        state, before = still.state(), series.window.control
        cells = [counted(question, series, still, state.closed)]
        told = meta(question, cells, question.normalization, still, state, around)
        told["before"] = {"startTime": stamp(before.start), "endTime": stamp(before.end)}
        return Answer(success({"affected": rows, "meta": told}))

    return kept.answer(key, made)


def affected(
    by: Dimension,
    series: Series,
    cut: Collection[str],
    limit: int,
    dataset: Snapshot,
    surroundings: Surroundings,
) -> list[dict[str, Any]]:
    """The rows of an answer: networks or countries (`by`), the stages of `cut` counting as cut."""

    def shares(window: Window) -> _Shares:
        return _Shares.of(dataset.groups(series.filters, window.start, window.end, by), cut)

    now, before = shares(series.window), shares(series.window.control)
    shown = now.ranked()[:limit]
    earlier = {key: row for row, key in enumerate(before.keys)}
    both = [(row, earlier[now.keys[row]]) for row in shown if now.keys[row] in earlier]
    changes = dict(zip((row for row, _ in both), _changed(now, before, both), strict=True))
    stages = raw_values(now.stages[shown])
    rows = []
    for place, (row, told) in enumerate(zip(shown, now.told(shown), strict=True)):
        code = now.keys[row]
        named = {"code": int(code) if by is Dimension.asn else code, "name": surroundings.name_of(by, code)}
        if by is Dimension.asn:
            named["location"] = surroundings.country_of(code)
        was = changes.get(row, {"before": None, "change": None})
        rows.append({**named, **told, "stages": dict(zip(_STAGES, stages[place], strict=True)), **was})
    return rows


def _changed(now: _Shares, before: _Shares, both: Sequence[tuple[int, int]]) -> Iterator[dict[str, Any]]:
    """What groups were that were there before, and how they changed; `both` are their rows now and then."""
    here, there = [row for row, _ in both], [row for _, row in both]
    low, high = difference(
        now.share[here],
        (now.low[here], now.high[here]),
        before.share[there],
        (before.low[there], before.high[there]),
    )
    points = np.column_stack((now.share[here] - before.share[there], low, high))
    beyond = (low > 0) | (high < 0)
    for texts, told, sure in zip(differences(100 * points), before.told(there), beyond.tolist(), strict=True):
        change = dict(zip(("points", "low", "high"), texts, strict=True))
        yield {"before": told, "change": {**change, "beyondChance": sure}}


_SHARE: Final = ("connections", "sampled", "cut", "share", "low", "high")
_CHANGE: Final = ("points", "low", "high", "beyondChance")


def _csv(by: Dimension, rows: Sequence[Mapping[str, Any]]) -> str:
    """One line for each row, what is within another thing under the name of both."""
    inner = [("before", each) for each in _SHARE] + [("change", each) for each in _CHANGE]
    names = {pair: f"{pair[0]}{pair[1][0].upper()}{pair[1][1:]}" for pair in inner}
    flat = []
    for row in rows:
        line = {name: value for name, value in row.items() if not isinstance(value, dict)} | row["stages"]
        for (name, part), joined in names.items():
            line[joined] = str(
                (row[name] or {}).get(part, "")
            ).lower()  # of them all only true and false have letters
        flat.append(line)
    return table({"affected": flat}, (*_OF[by][3], *_SHARE, *_STAGES, *names.values()))
